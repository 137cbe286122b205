"""Minimal Paddle static export: the flat network as `model.pdmodel` + `model.pdiparams`, and
nothing a runtime does not read.

Run: python export/static.py --weights runs/NAME/weights/student.npz --out deploy
"""

from __future__ import annotations

import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from teachers.terminal import interrupt

# isort: split
interrupt.while_loading(__name__)

from export import scripts


def main(arguments: list[str] | None = None) -> int:
    """The command; returns the exit code."""
    return scripts.export(arguments, "paddle", __doc__)


if __name__ == "__main__":
    sys.exit(main())
