"""Raw NTU RGB+D 60/120 `.skeleton` recordings -> a cache that training opens in an instant, with a
report.

Run: python -m compress.data.prepare FOLDER [--preparation ctrgcn|efficientgcn] [--missing LIST]

A recipe with `data: {name: ntu, root: FOLDER}` does the same by itself on first use. A run that
was killed resumes. The last line of stdout is one JSON object.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from teachers.terminal import interrupt

# isort: split
interrupt.while_loading(__name__)

from compress.data.ntu import build, recordings, report
from compress.data.ntu.clean import PREPARATIONS
from compress.data.ntu.clip_cache import Cache
from compress.process.console import bar
from teachers.terminal import ending
from teachers.terminal.arguments import Parser
from teachers.terminal.output import say

COMMAND = "python -m compress.data.prepare"


def parser(command: str = COMMAND) -> Parser:
    """The command line of `command`."""
    line = Parser(
        prog=command,
        description=__doc__.split("\n\n")[0],
        epilog=__doc__.split("\n\n")[2],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    line.add_argument(
        "root", type=Path, help="the folder of .skeleton files, or of folders of them"
    )
    line.add_argument("--preparation", choices=PREPARATIONS, default=PREPARATIONS[0])
    line.add_argument(
        "--missing",
        type=Path,
        help=(
            "list of missing skeletons: names or patterns like S001C00?P*, one a line "
            "(default: the *missing*skeletons*.txt in the folder)"
        ),
    )
    line.add_argument(
        "--cache",
        type=Path,
        help=(
            "where to (default: the user's cache folder, or that of FEATHERBONE_CACHE; besides "
            "there, recipes look in ROOT/.featherbone-cache/ntu-PREPARATION)"
        ),
    )
    line.add_argument("--workers", type=int, help="processes (default: one a core)")
    return line


@ending.command
def main(arguments: list[str] | None = None, command: str = COMMAND) -> int:
    """The command, called as `command`; returns the exit code."""
    line = parser(command)
    options = line.parse_args(arguments)
    if options.workers is not None and options.workers < 1:
        line.error("--workers: must be at least 1")
    started = time.monotonic()
    # Everything for people goes to stderr or the console; the JSON line is for programs.
    try:
        cache = _with_bar(options)
    except KeyboardInterrupt as stopped:
        message = "interrupted; everything finished is kept. Run the same again to continue"
        return ending.fail(message, interrupt.exit_code(stopped))
    report.show(cache.report)
    say(
        f"{cache.folder}: ready after {time.monotonic() - started:.1f} s; the report is report.json"
        " in it"
    )
    ending.print_last_line(
        {
            "status": "ready",
            "cache": str(cache.folder),
            **cache.report["clips"],
            "skipped_because": cache.report["skipped_because"],
            "splits": cache.report["splits"],
        },
    )
    return 0


def _with_bar(options: argparse.Namespace) -> Cache:
    """The cache, with a bar that starts where an earlier run stopped."""
    root = options.root.expanduser()
    shown = 0
    with bar("preparing recordings", len(recordings.listing(root).files)) as advance:
        # The bar wants steps, the builder reports totals: what an earlier run made is one step.
        def callback(done: int, total: int, what: str) -> None:
            nonlocal shown
            advance(done - shown)
            shown = done

        return build.open_or_build(
            root,
            options.preparation,
            options.missing,
            options.workers,
            callback,
            # The shell leaves a ~ as it is in --cache=~/folder.
            options.cache and options.cache.expanduser(),
        )


if __name__ == "__main__":
    sys.exit(main())
