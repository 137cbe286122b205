"""Several narrow networks on the streams of one clip, as one network."""

from teachers.ensemble.network import (
    AXES,
    MEMBERS,
    Branch,
    Config,
    Ensemble,
    Spec,
    build,
    default_spec,
    drop_blocks,
    joined,
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
