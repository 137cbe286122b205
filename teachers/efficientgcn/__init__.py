"""EfficientGCN (Song et al., TPAMI 2022, arXiv 2106.15125)."""

from teachers.efficientgcn.network import (
    AXES,
    Block,
    Config,
    Spec,
    absent,
    build,
    default_spec,
    drop_blocks,
)

__all__ = ["AXES", "Block", "Config", "Spec", "absent", "build", "default_spec", "drop_blocks"]
