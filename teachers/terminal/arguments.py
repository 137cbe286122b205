"""The command line of every command."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
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


def given(options: argparse.Namespace, names: Iterable[str]) -> list[str]:
    """Which of these options were given, as they are typed. Their default is None, False or empty."""
    # A number may be 0, and is given all the same.
    absent: tuple[object, ...] = (None, False, "", [])
    values = {name: getattr(options, name, None) for name in names}
    typed = {"overrides": "-o"}
    return [
        typed.get(name, f"--{name.replace('_', '-')}")
        for name, value in values.items()
        if type(value) is float or value not in absent
    ]
