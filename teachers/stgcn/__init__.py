"""ST-GCN (Yan et al., AAAI 2018, arXiv 1801.07455)."""

from teachers.stgcn.network import (
    AXES,
    Block,
    Config,
    Spec,
    build,
    default_spec,
    drop_blocks,
    partition,
)

__all__ = ["AXES", "Block", "Config", "Spec", "build", "default_spec", "drop_blocks", "partition"]
