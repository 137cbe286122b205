"""Every name that a recipe can use, and the module behind it.

A new data set, input or step is one file and one row here; a new network is a row of
`teachers/networks.py`. The tables are text alone, so that a recipe's names are checked without
loading what they stand for.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from types import ModuleType

from teachers.networks import NETWORKS as FAMILIES


@dataclass(frozen=True)
class Table:
    """Names of one kind.

    Attributes:
        what: the kind in words, for messages.
        modules: name -> dotted path of its module, which has a `Config` of its keys in a recipe.
    """

    what: str
    modules: dict[str, str]

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self.modules)

    def load(self, name: str) -> ModuleType:
        """The module behind a name."""
        # Only when it is asked for: modules of steps import Paddle, which takes seconds to load.
        return importlib.import_module(self.modules[name])


# Rows, not a search of folders: a helper that lies beside a data set is none, and `--list` must not
# load what it lists
DATA_SETS = Table(
    "data set",
    {
        "babel": "compress.data.babel",
        "efficientgcn": "compress.data.efficientgcn",
        "ntu": "compress.data.ntu",
        "nw_ucla": "compress.data.nw_ucla",
        "own": "compress.data.own",
        "pyskl": "compress.data.pyskl",
        "synthetic": "compress.data.synthetic",
    },
)
INPUTS = Table(
    "input",
    {
        "branches": "compress.inputs.branches",
        "crop_resize": "compress.inputs.crop_resize",
        "loop": "compress.inputs.loop",
        "min_max_sample": "compress.inputs.min_max_sample",
        "uniform": "compress.inputs.uniform",
    },
)
STEPS = Table(
    "step",
    {
        "promote": "compress.steps.promote",
        "prune_channels": "compress.steps.prune_channels",
        "prune_layers": "compress.steps.prune_layers",
        "ptq": "compress.steps.ptq",
        "qat": "compress.steps.qat",
        "train": "compress.steps.train",
        "weight_only": "compress.steps.weight_only",
    },
)
# One table of networks for the whole project: `export` and `teachers` use them without recipes
NETWORKS = Table("network", {name: family.network for name, family in FAMILIES.items()})

# What other tools make of the student's weights: the names of a recipe's `compare:`, and their titles
# in the report; `compress.evaluation.rivals` runs them.
RIVALS = {
    "paddleslim_ptq": "PaddleSlim PTQ",
    "onnxruntime_static": "ONNX Runtime static",
    "onnxruntime_dynamic": "ONNX Runtime dynamic",
}
