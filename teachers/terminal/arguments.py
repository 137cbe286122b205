"""The command line of every command."""

from __future__ import annotations

import argparse
import sys
from typing import Any, NoReturn, Self

from teachers.terminal import ending


class Parser(argparse.ArgumentParser):
    """Usage errors end with 1, as every bad input does; 2 means "over budget" here.

    Every command ends in a JSON object for programs, and so has `--json`: see
    `teachers.terminal.ending.print_last_line`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.add_argument(
            "--json",
            action="store_true",
            help="end with the line of JSON on a terminal, too; elsewhere it always comes last",
        )

    @classmethod
    def documented(cls, command: str, text: str | None, **keywords: Any) -> Self:
        """The parser of a command whose module's docstring says what it does, how to run it (which
        argparse says itself), and more that stands below the options."""
        paragraphs = (text or "").split("\n\n")
        return cls(prog=command, description=paragraphs[0], epilog=paragraphs[2], **keywords)

    # NoReturn as in argparse: `exit` raises.
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        print(f"{self.prog}: {message}", file=sys.stderr)
        # Here too: a program that reads the last line must not need another parser for this.
        ending.print_last_line(ending.failure(message, 1))
        self.exit(1)
