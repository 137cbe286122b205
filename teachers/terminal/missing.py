"""What to install for a package that is not there: `pip install .` serves, and no more."""

from __future__ import annotations

import sys

# By the package that is missing, the extra of pyproject.toml that has it, where it is not `cpu`.
EXTRAS = {
    "paddleslim": "slim",
    "optuna": "search",
    "openvino": "openvino",
    "nncf": "openvino",
}
# All that `featherbone predict` needs beyond the base installation.
OF_PREDICT = ("rich", "yaml")
OWN = ("compress", "export", "teachers", "benchmarks")


def advice(error: ModuleNotFoundError) -> str:
    """One line for a person; "" where the package is this project's own, which is a mistake in it."""
    name = (error.name or "").partition(".")[0]
    if not name or name in OWN:
        return ""
    extra = EXTRAS.get(name, "cpu")
    if name in OF_PREDICT and sys.argv[1:2] == ["predict"]:
        extra = "predict"
    return (
        f"the package {name!r} is not installed: commands need more than serving from a program does;"
        f' install it with pip install "featherbone[{extra}]", in a checkout pip install ".[{extra}]"'
    )
