"""What a person sees of a training: a bar, one line an epoch, curves for VisualDL."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.progress import Progress

from compress.process.console import progress_bar, say
from compress.training.curves import Curves

# Called with all epochs of a training that are done and saved, after each of them.
History = Callable[[Sequence[Mapping[str, Any]]], None]


class Watch:
    """Shows one training and writes its curves; the tags begin with `prefix`.

    Args:
        record: keeps the history, so that a report of a training that was stopped has it.
    """

    def __init__(self, curves: Curves, prefix: str, record: History = lambda history: None):
        self.curves = curves
        self.prefix = prefix
        self.record = record
        # None before `begin` and after `end`.
        self._progress: Progress | None = None

    def begin(self, title: str, learner: str, epochs: int, history: list[dict]) -> None:
        """Start the bar; a resumed training has `history` already."""
        self.title = title
        self.judged = f"{learner}/top1"
        self.epochs = epochs
        self.history = list(history)
        self.done = len(history)
        self.record(self.history)
        self.seen = 0
        self.started = time.monotonic()
        if history:
            say(f"{title}: continues after epoch {len(history)} of {epochs}")
        self._progress = progress_bar()
        self._progress.start()
        self._task = self._progress.add_task(title, total=epochs, completed=self.done, info="")

    @property
    def _bar(self) -> Progress:
        if self._progress is None:
            raise RuntimeError("Watch.begin was not called, or Watch.end was")
        return self._progress

    def start(self, top1: float) -> None:
        """Top-1 in percent before the first epoch."""
        say(f"{self.title}: starts from {top1:.2f} % on the validation split")

    def step(self, fraction: float, loss: float, top1: float, seen: int) -> None:
        """Within an epoch: the part done, mean loss and top-1 (percent) so far, clips so far."""
        self.seen = seen
        # A coarse clock may stand still for a first fast batch.
        speed = seen / max(time.monotonic() - self.started, 1e-9)
        self._bar.update(
            self._task,
            completed=self.done + fraction,
            info=(
                f"epoch {self.done + 1}/{self.epochs}  loss {loss:.3f}  top-1 {top1:.1f}% "
                f" {speed:.0f} clips/s"
            ),
        )

    def validating(self, count: int) -> None:
        """Validation clips judged; keeps the bar alive."""
        self._bar.refresh()

    def epoch(self, record: dict, best_epoch: int) -> None:
        """An epoch is done and saved."""
        self.history.append(record)
        # First: what follows may fail on a full disk.
        self.record(self.history)
        self.done = record["epoch"]
        self.started = time.monotonic()
        train = record["train"]
        val = record["val"]
        # Only the parts of the loss: names with a role ("student/top1") are accuracies.
        parts = "  ".join(
            f"{name} {value:.3f}"
            for name, value in train.items()
            if "/" not in name and name != "loss"
        )
        best = "  best" if best_epoch == record["epoch"] else ""
        say(
            f"{self.title}  epoch {record['epoch']:>3}/{self.epochs}  loss {train['loss']:.4f}"
            f" ({parts})  train top-1 {train[self.judged]:.2f}%  val top-1"
            f" {val[self.judged]:.2f}%{best}  {record['seconds']:.1f} s"
        )
        values = {f"{self.prefix}/train/{name}": value for name, value in train.items()}
        values |= {f"{self.prefix}/val/{name}": value for name, value in val.items()}
        self.curves.scalars(
            record["epoch"], values | {f"{self.prefix}/learning_rate": record["lr"]}
        )
        self._bar.update(self._task, completed=self.done, info=f"val top-1 {val[self.judged]:.2f}%")

    def end(self) -> None:
        """Take the bar away; safe to call twice."""
        # Twice: `fit` ends it after the last epoch, its caller in a `finally`, so that an error
        # message is not drawn into the bar.
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
