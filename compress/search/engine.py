"""The order of work of a search: teacher, latency of this machine, then what its policy says until
the time is over.

Everything that happened is in the log before anything follows from it, and everything finished is
on disk: trainings under `candidates/`, exported and verified points under `points/`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from compress import pipeline, plan, recipe as recipes
from compress.process import console
from compress.recipe.types import Recipe
from compress.search import context as contexts, policy, results, sampler, space as spaces
from compress.search.bench import Bench
from compress.search.log import NAME, Log
from compress.search.state import Action, Ask, Close, Deliver, End, Limits, Schedule, State, Train
from compress.search.trials import Trials
from teachers.errors import ExportMismatch, RecipeError, TrainingError
from teachers.terminal import interrupt
from teachers.terminal.output import say

# More time may be given to a search that is resumed; another of these would have led elsewhere.
FIXED = ("max_size", "max_ms", "max_drop")


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
    log = Log(request.folder / NAME, request.clock)
    _begin(request, log)
    with console.reading() as progress:
        dataset = plan.load_data(request.recipe, progress)
    # One seed, in the recipes of the front, too: each makes its point again.
    planned = plan.make(replace(request.recipe, seeds=1), dataset)
    # Before the teacher is trained: what does not fit is no news to have hours later.
    sampler.check(spaces.of(planned))
    for note in (*planned.notes, *spaces.notes(request.recipe)):
        say(f"note: {note}")
    run = pipeline.Run(planned.recipe, request.folder, request.teacher_cache, request.command)

    def heard(epochs: int) -> None:
        _teacher_epoch(log, request.limits, epochs)

    context = contexts.make(run, planned, heard)
    if not log.of("teacher"):
        log.add("teacher", top1=context.teacher_top1)
    return _Search(request.limits, context, log).run()


def _begin(request: Request, log: Log) -> None:
    """Note what is searched, or make sure that it is what was searched before."""
    limits = asdict(request.limits)
    if not log.events:
        log.add("begin", recipe=recipes.to_dict(request.recipe), limits=limits)
        return
    before = log.events[0]
    changed = recipes.changed_since(request.recipe, before["recipe"])
    then = before["limits"]
    changed += [(key, then[key], limits[key]) for key in FIXED if then[key] != limits[key]]
    if changed:
        path, was, now = changed[0]
        raise RecipeError(
            f"--resume: {request.folder} was searched with {path} = {was!r}, now it is {now!r};"
            " give the same recipe and limits, or leave --resume out and give another --output"
        )


def _teacher_epoch(log: Log, limits: Limits, epochs: int) -> None:
    # Of a search that was killed later, the teacher is found and not trained again.
    if log.of("teacher"):
        return
    log.add("teacher epoch", epoch=epochs)
    if limits.seconds is not None and log.elapsed > limits.seconds:
        raise TrainingError(
            f"the time is over and the teacher is still trained, after {epochs} epochs; they are"
            " kept: give more --time with --resume, or teacher.weights"
        )


class _Search:
    def __init__(self, limits: Limits, context: contexts.Context, log: Log):
        self._limits = limits
        self._context = context
        self._log = log
        self._shapes = {shape.name: shape for shape in context.space.shapes}
        search = context.space.base.search
        epochs = context.space.training.epochs
        self._schedule = Schedule(epochs, search.candidates, search.halving)
        self._bench = Bench(context, log)
        self._trials = Trials(context, log, limits)

    def run(self) -> results.Found:
        self._miss()
        # First: a kill may have come between the log and the files.
        self._publish()
        while not isinstance(action := self._next(), End):
            interrupt.check()
            self._do(action)
        if self._log.events[-1]["kind"] != "end":
            self._log.add("end", why=action.why)
        return self._publish()

    def _miss(self) -> None:
        """Note deliveries that are on disk no more, so that none of them is called the best."""
        kept = State(self._log.events).kept(self._limits, self._context.teacher_top1)
        while lost := [p for p in kept if not (self._context.folder / p["folder"]).is_dir()]:
            for point in lost:
                say(f"note: {point['folder']} is gone; the point is taken from what is left")
                self._log.add("lost", folder=point["folder"])
            kept = State(self._log.events).kept(self._limits, self._context.teacher_top1)

    def _next(self) -> Action:
        return policy.next_action(self._log.events, self._limits, self._schedule)

    def _do(self, action: Action) -> None:
        if isinstance(action, Ask):
            self._ask()
        elif isinstance(action, Close):
            self._log.add("wave", members=list(action.members))
        elif isinstance(action, Train):
            self._train(action)
        elif isinstance(action, Deliver):
            self._deliver(action)

    def _ask(self) -> None:
        """The next network for the wave, if it can keep the limits."""
        seen = {event["name"] for event in self._log.events if "name" in event}
        first = self._schedule.rungs[0]
        tried = [
            sampler.Tried(self._shapes[one.name], one.least_bytes, max(one.top1[:first]))
            for one in State(self._log.events).alive
            if one.top1
        ]
        shape = sampler.propose(self._context.space, seen, tried)
        if shape is None:
            self._log.add("exhausted")
            return
        points, why = self._bench.points(shape, self._limits)
        if points:
            self._log.add("candidate", name=shape.name, points=points)
        else:
            self._log.add("refused", name=shape.name, why=why)

    def _train(self, action: Train) -> None:
        if State(self._log.events).under_way is None:
            self._log.add("train", shape=action.shape, epochs=action.epochs)
        say(f"{action.shape}: training to epoch {action.epochs} of {self._schedule.epochs}")
        try:
            done, why = self._trials.train(self._shapes[action.shape], action.epochs)
        except TrainingError as problem:
            say(f"{action.shape}: {problem}")
            self._log.add("failed", shape=action.shape, why=str(problem))
            return
        self._log.add("rested", shape=action.shape, epoch=done, why=why)

    def _deliver(self, action: Deliver) -> None:
        """Export and verify a point, or note that the front can gain nothing from it."""
        one = State(self._log.events).candidates[action.shape]
        about = {"shape": one.name, "bits": action.bits, "best_epoch": one.best_epoch}
        teacher_top1 = self._context.teacher_top1
        if not policy.promising(
            self._log.events, one.name, action.bits, self._limits, teacher_top1
        ):
            self._log.add("skipped", **about)
            return
        started = self._log.now()
        try:
            measured = self._trials.deliver(self._shapes[one.name], action.bits, one, self._bench)
        except ExportMismatch as problem:
            say(f"{one.name}-{action.bits}: {problem}")
            self._log.add("unusable", **about, why=str(problem))
            return
        seconds = round(self._log.now() - started, 3)
        self._log.add("point", **about, **measured, seconds=seconds)
        self._publish()

    def _publish(self) -> results.Found:
        found = results.found(self._log.events, self._limits, self._context.teacher_top1)
        results.write(found, self._context.folder, self._recipe_of)
        return found

    def _recipe_of(self, point: Mapping[str, Any]) -> str:
        shape = self._shapes[point["shape"]]
        one = State(self._log.events).candidates[shape.name]
        bits = point["bits"]
        recipe = self._context.recipe(shape, bits, point["best_epoch"], one.in_int8(bits))
        return recipes.to_yaml(recipe, defaults=False)
