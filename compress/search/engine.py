"""The order of work of a search: teacher, latency of this machine, then what its policy says until
the time is over.

Everything that happened is in the log before anything follows from it, and everything finished is
on disk: trainings under `candidates/`, exported and verified points under `points/`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from compress import contracts, pipeline, plan, recipe as recipes
from compress.budget.measure import measure
from compress.deliver import export_verified
from compress.evaluation.latency import Turn, turn_of, undisturbed
from compress.plan import Plan
from compress.process import console
from compress.recipe.types import Recipe
from compress.reporting import provenance
from compress.reporting.record import Report
from compress.reporting.recorder import Recorder
from compress.search import costs, policy, results, sampler, space as spaces
from compress.search.costs import LatencyModel, Timed
from compress.search.log import NAME, Log
from compress.search.policy import Ask, Close, Deliver, End, Limits, Schedule, Train
from compress.search.space import Shape, Space
from compress.steps.work import State, Work
from compress.training.curves import Curves
from compress.training.model import Model
from export import deployed, runtimes
from teachers import storage
from teachers.errors import ExportMismatch, FeatherboneError, RecipeError, TrainingError
from teachers.terminal import interrupt
from teachers.terminal.output import say
from teachers.weights.held import HeldFiles
from teachers.weights.identity import of as identity_of

# Files that the latency model is fitted on.
TIMED = 12
REFERENCE = "reference"


@dataclass(frozen=True)
class Request:
    """One search.

    Attributes:
        folder: its output folder.
        command: as typed.
        clock: seconds, from any start; for tests.
    """

    recipe: Recipe
    folder: Path
    limits: Limits
    teacher_cache: Path
    command: str
    clock: Callable[[], float] = time.monotonic


def execute(request: Request) -> results.Found:
    """Search until the time or the space is over; what was found is on disk all the while.

    Raises:
        FeatherboneError, KeyboardInterrupt: everything finished is kept.
    """
    return _Search(request).run()


class _Heard(Recorder):
    """Notes in the log that the teacher's training goes on."""

    def __init__(self, report: Report, heard: Callable[[int], None]):
        super().__init__(report)
        self._heard = heard

    def curve(
        self, title: str, history: Sequence[Mapping[str, Any]], kept_epoch: int | None = None
    ) -> None:
        super().curve(title, history, kept_epoch)
        if kept_epoch is None and history:
            self._heard(len(history))


