"""What all work of a search shares: its space, its data, its teacher."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from compress import pipeline, plan
from compress.plan import Plan
from compress.recipe.search import Bits
from compress.recipe.types import Recipe
from compress.reporting import provenance
from compress.reporting.record import Provenance, Report
from compress.reporting.recorder import Recorder
from compress.search import space as spaces
from compress.search.space import Shape, Space
from compress.steps.work import Work
from compress.training.answers import Answers
from compress.training.curves import Curves
from compress.training.model import Model
from teachers.weights.held import HeldFiles


@dataclass(frozen=True)
class Context:
    """What all work of a search shares.

    Attributes:
        work: in the folder of the search; its prepared clips are shared by all networks.
        teacher: the networks, and their files.
        logits: (n, K), the teacher's on the validation split.
        teacher_top1: in percent.
    """

    space: Space
    work: Work
    teacher: tuple[Model, ...]
    teacher_files: tuple[Path, ...]
    logits: np.ndarray
    teacher_top1: float
    provenance: Provenance | None

    @property
    def folder(self) -> Path:
        return self.work.folder

    @property
    def kind(self) -> str:
        """The format whose latency counts: the one that is served where there is a choice."""
        formats = self.space.base.export.formats
        return "onnx" if "onnx" in formats else formats[0]

    def recipe(
        self,
        shape: Shape,
        bits: Bits,
        stop_after: int | None = None,
        in_int8: Sequence[str] = (),
    ) -> Recipe:
        """The recipe of a point; see `compress.search.space.recipe_of`."""
        files = self.teacher_files
        return spaces.recipe_of(self.space, shape, bits, files, stop_after, in_int8)

    def planned(self, recipe: Recipe) -> Plan:
        """The plan of a point's recipe."""
        return plan.make(recipe, self.work.dataset)


class _Heard(Recorder):
    """Tells how far the training of a teacher is."""

    def __init__(self, report: Report, heard: Callable[[int], None]):
        super().__init__(report)
        self._heard = heard

    def curve(
        self, title: str, history: Sequence[Mapping[str, Any]], kept_epoch: int | None = None
    ) -> None:
        super().curve(title, history, kept_epoch)
        if kept_epoch is None and history:
            self._heard(len(history))


def make(run: pipeline.Run, planned: Plan, heard: Callable[[int], None]) -> Context:
    """Load or train the teacher, and judge it.

    Args:
        heard: called with the epochs of a teacher's training that are done.
    Raises:
        FeatherboneError: see `compress.pipeline.obtain_teachers`.
    """
    recipe = planned.recipe
    made_by = provenance.of_run(recipe, run.command, run.deterministic)
    recorder = _Heard(Report(recipe.name, output=str(run.folder), provenance=made_by), heard)
    work = Work(
        run.folder,
        planned.dataset,
        Curves(run.folder / "curves"),
        recipe.seed,
        pipeline.origin(planned),
        recipe.teacher.runtime,
        # Its networks are trained on the same batches, and the teacher's half of a step is the same.
        answers=Answers(run.folder / "teacher_answers.bin"),
    )
    held = HeldFiles(run.folder)
    files = {weights.path: weights.sha256 for weights in planned.weights}
    held.check(files)
    held.keep(files)
    teacher, logits = pipeline.obtain_teachers(run, work, planned, recorder, held)
    row = recorder.report.network("teacher")
    # `obtain_teachers` has judged it.
    assert row is not None and row.top1 is not None
    places = [""] if len(teacher) == 1 else range(1, len(teacher) + 1)
    return Context(
        spaces.of(planned),
        work,
        teacher,
        # Absolute: a recipe of the front is run from any folder.
        tuple((run.folder / "weights" / f"teacher{place}.npz").absolute() for place in places),
        logits,
        float(row.top1),
        made_by,
    )
