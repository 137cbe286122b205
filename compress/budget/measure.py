"""Every byte of a deployed folder, attributed: the weights of which block, graph, metadata, or what
should not ship.

    python -m compress.budget runs/ctrgcn_lite/deploy --limit 10MB

works on any folder. Exit code 0: within the limit; 2: over it; 1: bad input. MB = 10^6 bytes, every
file counts. The last line of standard output is one JSON object.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from rich.text import Text

from compress.budget.sizes import format_size, parse_size
from teachers.errors import BudgetExceeded, DataError, RecipeError, printable
from teachers.storage import json_text, seal
from teachers.storage.bounded import read_bytes
from teachers.terminal import ending
from teachers.terminal.arguments import Parser
from teachers.terminal.output import show
from teachers.terminal.tables import Table

COMMAND = "python -m compress.budget"
# Bytes of a deployed.json.
LARGEST_DESCRIPTION = 4_000_000
SHOWN_PARTS = 24  # rows of the printed table; the rest is summed up in one
BAR_WIDTH = 10  # letters of the longest bar


def measure(folder: Path, limit_bytes: int) -> dict:
    """The `budget` value of a report: limit_bytes, total_bytes, within, advice and, file by file,
    its parts.

    Every entry counts with the bytes it has on disk. A symbolic link ships as a link: it counts
    with its own few bytes and is never followed; what it points to is counted where it lies, if it
    lies in the folder.

    Raises:
        DataError: `folder` is not a folder, or cannot be listed.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; give the folder that is deployed")
    try:
        files = [_measure_file(folder, path) for path in _entries(folder)]
    except OSError as error:
        raise DataError(
            f"{error.filename or folder}: cannot be read ({error.strerror}); "
            "every byte has to be counted, so mend its permissions"
        ) from error
    total_bytes = sum(file["bytes"] for file in files)
    measured = {
        "limit_bytes": limit_bytes,
        "total_bytes": total_bytes,
        "within": total_bytes <= limit_bytes,
        "advice": "",
        "files": sorted(files, key=lambda file: (-file["bytes"], file["file"])),
    }
    advice = "\n".join(part for part in (_seal_advice(folder), _advice(measured)) if part)
    return measured | {"advice": advice}


def _seal_advice(folder: Path) -> str:
    """What to do about files that are not those that `deployed.json` was written for; "" where all
    are, or nothing is said."""
    path = folder / seal.DESCRIPTION
    if path.is_symlink() or not path.is_file():
        return ""
    try:
        description = json_text.parse(read_bytes(path, LARGEST_DESCRIPTION), str(path))
        changed = seal.broken(description, folder) if isinstance(description, dict) else []
    # It is counted like any other file, and this is no command to complain about its content.
    except (DataError, OSError):
        return ""
    if not changed:
        return ""
    return (
        f"{printable(', '.join(changed))}: changed since {seal.DESCRIPTION} was written; deploy the"
        " whole folder of one export."
    )


def _entries(folder: Path) -> Iterator[Path]:
    """Everything below the folder that is not a folder; links to folders are entries, not ways."""
    # Not Path.rglob: it passes over folders that it may not read, and their bytes ship as well.
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.is_dir(follow_symlinks=False):
            yield from _entries(Path(entry.path))
        else:
            yield Path(entry.path)


def _measure_file(folder: Path, path: Path) -> dict:
    # Late: whoever reads a recipe needs only `parse_size`, not the readers of formats.
    from compress.budget.attribution import parts_of

    status = os.lstat(path)
    if stat.S_ISLNK(status.st_mode):
        if not path.resolve().is_relative_to(folder.resolve()):
            name = "link out of the folder"
        elif path.exists():
            name = "link"
        else:
            name = "broken link"
        parts = [{"part": name, "kind": "other", "bytes": status.st_size}]
    elif stat.S_ISREG(status.st_mode):
        parts = parts_of(path, status.st_size)
    else:
        parts = [{"part": "not a file", "kind": "other", "bytes": status.st_size}]
    # File names are bytes on Linux; the report is UTF-8.
    shown = os.fsencode(path.relative_to(folder)).decode("utf-8", "backslashreplace")
    parts = [part | {"part": printable(str(part["part"]))} for part in parts]
    return {"file": printable(shown), "bytes": status.st_size, "parts": parts}


