"""What a person sees while a run works: progress bars on stderr, one line an epoch, curves for
VisualDL.

On a terminal the bars move; elsewhere (a log file, CI) only finished lines are printed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

# On stderr, for standard output belongs to what a program reads: its last line is JSON. No
# wrapping: a path that is cut in two cannot be copied.
err = Console(stderr=True, highlight=False, soft_wrap=True)


def say(text: str) -> None:
    """One line for a person, on stderr."""
    # No markup: recipes and paths may hold square brackets.
    err.print(text, markup=False)


@contextmanager
def bar(title: str, total: int, unit: str = "clips") -> Iterator[Callable[[int], None]]:
    """A progress bar; yields `advance(count)`. Where there is no terminal, one line when it is
    done."""
    started = time.monotonic()
    with progress_bar() as progress:
        task = progress.add_task(title, total=max(total, 1), info="")
        done = 0

        def advance(count: int) -> None:
            nonlocal done
            done += count
            seconds = max(time.monotonic() - started, 1e-9)
            progress.update(task, completed=done, info=f"{done / seconds:.0f} {unit}/s")

        yield advance
    if not err.is_terminal and done:
        say(f"{title}: {done} {unit} in {time.monotonic() - started:.1f} s")


def reading() -> Callable[[int, int, str], None]:
    """A `progress` callback for data readers: a line at the end of anything that took more than two
    seconds."""
    started = time.monotonic()

    def show(done: int, total: int, what: str) -> None:
        if err.is_terminal:
            err.print(f"\r{what}: {done}/{total}", end="\n" if done == total else "", markup=False)
        elif done == total and time.monotonic() - started > 2:
            say(f"{what}: {total} in {time.monotonic() - started:.1f} s")

    return show


def progress_bar() -> Progress:
    """A bar on stderr that vanishes at its end and shows nothing where there is no terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[info]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=err,
        transient=True,
        disable=not err.is_terminal,
    )
