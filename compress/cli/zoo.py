"""The networks that are installed with the project, with what they were measured at.

Run: featherbone zoo

Each is a deployed folder that is called zoo:NAME: `featherbone predict zoo:NAME CLIP`. The last line
of stdout is JSON.
"""

from __future__ import annotations

from dataclasses import asdict

from compress.reporting.zoo import HEADS, cells, rows
from teachers.terminal import ending
from teachers.terminal.arguments import Parser
from teachers.terminal.output import show
from teachers.terminal.tables import Table

COMMAND = "featherbone zoo"


@ending.command
def main(arguments: list[str] | None = None, command: str = COMMAND) -> int:
    """The command, called as `command`; returns the exit code."""
    Parser.documented(command, __doc__).parse_args(arguments)
    found = rows()
    show(Table(HEADS, [cells(row) for row in found], names=2))
    ending.print_last_line({"rows": [asdict(row) for row in found]})
    return 0
