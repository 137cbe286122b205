"""A deployed folder and `deployed.json`, by which it describes itself."""

from export.deployed.folder import (
    NAME,
    describe,
    described,
    read,
    read_for,
    unsealed_note,
    write,
)
from export.deployed.live import Live
from export.deployed.models import model_files, predictor_with_features, predictors, try_out
from export.deployed.record import Description
from export.deployed.served import Served, follows_by, in_process, open_deployed
from export.deployed.zoo import place
from export.runtimes.steps import Steps

__all__ = [
    "NAME",
    "Description",
    "Live",
    "Served",
    "Steps",
    "describe",
    "described",
    "follows_by",
    "in_process",
    "model_files",
    "open_deployed",
    "place",
    "predictor_with_features",
    "predictors",
    "read",
    "read_for",
    "try_out",
    "unsealed_note",
    "write",
]
