"""Several narrow networks on the streams of one clip, as one network."""

from teachers.ensemble.network import AXES, Ensemble, build, joined
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
    "AXES",
    "MEMBERS",
    "Branch",
    "Config",
    "Ensemble",
    "Spec",
    "build",
    "default_spec",
    "drop_blocks",
    "joined",
    "spec_of",
]