def _advice(measured: dict) -> str:
    """What to change, one remedy a line, largest gain first; empty for a folder within its limit
    that ships whole."""
    parts = [(part, file["file"]) for file in measured["files"] for part in file["parts"]]
    links = {
        "link out of the folder": (
            "links out of the folder, so its target does not ship: copy the target in"
        ),
        "broken link": "links to nothing: remove the link or put its target back",
    }
    says = [f"{name} {links[part['part']]}." for part, name in parts if part["part"] in links]
    if measured["within"]:
        return "\n".join(says)
    limit = measured["limit_bytes"]
    says.insert(
        0, f"{format_size(measured['total_bytes'] - limit)} over the limit of {format_size(limit)}."
    )
    # By remedy, not by part: many narrow blocks that one change shrinks make one line.
    remedies: Counter[tuple[str, str]] = Counter()
    for part, name in parts:
        remedies[name, _remedy(part["kind"], part["part"])] += part["bytes"]
    for (name, remedy), size in remedies.most_common(3):
        blamed = [
            part
            for part, file in parts
            if file == name and _remedy(part["kind"], part["part"]) == remedy
        ]
        largest = ", ".join(f"{part['part']} {format_size(part['bytes'])}" for part in blamed[:3])
        says.append(f"{name}, {format_size(size)} ({largest}): {remedy}.")
    weights = [
        file["file"]
        for file in measured["files"]
        if any(p["kind"] == "weights" for p in file["parts"])
    ]
    if len(weights) > 1:
        says.append(
            f"{len(weights)} files hold weights ({', '.join(weights[:4])}): "
            "deploy only the format that is served (`export.formats`)."
        )
    return "\n".join(says)


def _remedy(kind: str, part: str) -> str:
    if part in ("op call stacks", "documentation text"):
        return "strip this text, no output depends on it"
    if kind == "weights":
        return "prune or narrow the largest blocks, or store the weights as int8"
    if kind == "graph":
        return "fold convolutions and batch norms, and export the fused form of the network"
    return "remove the file if nothing at run time reads it"


def print_table(measured: dict) -> None:
    """A table of the parts with bars, and whether the folder is within its limit, on standard
    output."""
    total = measured["total_bytes"]
    rows = []
    for file in measured["files"]:
        for part in file["parts"]:
            rows.append((part["bytes"], file["file"], part["part"], part["kind"]))
    # Ties by name, so that two runs print the same table.
    rows.sort(key=lambda row: (-row[0], row[1:]))
    if len(rows) > SHOWN_PARTS:
        rest = rows[SHOWN_PARTS - 1 :]
        rows = rows[: SHOWN_PARTS - 1] + [
            (sum(row[0] for row in rest), f"{len(rest)} smaller parts", "", "")
        ]
    show(Table(("file", "part", "kind", "size", "of all", ""), _cells(rows, total), names=3))
    if measured["within"]:
        verdict = Text("within the limit", "bold green")
    else:
        verdict = Text("OVER THE LIMIT", "bold red")
    limit = format_size(measured["limit_bytes"])
    files = len(measured["files"])
    show(Text(f"{files} files, {format_size(total)} of {limit}: ") + verdict)
    if measured["advice"]:
        show(measured["advice"])


def _cells(rows: list[tuple[int, str, str, str]], total: int) -> list[tuple[str | Text, ...]]:
    styles = {"weights": "blue", "graph": "yellow", "metadata": "bright_black", "other": "magenta"}
    longest = max((row[0] for row in rows), default=1)
    cells: list[tuple[str | Text, ...]] = []
    for size, name, part, kind in rows:
        signs = "█" * round(BAR_WIDTH * size / longest) or "▏"
        # To the left, in a column of numbers.
        bar = Text(signs.ljust(BAR_WIDTH), styles.get(kind, ""))
        share = f"{100 * size / total:.1f}%" if total else ""
        cells.append((name, part, kind, format_size(size), share, bar))
    return cells


@ending.command
def main(arguments: list[str] | None = None, command: str = COMMAND) -> int:
    """The command, called as `command`; returns the exit code."""
    parser = Parser(prog=command, description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="the folder that is deployed")
    parser.add_argument(
        "--limit", default="10MB", help="10MB (default), 500KB, 8MiB, a number of bytes"
    )
    options = parser.parse_args(arguments)
    try:
        limit_bytes = parse_size(options.limit)
    except ValueError as error:
        raise RecipeError(f"--limit: {error}") from error
    measured = measure(options.folder, limit_bytes)
    print_table(measured)
    exit_code = 0 if measured["within"] else BudgetExceeded.exit_code
    ending.print_last_line({"exit_code": exit_code} | measured)
    return exit_code
