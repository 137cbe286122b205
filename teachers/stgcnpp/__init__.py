"""STGCN++ (Duan et al., ACM MM 2022, arXiv 2205.09443)."""

from teachers.stgcn.network import AXES
from teachers.stgcnpp.network import (
    Block,
    Config,
    Spec,
    Temporal,
    branch_widths,
    build,
    default_spec,
    drop_blocks,
)

__all__ = [
    "AXES",
    "Block",
    "Config",
    "Spec",
    "Temporal",
    "branch_widths",
    "build",
    "default_spec",
    "drop_blocks",
]