class _Search:
    def __init__(self, request: Request):
        self.request = request
        self.folder = request.folder
        self.limits = request.limits
        self.log = Log(request.folder / NAME, request.clock)
        self._begin()
        # What the last training left: its shape's name, how many epochs, the networks.
        self._trained: tuple[str, int, State] | None = None
        self._mark = 0.0

    def _begin(self) -> None:
        now = recipes.to_dict(self.request.recipe)
        limits = asdict(self.limits)
        if not self.log.events:
            self.log.add("begin", recipe=now, limits=limits)
            return
        before = self.log.events[0]
        changed = recipes.changed_since(self.request.recipe, before["recipe"])
        # More time may be given; another limit would have led elsewhere.
        for key in ("max_size", "max_ms", "max_drop"):
            if before["limits"][key] != limits[key]:
                changed.append((key, before["limits"][key], limits[key]))
        if changed:
            path, then, today = changed[0]
            raise RecipeError(
                f"--resume: {self.folder} was searched with {path} = {then!r}, now it is {today!r};"
                " give the same recipe and limits, or leave --resume out and give another --output"
            )

    def run(self) -> results.Found:
        with console.reading() as progress:
            self.dataset = plan.load_data(self.request.recipe, progress)
        planned = plan.make(self.request.recipe, self.dataset)
        self.space: Space = spaces.of(planned)
        self.by_name = {shape.name: shape for shape in self.space.shapes}
        sampler.check(self.space)
        for note in (*planned.notes, *spaces.notes(planned.recipe)):
            say(f"note: {note}")
        search = planned.recipe.search
        self.schedule = Schedule(self.space.training.epochs, search.candidates, search.halving)
        self._teach(planned)
        self.model = self._latency()
        while not isinstance(action := self._next(), End):
            interrupt.check()
            self._do(action)
        if self.log.events[-1]["kind"] != "end":
            self.log.add("end", why=action.why)
        return self._publish()

    def _next(self) -> policy.Action:
        return policy.next_action(self.log.events, self.limits, self.schedule)

    def _do(self, action: policy.Action) -> None:
        if isinstance(action, Ask):
            self._ask()
        elif isinstance(action, Close):
            self.log.add("wave", members=list(action.members))
        elif isinstance(action, Train):
            self._train(action)
        elif isinstance(action, Deliver):
            self._deliver(action)

    # The teacher

    def _teach(self, planned: Plan) -> None:
        recipe = planned.recipe
        run = pipeline.Run(recipe, self.folder, self.request.teacher_cache, self.request.command)
        report = Report(
            recipe=recipe.name,
            output=str(self.folder),
            provenance=provenance.of_run(recipe, self.request.command, ()),
        )
        self.work = Work(
            self.folder,
            self.dataset,
            Curves(self.folder / "curves"),
            recipe.seed,
            pipeline.origin(planned),
            recipe.teacher.runtime,
        )
        held = HeldFiles(self.folder)
        files = {weights.path: weights.sha256 for weights in planned.weights}
        held.check(files)
        held.keep(files)
        recorder = _Heard(report, self._teacher_epoch)
        self.models, self.logits = pipeline.obtain_teachers(run, self.work, planned, recorder, held)
        self.provenance = report.provenance
        row = recorder.report.network("teacher")
        # Judged by `obtain_teachers`.
        assert row is not None and row.top1 is not None
        self.teacher_top1 = float(row.top1)
        roles = (
            ["teacher"]
            if len(self.models) == 1
            else [f"teacher{number}" for number in range(1, len(self.models) + 1)]
        )
        self.teachers = [(self.folder / "weights" / f"{role}.npz").absolute() for role in roles]
        if not self.log.of("teacher"):
            self.log.add("teacher", top1=self.teacher_top1)

    def _teacher_epoch(self, epochs: int) -> None:
        if self.log.of("teacher"):
            return
        self.log.add("teacher epoch", epoch=epochs)
        seconds = self.limits.seconds
        if seconds is not None and self.log.elapsed > seconds:
            raise TrainingError(
                f"the time is over and the teacher is still trained, after {epochs} epochs; they are"
                " kept: give more --time with --resume, or teacher.weights"
            )

    # Costs

    def _recipe(self, shape: Shape, bits: str, stop_after: int | None = None) -> Recipe:
        return spaces.recipe_of(self.space, shape, bits, self.teachers, stop_after)  # type: ignore[arg-type]

    def _planned(self, recipe: Recipe) -> Plan:
        return plan.make(recipe, self.dataset)

    @property
    def _kind(self) -> str:
        """The format whose latency counts: the one that is served where there is a choice."""
        formats = self.space.base.export.formats
        return "onnx" if "onnx" in formats else formats[0]

    def _turn(self, folder: Path, planned: Plan) -> Turn:
        description = deployed.read(folder)
        predict = deployed.predictors(folder, description, runtimes.default_threads())[self._kind]
        view = planned.student.task.view
        return turn_of(predict, self.work.evaluation(view, view.clips))

    def _latency(self) -> LatencyModel:
        """The latency model of this machine, fitted once a search."""
        if not self.log.of("latency"):
            rows = self._timed()
            model = costs.fit(rows)
            self.log.add(
                "latency",
                rows=[{**asdict(row), "shape": row.shape.name} for row in rows],
                error=model.error,
                largest=model.largest,
            )
            say(
                f"latency: fitted on {len(rows)} files of this machine, typical error"
                f" {100 * model.error:.0f} %, largest {100 * model.largest:.0f} %"
            )
        self.timed = [
            Timed(**{**row, "shape": self.by_name[row["shape"]]})
            for row in self.log.of("latency")[0]["rows"]
        ]
        # Frames and stream change a few digits of a file and no weight.
        self.sizes = {
            (row.shape.layers, row.shape.channels, row.bits): row.size_bytes for row in self.timed
        }
        return costs.fit(self.timed)

    def _timed(self) -> list[Timed]:
        """A dozen files of the space, timed in turns."""
        chosen = self._spread()
        turns: list[Turn] = []
        rows: list[Timed] = []
        with console.bar("latency of this machine", len(chosen), "files") as advance:
            for number, (shape, bits) in enumerate(chosen):
                planned = self._planned(self._recipe(shape, bits))
                folder = self.folder / REFERENCE / str(number)
                size_bytes = self._written(planned, folder)
                turns.append(self._turn(folder, planned))
                spec: Any = planned.final_spec
                macs = costs.networks.macs(spec)
                rows.append(Timed(shape, bits, size_bytes, macs, len(spec.blocks), 0.0))
                advance(1)
        latencies = undisturbed(turns)
        return [replace(row, ms=ms) for row, ms in zip(rows, latencies, strict=True)]

    def _spread(self) -> list[tuple[Shape, str]]:
        """Points from the least to the most arithmetic, as many of each kind of files."""
        kinds: dict[str, str] = {}
        for bits in self.space.bits:
            kinds.setdefault(costs.kind_of(bits), bits)
        order = sorted(
            self.space.shapes,
            key=lambda shape: (
                (1 - shape.channels) ** 2 * shape.frames / (1 + len(shape.layers)),
                shape.name,
            ),
        )
        # Not the largest of all that cannot fit: a line is best where it is used.
        count = min(TIMED // len(kinds), len(order))
        places = sorted({round(place) for place in np.linspace(0, len(order) - 1, count)})
        return [(order[place], bits) for bits in kinds.values() for place in places]

    def _written(self, planned: Plan, folder: Path) -> int:
        with storage.staging(storage.make_folder(folder)) as unfinished:
            size_bytes = costs.write(
                planned.recipe, planned.final_spec, planned.student.task, unfinished
            )
            for file in unfinished.iterdir():
                if file.name != storage.WRITING:
                    storage.deliver(file, folder)
        return size_bytes

    def _points(self, shape: Shape) -> tuple[dict[str, dict[str, Any]], str]:
        """(by bits, the points of a shape that can keep the limits; why there is none)."""
        points: dict[str, dict[str, Any]] = {}
        why = ""
        for bits in self.space.bits:
            try:
                planned = self._planned(self._recipe(shape, bits))
            except RecipeError as problem:
                return {}, str(problem)
            spec: Any = planned.final_spec
            macs = costs.networks.macs(spec)
            ms = self.model.predict(bits, macs, len(spec.blocks), spec.input_shape[1])
            # A prediction that is wrong by its usual error must not cost a network.
            if self.limits.max_ms is not None and ms > self.limits.max_ms * (1 + self.model.error):
                why = f"about {ms:.1f} ms"
                continue
            if costs.least_bytes(spec, bits) > self.limits.max_size:
                why = f"more than {costs.least_bytes(spec, bits) / 1e6:.2f} MB of weights"
                continue
            size_bytes = self._size(shape, bits, planned)
            if size_bytes > self.limits.max_size:
                why = f"{size_bytes / 1e6:.2f} MB"
                continue
            points[bits] = {"bytes": size_bytes, "ms": round(ms, 4), "macs": macs}
        return points, why

    def _size(self, shape: Shape, bits: str, planned: Plan) -> int:
        key = (shape.layers, shape.channels, bits)
        if key not in self.sizes:
            with storage.scratch() as folder:
                self.sizes[key] = costs.write(
                    planned.recipe, planned.final_spec, planned.student.task, folder
                )
        return self.sizes[key]

    # Actions

    def _ask(self) -> None:
        """The next network of the wave that can keep the limits."""
        seen = {event["name"] for event in self.log.events if "name" in event}
        tried = [
            sampler.Tried(
                self.by_name[one.name],
                min(point["bytes"] for point in one.points.values()),
                max(one.top1[: self.schedule.rungs[0]]),
            )
            for one in policy.State(self.log.events).alive
            if one.top1
        ]
        shape = sampler.propose(self.space, seen, tried)
        if shape is None:
            self.log.add("exhausted")
            return
        points, why = self._points(shape)
        if points:
            self.log.add("candidate", name=shape.name, points=points)
        else:
            self.log.add("refused", name=shape.name, why=why)

    def _train(self, action: Train) -> None:
        say(f"{action.shape}: training to epoch {action.epochs} of {self.schedule.epochs}")
        try:
            state = self._state(self.by_name[action.shape], action.epochs)
        except TrainingError as problem:
            say(f"{action.shape}: {problem}")
            self.log.add("failed", shape=action.shape, why=str(problem))
            return
        done = len(self._epochs(action.shape))
        why = policy.stops(self.log.events, action.shape, action.epochs, self.limits)
        if done >= self.schedule.epochs or not why:
            # Not `why`: it stopped by itself, because its recipe has `patience`.
            why = "end"
        self.log.add("rested", shape=action.shape, epoch=done, why=why)
        self._trained = (action.shape, done, state)

    def _epochs(self, name: str) -> list[dict[str, Any]]:
        return [event for event in self.log.of("epoch") if event["shape"] == name]

    def _state(self, shape: Shape, target: int) -> State:
        """The networks after so many epochs of a shape's training, the student with its best
        weights."""
        planned = self._planned(self._recipe(shape, "float32"))
        folder = self.folder / "candidates" / shape.name
        self._mark = self.log.now()
        work = replace(
            self.work,
            folder=folder,
            curves=Curves(folder / "curves"),
            origin=pipeline.origin(planned),
            record=partial(self._heard, shape.name),
            enough=partial(self._enough, shape.name, target),
        )
        state = State(pipeline.student_of(planned, self.models[0]), self.models)
        for entry in planned.steps:
            work = replace(work, origin=pipeline.after_step(work.origin, entry))
            state = entry.module.apply(state, entry.entry.config, work, entry.number).state
        work.curves.close()
        return state

    def _heard(self, name: str, history: Sequence[Mapping[str, Any]]) -> None:
        """Note the epochs that are saved and not in the log yet."""
        for record in history[len(self._epochs(name)) :]:
            self.log.add(
                "epoch",
                shape=name,
                epoch=record["epoch"],
                top1=record["val"]["student/top1"],
                seconds=round(self.log.now() - self._mark, 3),
            )
        self._mark = self.log.now()

    def _enough(self, name: str, target: int) -> bool:
        return bool(policy.stops(self.log.events, name, target, self.limits))

    def _at_rest(self, name: str) -> State:
        done = len(self._epochs(name))
        if self._trained is None or self._trained[:2] != (name, done):
            self._trained = (name, done, self._state(self.by_name[name], done))
        return self._trained[2]

    def _deliver(self, action: Deliver) -> None:
        """Export and verify a point, or note that the front can gain nothing from it."""
        name = action.shape
        one = policy.State(self.log.events).candidates[name]
        about = {"shape": name, "bits": action.bits, "best_epoch": one.best_epoch}
        if not policy.promising(self.log.events, name, action.bits):
            self.log.add("skipped", **about)
            return
        started = self.log.now()
        try:
            measured = self._measured(action, one)
        except ExportMismatch as problem:
            say(f"{name}-{action.bits}: {problem}")
            self.log.add("unusable", **about, why=str(problem))
            return
        self.log.add("point", **about, **measured, seconds=round(self.log.now() - started, 3))
        self._publish()

    def _measured(self, action: Deliver, one: policy.Candidate) -> dict[str, Any]:
        shape = self.by_name[one.name]
        recipe = self._recipe(shape, action.bits, one.best_epoch)
        state = self._at_rest(one.name)
        folder = f"points/{recipe.name}-e{one.best_epoch}"
        work = replace(
            self.work,
            folder=self.folder / folder,
            origin=identity_of([self.work.origin, shape, action.bits, one.best_epoch]),
        )
        if action.bits != "float32":
            step = recipe.steps[-1]
            module = contracts.step(step.kind)
            state = module.apply(state, step.config, work, len(recipe.steps)).state
        report = Report(recipe=recipe.name, output=str(work.folder), provenance=self.provenance)
        recorder = Recorder(report)
        checked = export_verified(recipe, work, state, self.logits, recorder)
        rows = [row for row in recorder.report.runtimes if row.deployed]
        # Of the trained network comes first, then of each format.
        turn = checked.turns[1 + recipe.export.formats.index(self._kind)]
        weighed = measure(work.folder / "deploy", self.limits.max_size)
        return {
            "folder": folder,
            "bytes": weighed["total_bytes"],
            "ms": self._latency_of(turn),
            "predicted_ms": one.points[action.bits]["ms"],
            "macs": one.macs,
            # The worst of the files: whichever is served, it keeps the promise.
            "top1": min(row.top1 for row in rows if row.top1 is not None),
            "trained_top1": one.best,
            "epochs": len(one.top1),
        }

    def _latency_of(self, turn: Turn) -> float:
        """Milliseconds of a clip, as they would have been when the model was fitted."""
        first = self.timed[0]
        planned = self._planned(self._recipe(first.shape, first.bits))
        reference = self._turn(self.folder / REFERENCE / "0", planned)
        # In turns with a file of then: what the machine does beside it hits both.
        own, then = undisturbed([turn, reference])
        return round(first.ms * own / then, 4)

    def _publish(self) -> results.Found:
        found = results.found(self.log.events, self.limits, self.teacher_top1)
        results.write(found, self.folder, self._point_recipe)
        return found

    def _point_recipe(self, point: Mapping[str, Any]) -> str:
        shape = self.by_name[point["shape"]]
        recipe = self._recipe(shape, point["bits"], point["best_epoch"])
        return recipes.to_yaml(recipe, defaults=False)


__all__ = ["FeatherboneError", "Request", "execute"]
