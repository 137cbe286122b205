"""`python -m compress.cli VERB ...`, the same as `featherbone VERB ...`."""

from __future__ import annotations

import sys

from compress.cli import main

sys.exit(main())
