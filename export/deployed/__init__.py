"""A deployed folder and `deployed.json`, by which it describes itself."""

from export.deployed.folder import (
    NAME,
    describe,
    predictors,
    read,
    try_out,
    unsealed_note,
    write,
)
from export.deployed.record import Description

__all__ = [
    "NAME",
    "Description",
    "describe",
    "predictors",
    "read",
    "try_out",
    "unsealed_note",
    "write",
]
