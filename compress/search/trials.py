"""Training and delivering the networks of a search, by the steps and the delivery of every run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from compress import contracts, pipeline
from compress.deliver import export_verified
from compress.recipe.search import Bits
from compress.reporting.record import Report
from compress.reporting.recorder import Recorder
from compress.search import card, policy
from compress.search.bench import Bench
from compress.search.context import Context
from compress.search.log import Log
from compress.search.space import Shape
from compress.search.state import Candidate, Limits, delivery_name
from compress.steps.work import State
from compress.training.curves import Curves
from teachers.weights import identity


class Trials:
    """Trains the shapes of a space and delivers their points; each epoch goes into the log."""

    def __init__(self, context: Context, log: Log, limits: Limits):
        self._context = context
        self._log = log
        self._limits = limits
        # What the last training left: the shape's name, its epochs, the networks.
        self._trained: tuple[str, int, State] | None = None
        self._mark = 0.0

    def train(self, shape: Shape, target: int) -> tuple[int, str]:
        """Train on, up to so many epochs in all; (epochs that are done, why it stopped).

        Raises:
            TrainingError: see `compress.training.fit.fit`.
        """
        state = self._state(shape, target)
        done = len(self._epochs(shape.name))
        self._trained = (shape.name, done, state)
        why = policy.stops(self._log.events, shape.name, target, self._limits)
        # Not "": it ended by itself, as a recipe with `patience` says.
        ended = done >= self._context.space.training.epochs or not why
        return done, "end" if ended else why

    def deliver(self, shape: Shape, bits: Bits, one: Candidate, bench: Bench) -> dict[str, Any]:
        """Export and verify a point; what it came to.

        Raises:
            ExportMismatch, StorageError: see `export.package.build`.
        """
        in_int8 = one.in_int8(bits)
        recipe = self._context.recipe(shape, bits, one.best_epoch, in_int8)
        state = self._at_rest(shape)
        folder = f"points/{delivery_name(one.name, bits, one.best_epoch)}"
        work = replace(
            self._context.work,
            folder=self._context.folder / folder,
            origin=identity.of([self._context.work.origin, shape, bits, one.best_epoch, in_int8]),
        )
        if bits != "float32":
            step = recipe.steps[-1]
            module = contracts.step(step.kind)
            state = module.apply(state, step.config, work, len(recipe.steps)).state
        report = Report(recipe.name, output=folder, provenance=self._context.provenance)
        recorder = Recorder(report)
        checked = export_verified(recipe, work, state, self._context.logits, recorder)
        rows = [row for row in recorder.report.runtimes if row.deployed]
        # The trained network comes first, then the formats.
        timed = recipe.export.formats.index(self._context.kind)
        ms = bench.latency(checked.turns[1 + timed])
        planned = self._context.planned(recipe)
        limit = self._limits.max_size
        return {
            "folder": folder,
            "bytes": card.write(work.folder, recorder.report, planned, limit, timed, ms),
            "ms": ms,
            "predicted_ms": one.points[bits]["ms"],
            "macs": one.macs,
            # The worst of the files: whichever is served, it keeps the promise.
            "top1": min(row.top1 for row in rows if row.top1 is not None),
            "trained_top1": one.best,
            "epochs": len(one.top1),
        }

    def _at_rest(self, shape: Shape) -> State:
        """The networks as the last training of a shape left them."""
        done = len(self._epochs(shape.name))
        if self._trained is None or self._trained[:2] != (shape.name, done):
            self._trained = (shape.name, done, self._state(shape, done))
        return self._trained[2]

    def _state(self, shape: Shape, target: int) -> State:
        """The networks after so many epochs of a shape's training, the student with its best
        weights."""
        # However its files are stored, the training is the same: no other step comes before it.
        planned = self._context.planned(self._context.recipe(shape, "float32"))
        folder = self._context.folder / "candidates" / shape.name
        self._mark = self._log.now()
        work = replace(
            self._context.work,
            folder=folder,
            curves=Curves(folder / "curves"),
            origin=pipeline.origin(planned),
            record=partial(self._heard, shape.name),
            enough=partial(self._enough, shape.name, target),
        )
        teacher = self._context.teacher
        state = State(pipeline.student_of(planned, teacher), teacher)
        for entry in planned.steps:
            work = replace(work, origin=pipeline.after_step(work.origin, entry))
            state = entry.module.apply(state, entry.entry.config, work, entry.number).state
        work.curves.close()
        return state

    def _epochs(self, name: str) -> list[dict[str, Any]]:
        return [event for event in self._log.of("epoch") if event["shape"] == name]

    def _heard(self, name: str, history: Sequence[Mapping[str, Any]]) -> None:
        """Note the epochs that are saved and not in the log: after a kill, one may be."""
        for record in history[len(self._epochs(name)) :]:
            self._log.add(
                "epoch",
                shape=name,
                epoch=record["epoch"],
                top1=record["val"]["student/top1"],
                seconds=round(self._log.now() - self._mark, 3),
            )
        self._mark = self._log.now()

    def _enough(self, name: str, target: int) -> bool:
        return bool(policy.stops(self._log.events, name, target, self._limits))
