"""What the commands share."""

from __future__ import annotations

import argparse
import sys


class Parser(argparse.ArgumentParser):
    """Usage errors end with 1, as every bad input does; 2 means "over budget" here."""

    def error(self, message: str):
        self.print_usage(sys.stderr)
        self.exit(1, f"{self.prog}: {message}\n")
