"""Everything that a command prints: lines on stderr, results on stdout, and the copy of it all in a run's `run.log`."""

from __future__ import annotations

import codecs
import errno
import io
import textwrap
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, NoReturn

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.text import Text

from teachers.errors import FeatherboneError


class _Console(Console):
    def on_broken_pipe(self) -> NoReturn:
        """Leaves it to `teachers.terminal.ending` how a command ends that nobody reads: rich 15 itself
        closes standard output, whichever stream it was, and exits with 1, "bad input or failure"."""
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")


# Made once, though the streams are looked up at every print: tests and notebooks replace them.
err = _Console(stderr=True, highlight=False)
out = _Console(highlight=False)
LOG_NAME = "run.log"
# Of tables in the log and the same on every machine, whatever terminal the run was started in.
LOG_WIDTH = 100
# What our own signs become where the terminal's encoding lacks them: one letter each, so that no
# column moves. Any other letter becomes a question mark.
PLAIN_SIGNS = {
    "✓": "+",
    "✗": "x",
    "–": "-",
    "—": "-",
    "·": "-",
    "…": ".",
    "×": "x",
    "█": "#",
    "▏": "|",
    "•": "*",
}
PLAIN = "featherbone.plain"

# Where the open log is; None: nothing is kept.
_log: io.FileIO | None = None


def say(text: str) -> None:
    """One message for a person, on stderr: standard output belongs to results."""
    # Text, not markup: recipes and paths may hold square brackets.
    _print(err, Text(text))


def show(content: RenderableType) -> None:
    """A result for a person, on stdout: a line, a table."""
    _print(out, Text(content) if isinstance(content, str) else content)


def width() -> int:
    """Of the terminal that `say` prints on; 80 where it is none."""
    return err.width


@contextmanager
def log_to(path: Path) -> Iterator[None]:
    """Keep what is printed inside the block in `path` as well, with the time; an existing log goes
    on. The traceback of a fault of the program is kept, too."""
    global _log
    try:
        # Unbuffered: a killed run has its last line, and closing has nothing to write that a full
        # disk could refuse.
        file = open(path, "ab", buffering=0)  # noqa: SIM115  (closed below)
    except OSError as error:
        _no_log(error)
        yield
        return
    _log = file
    try:
        yield
    except (FeatherboneError, KeyboardInterrupt, SystemExit):
        # Whoever catches it prints it, and so it is in the log.
        raise
    except BaseException:
        keep(traceback.format_exc())
        raise
    finally:
        _log = None
        file.close()


def keep(text: str) -> None:
    """Lines for the log alone: what a terminal shows as a bar that goes away again."""
    if _log is None:
        return
    now = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
    lines = "".join(f"{now}  {line.rstrip()}\n" for line in text.splitlines())
    try:
        # Replaced: a path may hold bytes that are no text.
        _log.write(lines.encode("utf-8", "replace"))
    except OSError as error:
        _no_log(error)


def _no_log(error: OSError) -> None:
    global _log
    # A full disk stops a run where results are written; the log is no result.
    _log = None
    say(f"note: {LOG_NAME} cannot be written ({error.strerror}); the run goes on without")


def _print(console: Console, content: RenderableType) -> None:
    accept_all_letters(console.file)
    if not isinstance(content, Text):
        # Tables and panels keep to the width by themselves.
        console.print(content)
    elif console.is_terminal:
        console.print(_folded(content, console.width), soft_wrap=True)
    else:
        # Programs read this, too, and expect no folded lines.
        console.print(content, soft_wrap=True)
    if _log is not None:
        paper = Console(file=io.StringIO(), width=LOG_WIDTH, highlight=False, color_system=None)
        with paper.capture() as written:
            paper.print(content, soft_wrap=isinstance(content, Text))
        keep(written.get())


def _folded(content: Text, width: int) -> Text:
    """Broken between words. A path that is too long is left to the terminal, whose own break is
    none when it is copied; rich would put a line's end into it."""
    lines = []
    for line in content.plain.split("\n"):
        if cell_len(line) <= width:
            lines.append(line)
        else:
            lines += textwrap.wrap(
                line, width, break_long_words=False, break_on_hyphens=False, subsequent_indent="  "
            )
    folded = "\n".join(lines)
    # Styles of parts belong to places in the text, which only stay where nothing was broken.
    return content if folded == content.plain else Text(folded, content.style)


def accept_all_letters(stream: IO[str]) -> None:
    """Print in any encoding: a finished run must not die of a sign that a terminal lacks."""
    # Tests and notebooks put other objects there, which take any letter. Python's own handler of
    # stderr writes six letters for one, and every column after it moves.
    if isinstance(stream, io.TextIOWrapper) and stream.errors != PLAIN:
        stream.reconfigure(errors=PLAIN)


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letters = error.object[error.start : error.end]
    return "".join(PLAIN_SIGNS.get(letter, "?") for letter in letters), error.end


codecs.register_error(PLAIN, _plain)
