"""EfficientGCN (Song et al., TPAMI 2022, arXiv 2106.15125)."""

from teachers.efficientgcn.network import Block, Config, Spec, build, default_spec, drop_blocks

__all__ = ["Block", "Config", "Spec", "build", "default_spec", "drop_blocks"]
