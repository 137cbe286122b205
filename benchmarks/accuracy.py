"""The accuracy comparison for any weights or deployed folder, ours or not: `featherbone accuracy`
in a checkout that is not installed.

Run: python benchmarks/accuracy.py --recipe ctrgcn_lite_dml [-o data.name=nw_ucla -o
data.root=FOLDER] TARGET [TARGET ...]; `compress/cli/accuracy.py` says what a TARGET is.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from teachers.terminal import interrupt

# isort: split
interrupt.while_loading(__name__)

from compress.cli import accuracy

if __name__ == "__main__":
    sys.exit(accuracy.main(command="python benchmarks/accuracy.py"))
