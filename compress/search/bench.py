"""Bytes and latency of the points of a search, measured on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from compress import rehearsal
from compress.evaluation.latency import Turn, turn_of, undisturbed
from compress.plan import Plan
from compress.process import console
from compress.recipe.search import Bits
from compress.search import costs, mixed
from compress.search.context import Context
from compress.search.costs import Timed
from compress.search.log import Log
from compress.search.space import Shape
from compress.search.state import Limits
from compress.steps import weight_only
from export import deployed, runtimes
from teachers import networks, storage
from teachers.errors import RecipeError
from teachers.terminal.output import say

# Files that the latency model is fitted on.
TIMED = 12
# What the bytes of a file depend on: layers and channels that are removed, bits, layers in int8.
Stored = tuple[tuple[str, ...], float, Bits, tuple[str, ...]]
# Their folders; the first is what later timings are compared with.
FOLDER = "timed"


class Bench:
    """Knows what every point of a space costs before it is trained."""

    def __init__(self, context: Context, log: Log):
        self._context = context
        shapes = {shape.name: shape for shape in context.space.shapes}
        if not log.of("latency"):
            rows = self._timed()
            model = costs.fit(rows)
            log.add(
                "latency",
                rows=[{**asdict(row), "shape": row.shape.name} for row in rows],
                error=model.error,
                largest=model.largest,
            )
            say(
                f"latency: fitted on {len(rows)} files on this machine, typical error"
                f" {100 * model.error:.0f} %, largest {100 * model.largest:.0f} %"
            )
        self._rows = [
            Timed(**{**row, "shape": shapes[row["shape"]]}) for row in log.of("latency")[0]["rows"]
        ]
        self._model = costs.fit(self._rows)
        # Frames and stream change a few digits of a file and no weight.
        self._sizes: dict[Stored, int] = {
            (row.shape.layers, row.shape.channels, row.bits, ()): row.size_bytes
            for row in self._rows
        }

    def points(self, shape: Shape, limits: Limits) -> tuple[dict[str, dict[str, Any]], str]:
        """(by bits, the points of a shape that can keep the limits; why there is none)."""
        points: dict[str, dict[str, Any]] = {}
        why = ""
        for bits in self._context.space.bits:
            try:
                if bits == "mixed":
                    point, problem_in_words = self._mixed(shape, limits)
                else:
                    planned = self._context.planned(self._context.recipe(shape, bits))
                    point, problem_in_words = self._point(shape, bits, planned, limits)
            except RecipeError as problem:
                # Of the blocks that are left, one may not take what another gives.
                return {}, str(problem)
            if point is not None:
                points[bits] = point
            why = problem_in_words or why
        return points, why

    def latency(self, turn: Turn) -> float:
        """Milliseconds of a clip, as they would have been when the model was fitted."""
        first = self._rows[0]
        planned = self._context.planned(self._context.recipe(first.shape, first.bits))
        # In turns with a file of then: what the machine does beside it hits both.
        own, then = undisturbed([turn, self._turn(self._context.folder / FOLDER / "0", planned)])
        return round(first.ms * own / then, 4)

    def _point(
        self,
        shape: Shape,
        bits: Bits,
        planned: Plan,
        limits: Limits,
        in_int8: tuple[str, ...] = (),
    ) -> tuple[dict[str, Any] | None, str]:
        """(what a point costs; why it cannot keep the limits)."""
        spec: Any = planned.final_spec
        macs = networks.macs(spec)
        ms = self._model.predict(bits, macs, len(spec.blocks), spec.input_shape[1])
        # A prediction that is wrong by its usual error must not cost a network.
        if limits.max_ms is not None and ms > limits.max_ms * (1 + self._model.error):
            return None, f"{bits}: about {ms:.1f} ms"
        least = costs.least_bytes(spec, bits)
        if least > limits.max_size:
            return None, f"{bits}: more than {least / 1e6:.2f} MB of weights"
        size_bytes = self._size((shape.layers, shape.channels, bits, in_int8), planned)
        if size_bytes > limits.max_size:
            return None, f"{bits}: {size_bytes / 1e6:.2f} MB"
        return {"bytes": size_bytes, "ms": round(ms, 4), "macs": macs}, ""

    def _mixed(self, shape: Shape, limits: Limits) -> tuple[dict[str, Any] | None, str]:
        """The same of int4 weights with layers in int8, up to the limit of bytes."""
        four = self._context.planned(self._context.recipe(shape, "int4"))
        point, why = self._point(shape, "int4", four, limits)
        if point is None:
            return None, why
        config = cast(weight_only.Config, four.recipe.steps[-1].config)
        copies = len(four.recipe.export.formats)
        more = mixed.more_bytes(cast(Any, four.final_spec), config, copies)
        in_int8 = mixed.fitting(more, limits.max_size - point["bytes"])
        # Counted by their weights alone: what the files hold beside them may be too much.
        while in_int8:
            recipe = self._context.recipe(shape, "mixed", in_int8=in_int8)
            planned = self._context.planned(recipe)
            point, why = self._point(shape, "mixed", planned, limits, in_int8)
            if point is not None:
                return {**point, "in_int8": list(in_int8)}, ""
            in_int8 = in_int8[:-1]
        return None, "mixed: all layers are in one kind"

    def _size(self, key: Stored, planned: Plan) -> int:
        if key not in self._sizes:
            with storage.scratch() as folder:
                self._sizes[key] = rehearsal.write(
                    planned.recipe, planned.final_spec, planned.student.task, folder
                )
        return self._sizes[key]

    def _timed(self) -> list[Timed]:
        """Files of the space, timed in turns."""
        chosen = self._possible(self._context.space.shapes)
        turns: list[Turn] = []
        rows: list[Timed] = []
        with console.bar("latency of this machine", len(chosen), "files") as advance:
            for number, (shape, bits, planned) in enumerate(chosen):
                folder = self._context.folder / FOLDER / str(number)
                size_bytes = _written(planned, folder)
                turns.append(self._turn(folder, planned))
                spec: Any = planned.final_spec
                macs = networks.macs(spec)
                rows.append(Timed(shape, bits, size_bytes, macs, len(spec.blocks), 0.0))
                advance(1)
        latencies = undisturbed(turns)
        return [replace(row, ms=ms) for row, ms in zip(rows, latencies, strict=True)]

    def _possible(self, shapes: Sequence[Shape]) -> list[tuple[Shape, Bits, Plan]]:
        """The points of `spread`, without networks that the recipe's steps do not fit.

        Raises:
            RecipeError: they fit none.
        """
        found = []
        impossible: dict[Shape, RecipeError] = {}
        for shape, bits in spread(shapes, self._context.space.bits):
            try:
                planned = self._context.planned(self._context.recipe(shape, bits))
            except RecipeError as problem:
                impossible[shape] = problem
                continue
            found.append((shape, bits, planned))
        if not impossible:
            return found
        left = [shape for shape in shapes if shape not in impossible]
        if not left:
            raise next(iter(impossible.values()))
        return self._possible(left)

    def _turn(self, folder: Path, planned: Plan) -> Turn:
        description = deployed.read(folder)
        predict = deployed.predictors(folder, description, runtimes.default_threads())
        view = planned.student.task.view
        clips = self._context.work.evaluation(view, view.clips)
        return turn_of(predict[self._context.kind], clips)


def spread(shapes: Sequence[Shape], bits: Sequence[Bits]) -> list[tuple[Shape, Bits]]:
    """Points from the least to the most arithmetic, about `TIMED`, as many of each kind of
    files."""
    kinds: dict[str, Bits] = {}
    for each in bits:
        # What a mixed file keeps in eight bits depends on a limit; it computes as int4 does.
        kinds.setdefault(costs.kind_of(each), "int4" if each == "mixed" else each)
    order = sorted(
        shapes,
        key=lambda shape: (
            (1 - shape.channels) ** 2 * shape.frames / (1 + len(shape.layers)),
            shape.name,
        ),
    )
    count = min(TIMED // len(kinds), len(order))
    places = sorted({round(place) for place in np.linspace(0, len(order) - 1, count)})
    return [(order[place], each) for each in kinds.values() for place in places]


def _written(planned: Plan, folder: Path) -> int:
    """The bytes of a folder that is written, unless a killed search has written it before."""
    description = folder / deployed.NAME
    if description.is_file():
        return sum(file.stat().st_size for file in folder.iterdir())
    with storage.staging(storage.make_folder(folder)) as unfinished:
        size_bytes = rehearsal.write(
            planned.recipe, planned.final_spec, planned.student.task, unfinished
        )
        files = [file for file in unfinished.iterdir() if file.name != storage.WRITING]
        # The description last: a folder that has it is whole.
        for file in sorted(files, key=lambda file: file.name == deployed.NAME):
            storage.deliver(file, folder)
    return size_bytes
