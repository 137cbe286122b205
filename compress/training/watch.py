"""What a person sees of a training: a bar, a row an epoch, curves for VisualDL."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from compress.process.console import Task
from compress.training.curves import Curves
from compress.training.epoch_curves import EpochResult, records
from compress.training.epoch_lines import EpochLines
from teachers.terminal.output import say, width

# Called with all epochs of a training that are done and saved, after each of them.
History = Callable[[Sequence[Mapping[str, Any]]], None]


class Watch:
    """Shows one training; its curves are the part `name` of the run's curves.

    Args:
        record: keeps the history, so that a report of a training that was stopped has it.
    """

    def __init__(self, curves: Curves, name: str, record: History = lambda history: None):
        self._all_curves = curves
        self.name = name
        self.record = record
        # None before `begin` and after `end`.
        self._task: Task | None = None

    def begin(self, title: str, learner: str, epochs: int, history: list[dict], clips: int) -> None:
        """Start the bar; a resumed training has `history` already. `clips` of the validation split
        are judged."""
        self.title = title
        self.judged = f"{learner}/top1"
        self.epochs = epochs
        self.history = list(history)
        self.record(self.history)
        self.curves = self._all_curves.part(self.name)
        self.lines = EpochLines(learner, epochs, clips)
        self.best = max([record["val"][self.judged] for record in history], default=0.0)
        self.has_heading = False
        self.done = len(history)
        self.speed = 0.0
        self.began = time.monotonic()
        self.started = self.began
        if history:
            say(f"{title}: continues after epoch {len(history)} of {epochs}")
        else:
            say(f"{title}: {epochs} epochs")
        self._task = Task(title, epochs, self.done)

    @property
    def _bar(self) -> Task:
        if self._task is None:
            raise RuntimeError("Watch.begin was not called, or Watch.end was")
        return self._task

    def start(self, top1: float) -> None:
        """Top-1 in percent before the first epoch, where that counts."""
        self.best = max(self.best, top1)
        if self.done == 0:
            # Not "of the validation split": `select_on: holdout` judges on other clips.
            right = f"{self.lines.right(top1)}/{self.lines.clips}"
            say(f"{self.title}: starts from {top1:.2f} % top-1 ({right})")

    def step(self, fraction: float, loss: float, top1: float, seen: int) -> None:
        """Within an epoch: the part done, mean loss and top-1 (percent) so far, clips so far."""
        # A coarse clock may stand still for a first fast batch.
        self.speed = seen / max(time.monotonic() - self.started, 1e-9)
        self._bar.update(
            self.done + fraction,
            f"{self.done + 1}/{self.epochs}  loss {loss:.3f}  top-1 {top1:.1f}%"
            f"  {self.speed:.0f} clips/s",
        )

    def validating(self, count: int) -> None:
        """Validation clips judged; keeps the bar alive."""
        self._bar.refresh()

    def draw(self, result: EpochResult) -> None:
        """Write the curves of an epoch, which need not be saved yet: what a resumed run does again
        replaces it."""
        self.curves.write(records(result))

    def epoch(self, record: dict) -> None:
        """An epoch is done and saved."""
        self.history.append(record)
        # First: what follows may fail on a full disk.
        self.record(self.history)
        self.done = record["epoch"]
        top1 = record["val"][self.judged]
        self.best = max(self.best, top1)
        if not self.has_heading:
            say(self.lines.heading(width()))
            self.has_heading = True
        say(self.lines.row(record, self.speed, self.best, width()))
        # No words: the row has said it.
        self._bar.update(self.done, "")
        self.started = time.monotonic()

    def finished(self, best_epoch: int, last: int) -> None:
        """Epoch `last` was the last one; 0 where the network as it came was the best."""
        self.end()
        if last < self.epochs:
            say(f"{self.title}: stopped after epoch {last} of {self.epochs}")
        where = f"epoch {best_epoch} of {self.epochs}" if best_epoch else "the start, no epoch"
        seconds = time.monotonic() - self.began
        say(
            f"{self.title}: best top-1 {self.best:.2f} % ({self.lines.right(self.best)}/"
            f"{self.lines.clips}) at {where}, {seconds:.0f} s"
        )

    def end(self) -> None:
        """Take the bar away; safe to call twice."""
        # Twice: `fit` ends it after the last epoch, its caller in a `finally`, so that an error
        # message is not drawn into the bar.
        if self._task is not None:
            self._task.close()
            self._task = None
