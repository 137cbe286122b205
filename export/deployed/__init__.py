"""A deployed folder and `deployed.json`, by which it describes itself."""

from export.deployed.folder import (
    NAME,
    describe,
    read,
    read_for,
    unsealed_note,
    write,
)
from export.deployed.models import predictor_with_features, predictors, try_out
from export.deployed.record import Description

__all__ = [
    "NAME",
    "Description",
    "describe",
    "predictor_with_features",
    "predictors",
    "read",
    "read_for",
    "try_out",
    "unsealed_note",
    "write",
]
