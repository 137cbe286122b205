"""What the commands share."""

from __future__ import annotations

import argparse
import sys
from typing import NoReturn


class Parser(argparse.ArgumentParser):
    """Usage errors end with 1, as every bad input does; 2 means "over budget" here."""

    # NoReturn as in argparse: `exit` raises.
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(1, f"{self.prog}: {message}\n")
