"""Several narrow networks on the streams of one clip, as one network."""

from teachers.ensemble.network import Ensemble, axes, build, joined
from teachers.ensemble.spec import (
    MEMBERS,
    Branch,
    Config,
    Spec,
    default_spec,
    drop_blocks,
    spec_of,
)

__all__ = [
    "MEMBERS",
    "Branch",
    "Config",
    "Ensemble",
    "Spec",
    "axes",
    "build",
    "default_spec",
    "drop_blocks",
    "joined",
    "spec_of",
]
