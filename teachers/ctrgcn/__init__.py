"""CTR-GCN (Chen et al., ICCV 2021, arXiv 2107.12213)."""

from teachers.ctrgcn.network import (
    AXES,
    CTRGCN,
    Block,
    Config,
    Spec,
    build,
    default_spec,
    drop_blocks,
)

__all__ = ["AXES", "CTRGCN", "Block", "Config", "Spec", "build", "default_spec", "drop_blocks"]
