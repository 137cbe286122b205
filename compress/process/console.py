"""Progress: bars that move on a terminal, lines now and then elsewhere.

There is one live display, whoever has something to show in it: two of them would draw over each
other, and rich drops a carriage return that somebody writes to move a line of their own.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Column

from teachers.terminal.output import accept_all_letters, err, keep, say

# In a log file or CI: rare enough not to fill it, often enough to see that nothing hangs.
LINE_SECONDS = 30.0
# Below this the bar and what it says about speed would push each other out.
ROOMY_COLUMNS = 60
BAR_WIDTH = 10

# The live display while a task is shown, and how many there are.
_display: Progress | None = None
_shown = 0


class Task:
    """Something that takes time: a line in the live display until `close`, or lines now and then
    where there is no terminal."""

    def __init__(self, title: str, total: float, done: float = 0.0):
        self.title = title
        self.total = max(total, 1)
        self._last_line = time.monotonic()
        self._display = _open()
        self._id: TaskID | None = None
        if self._display is not None:
            self._id = self._display.add_task(title, total=self.total, info="")
            self._display.update(self._id, completed=done)

    def update(self, done: float, info: str) -> None:
        """What is done of the total, and a few words about it."""
        if self._display is not None and self._id is not None:
            self._display.update(self._id, completed=done, info=info)
        elif info and time.monotonic() - self._last_line > LINE_SECONDS:
            self._last_line = time.monotonic()
            say(f"{self.title}: {100 * done / self.total:.0f} %, {info}")

    def refresh(self) -> None:
        """Show that it still goes on, where nothing is known of how far."""
        if self._display is not None:
            self._display.refresh()

    def close(self) -> None:
        """Take the line away; safe to call twice."""
        if self._display is not None and self._id is not None:
            self._display.remove_task(self._id)
            self._id = None
            _leave()


@contextmanager
def bar(title: str, total: int, unit: str = "clips") -> Iterator[Callable[[int], None]]:
    """A progress bar; yields `advance(count)`. Where there is no terminal, a line when it is
    done."""
    started = time.monotonic()
    task = Task(title, total)
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        seconds = max(time.monotonic() - started, 1e-9)
        task.update(done, f"{done}/{total} {unit}, {done / seconds:.0f}/s")

    try:
        yield advance
    finally:
        task.close()
    if done:
        _finished(f"{title}: {done} {unit} in {time.monotonic() - started:.1f} s")


@contextmanager
def reading() -> Iterator[Callable[[int, int, str], None]]:
    """Yields the `progress` callback of the data readers: (done, total, what), where `what` changes
    from one part of the work to the next."""
    task: Task | None = None
    started = time.monotonic()

    def progress(done: int, total: int, what: str) -> None:
        nonlocal task, started
        if task is None or task.title != what:
            if task is not None:
                task.close()
            task = Task(what, total)
            started = time.monotonic()
        task.update(done, f"{done}/{total}")
        # Shorter work than that is no news.
        if done == total and time.monotonic() - started > 2:
            _finished(f"{what}: {total} in {time.monotonic() - started:.1f} s")

    try:
        yield progress
    finally:
        if task is not None:
            task.close()


def _finished(text: str) -> None:
    # A terminal has seen the bar; a log has not.
    if _is_live():
        keep(text)
    else:
        say(text)


def _is_live() -> bool:
    # Not `is_terminal` alone: FORCE_COLOR, which CI sets, makes a terminal of a pipe for rich, and
    # a bar there is one line a tenth of a second.
    return err.is_interactive and err.file.isatty()


def _open() -> Progress | None:
    global _display, _shown
    if _display is None:
        if not _is_live():
            return None
        accept_all_letters(err.file)
        _display = Progress(
            *_columns(),
            console=err,
            transient=True,
            # Else what goes to a file would be drawn on the terminal instead.
            redirect_stdout=sys.stdout.isatty(),
        )
        _display.start()
    _shown += 1
    return _display


def _leave() -> None:
    global _display, _shown
    _shown -= 1
    if _shown == 0 and _display is not None:
        _display.stop()
        _display = None


def _columns() -> list[ProgressColumn | str]:
    def words(text: str) -> TextColumn:
        # Titles come from recipes and may hold square brackets.
        column = Column(no_wrap=True, overflow="ellipsis")
        return TextColumn(text, markup=False, table_column=column)

    title = words("{task.description}")
    share = words("{task.percentage:>3.0f}%")
    left = TimeRemainingColumn(compact=True, table_column=Column(no_wrap=True))
    if err.width < ROOMY_COLUMNS:
        return [title, share, left]
    return [title, BarColumn(BAR_WIDTH), share, words("{task.fields[info]}"), left]
