"""Raw NTU RGB+D 60/120 `.skeleton` recordings -> a cache that training opens in an instant, with a
report.

Run: python -m compress.data.prepare FOLDER [--preparation ctrgcn|efficientgcn] [--missing LIST]
     python -m compress.data.prepare FOLDER --write original|transformed --to FOLDER
     python -m paddle.distributed.launch --nproc_per_node N compress/data/prepare.py FOLDER

A recipe with `data: {name: ntu, root: FOLDER}` does the same by itself on first use. A run that
was killed resumes. The last line of stdout is one JSON object. With --write the clips are also
written as EfficientGCN's arrays, which data set `efficientgcn` and the published program read.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

if __package__ in (None, ""):
    # As a script, which a launcher starts: imports are looked up in the repository's root
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from teachers.terminal import interrupt

# isort: split
interrupt.while_loading(__name__)

from compress.data import ntu
from compress.data.ntu import array_files, build, recordings, report
from compress.data.ntu.clean import PREPARATIONS
from compress.data.ntu.clip_cache import Cache
from compress.process import ranks
from compress.process.console import bar
from teachers.terminal import ending
from teachers.terminal.arguments import Parser, given
from teachers.terminal.output import say

COMMAND = "python -m compress.data.prepare"
# Of --write, where nothing else is said.
BENCHMARK = "xsub"


def parser(command: str = COMMAND) -> Parser:
    """The command line of `command`."""
    line = Parser.documented(
        command, __doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    line.add_argument(
        "root", type=Path, help="the folder of .skeleton files, or of folders of them"
    )
    line.add_argument(
        "--preparation",
        choices=PREPARATIONS,
        help=f"(default: {PREPARATIONS[0]}, and efficientgcn with --write)",
    )
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
    line.add_argument(
        "--write",
        action="append",
        choices=tuple(array_files.STEPS),
        default=[],
        help="write EfficientGCN's arrays; twice for both",
    )
    line.add_argument("--to", type=Path, help="where --write makes its folders")
    line.add_argument(
        "--benchmark", choices=("xsub", "xview", "xset"), help=f"split of --write ({BENCHMARK})"
    )
    return line


def _checked(line: Parser, options: argparse.Namespace) -> argparse.Namespace:
    """The arguments, where they go together."""
    if options.workers is not None and options.workers < 1:
        line.error("--workers: must be at least 1")
    if options.write and options.to is None:
        line.error("--write: needs --to FOLDER, for nothing is written among the recordings")
    useless = [] if options.write else given(options, ("to", "benchmark"))
    if useless:
        line.error(f"{', '.join(useless)}: has no effect without --write; leave it out, or add it")
    if options.write and options.preparation == "ctrgcn":
        line.error("--write: is of --preparation efficientgcn; leave --preparation out")
    if options.benchmark is None:
        options.benchmark = BENCHMARK
    if options.preparation is None:
        options.preparation = "efficientgcn" if options.write else PREPARATIONS[0]
    return options


@ending.command
def main(arguments: list[str] | None = None, command: str = COMMAND) -> int:
    """The command, called as `command`; returns the exit code."""
    line = parser(command)
    options = _checked(line, line.parse_args(arguments))
    started = time.monotonic()
    ranks.hush()
    # Everything for people goes to stderr or the console; the JSON line is for programs.
    try:
        cache = _with_bar(options)
        written = _write(options, cache)
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
            "written": [str(folder) for folder in written],
        },
    )
    return 0


def _write(options: argparse.Namespace, cache: Cache) -> list[Path]:
    """The folders that `--write` asks for, with a bar each."""
    written: list[Path] = []
    if not options.write or ranks.launched_as()[0] > 0:
        return written
    root = options.root.expanduser()
    config = ntu.Config(str(root), options.benchmark, options.preparation)
    dataset = ntu.of_cache(cache, config)
    # EfficientGCN calls the two cross-subject splits by two names, the others by the same.
    of_120 = options.benchmark == "xsub" and len(dataset.classes) > 60
    benchmark = "xsub120" if of_120 else options.benchmark
    for prepared in dict.fromkeys(options.write):
        with bar(f"writing {prepared}", len(dataset.train) + len(dataset.val)) as advance:
            folder = array_files.write(
                dataset, options.to.expanduser(), prepared, benchmark, advance
            )
        say(f"{folder}: written; data: {{name: efficientgcn, root: {options.to}}} reads it")
        written.append(folder)
    return written


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
