"""Counts how the commands of a chain ended, and holds that against what its parameters file asks
for; every inference must have printed its figures.

Run: python -m benchmarks.tipc.check benchmarks/tipc/configs/ctrgcn/train_infer_python.txt lite_train_lite_infer

Exit code 1 unless every command of the file is there and ran successfully. The last line of stdout
is JSON.
"""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.tipc import chain, parameters, results
from teachers.errors import DataError
from teachers.storage.bounded import read_bytes
from teachers.terminal import ending
from teachers.terminal.arguments import Parser
from teachers.terminal.output import show

LARGEST_FILE = 100_000_000


def problems(commands: list[chain.Command], folder: Path) -> list[str]:
    """What is wrong with a chain that has ended, in words.

    Raises:
        DataError: it has not begun.
    """
    good, bad = results.counted(_text(folder / results.NAME))
    found = []
    if bad:
        found.append(f"{bad} of {len(commands)} commands failed")
    if good + bad != len(commands):
        found.append(f"{good + bad} commands ended, {len(commands)} were to be run")
    for command in commands:
        if not command.infers or not command.log.is_file():
            continue
        lacking = results.lacking(_text(command.log))
        if lacking:
            found.append(f"{command.log}: has no {', '.join(each.strip() for each in lacking)}")
    return found


def _text(path: Path) -> str:
    return read_bytes(path, LARGEST_FILE, DataError).decode("utf-8", "replace")


@ending.command
def main(arguments: list[str] | None = None) -> int:
    """The command; returns the exit code."""
    parser = Parser(description=__doc__.split("\n\n")[0])
    parser.add_argument("config", type=Path, help="the chain's train_infer_python.txt")
    parser.add_argument("mode", help="the mode that it was run in")
    parser.add_argument("--output", type=Path, default=chain.OUTPUT, help="default: %(default)s")
    options = parser.parse_args(arguments)
    lines = parameters.read(options.config)
    folder = chain.folder_of(lines, options.mode, options.output)
    commands = chain.commands(lines, options.mode, folder)
    found = problems(commands, folder)
    good, bad = results.counted(_text(folder / results.NAME))
    show(f"{lines['model_name'].value}: {good} successful, {bad} failed, of {len(commands)}")
    for problem in found:
        show(problem)
    ending.print_last_line(
        {"commands": len(commands), "successful": good, "failed": bad, "problems": found}
    )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
