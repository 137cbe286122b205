"""`python -m compress.budget FOLDER`, or `python compress/budget FOLDER` from anywhere."""

from __future__ import annotations

import sys
from pathlib import Path

# Run as a folder, Python puts compress/budget on the path; the packages lie two folders up.
if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from teachers.terminal import interrupt

# isort: split
interrupt.while_loading(__name__)

from compress.budget.measure import main

sys.exit(main())
