"""How a run fills its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from paddle import nn

from compress.data.dataset import Dataset
from compress.evaluation.record import Accuracy, RuntimeRow
from compress.reporting.record import (
    Curve,
    DataRecord,
    EpochRow,
    FromNothing,
    InputRecord,
    MemberRow,
    NetworkRow,
    Report,
    SkippedClip,
    StepRow,
)
from teachers import networks


class Recorder:
    """Holds the report of a run under way: each call replaces it by one that knows more.

    The reports themselves are frozen. Whatever stops the run, `report` is whole as far as it goes,
    and can be written.
    """

    def __init__(self, report: Report):
        self.report = report

    def data(self, data: DataRecord) -> None:
        """The data set."""
        self.report = replace(self.report, data=data)

    def note(self, text: str) -> None:
        """One more note on the data, which must be recorded by now."""
        data = self.report.data
        if data is None:
            raise ValueError(f"a note before there is data: {text}")
        self.data(replace(data, notes=(*data.notes, text)))

    def network(self, row: NetworkRow) -> None:
        """The teacher, then the student."""
        self.report = replace(self.report, networks=(*self.report.networks, row))

    def from_nothing(self, row: FromNothing) -> None:
        """A teacher beside the same network from nothing."""
        self.report = replace(self.report, from_nothing=(*self.report.from_nothing, row))
        gain = row.fine_tuned_top1 - row.top1
        self.note(
            f"{row.name}: fine-tuned {row.fine_tuned_top1:.2f} % top-1, from nothing with the same"
            f" schedule {row.top1:.2f} % ({gain:+.2f} points through the weights it began with)"
        )

    def members(self, rows: Sequence[MemberRow]) -> None:
        """All networks of an ensemble teacher that are ready by now."""
        # Replaced, not added to: each call brings all members that are ready.
        self.report = replace(self.report, members=tuple(rows))

    def step(self, row: StepRow) -> None:
        """One more finished step."""
        self.report = replace(self.report, steps=(*self.report.steps, row))

    def curve(
        self, title: str, history: Sequence[Mapping[str, Any]], kept_epoch: int | None = None
    ) -> None:
        """A training's epochs so far, as `compress.training.fit` records them, and the one whose
        weights are kept, where that is known; none at all is no curve."""
        # A teacher that is read from a weights file was trained elsewhere.
        if not history:
            return
        curve = Curve(title, tuple(_epoch(record) for record in history), kept_epoch)
        # In place of what it was an epoch ago; a report has no two trainings of one title.
        others = [other for other in self.report.curves if other.title != title]
        self.report = replace(self.report, curves=(*others, curve))

    def runtimes(self, *rows: RuntimeRow) -> None:
        """More ways of running the student."""
        self.report = replace(self.report, runtimes=(*self.report.runtimes, *rows))

    def warn(self, *texts: str) -> None:
        """What makes the run a doubtful one, should it pass."""
        self.report = replace(self.report, warnings=(*self.report.warnings, *texts))

    def took(self, seconds: float) -> None:
        """How long the run took until now."""
        # Known only at the end, so that it is the one part of the provenance that is added later.
        provenance = self.report.provenance
        if provenance is not None:
            provenance = replace(provenance, wall_seconds=seconds)
            self.report = replace(self.report, provenance=provenance)

    def close(self, status: str, exit_code: int) -> None:
        """How the run ended."""
        self.report = replace(self.report, status=status, exit_code=exit_code)


def data_record(
    dataset: Dataset, skeleton: str, notes: Sequence[str], seen: InputRecord | None = None
) -> DataRecord:
    """The data set in the report; `seen` is what the student is fed, if that is known."""
    return DataRecord(
        name=dataset.name,
        classes=tuple(dataset.classes),
        train_clips=len(dataset.train),
        val_clips=len(dataset.val),
        skeleton=skeleton,
        input=seen,
        notes=tuple(notes),
        skipped=tuple(SkippedClip(name, reason) for name, reason in dataset.skipped),
        copies=None if dataset.val.copies is None else int(dataset.val.copies.sum()),
        holdout_clips=None if dataset.holdout is None else len(dataset.holdout),
    )


def network_row(
    role: str, network: nn.Layer, scores: Accuracy | RuntimeRow, origin: str
) -> NetworkRow:
    """A network's row; `scores` are its own."""
    # A network carries the spec that it was built from; Paddle's `Layer` does not know of it.
    spec: Any = network.spec
    return NetworkRow(
        role=role,
        name=spec.network,
        blocks=tuple(block.id for block in spec.blocks),
        params=networks.parameters(spec),
        macs=networks.macs(spec),
        top1=scores.top1,
        top5=scores.top5,
        class_mean=scores.class_mean,
        clean_top1=scores.clean_top1,
        origin=origin,
    )


def member_row(
    name: str, network: nn.Layer, scores: Accuracy, origin: str, weight: float
) -> MemberRow:
    """A row of an ensemble's network. `name` tells it from the others, which may be of one kind."""
    # Its role is its name, because "teacher" is what all members are together.
    row = network_row(name, network, scores, origin)
    return MemberRow(
        role=name,
        name=name,
        blocks=row.blocks,
        params=row.params,
        macs=row.macs,
        top1=row.top1,
        top5=row.top5,
        class_mean=row.class_mean,
        clean_top1=row.clean_top1,
        origin=origin,
        weight=weight,
    )


def ensemble_row(members: Sequence[MemberRow], scores: Accuracy) -> NetworkRow:
    """The teacher that all members are together; `scores` are of their fused logits."""
    named = ", ".join(f"{row.name} x {row.weight:g}" for row in members)
    return NetworkRow(
        role="teacher",
        name=f"ensemble of {len(members)}",
        # Every member runs on every clip, so that the cost of the teacher is the sum of theirs.
        params=sum(row.params or 0 for row in members),
        macs=sum(row.macs or 0 for row in members),
        top1=scores.top1,
        top5=scores.top5,
        class_mean=scores.class_mean,
        clean_top1=scores.clean_top1,
        origin=named,
    )


def step_row(
    name: str,
    title: str,
    config: Mapping[str, object],
    seconds: float,
    notes: Sequence[str],
    network: nn.Layer,
    scores: Accuracy,
) -> StepRow:
    """The student after a step; `config` as the recipe has it."""
    # Counted on what the step left behind, not on what its settings asked for.
    spec: Any = network.spec
    return StepRow(
        name=name,
        title=title,
        config=config,
        seconds=seconds,
        notes=tuple(notes),
        params=networks.parameters(spec),
        macs=networks.macs(spec),
        top1=scores.top1,
        top5=scores.top5,
        class_mean=scores.class_mean,
        clean_top1=scores.clean_top1,
    )


def _epoch(record: Mapping[str, Any]) -> EpochRow:
    # By name, not `**record`: a teacher that was kept by another version may have more keys.
    return EpochRow(
        epoch=record["epoch"],
        lr=record["lr"],
        seconds=record["seconds"],
        train=dict(record["train"]),
        val=dict(record["val"]),
    )
