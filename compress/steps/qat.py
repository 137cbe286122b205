"""Train the student on while it computes in eight bits, so that it learns to live with the
rounding.

The flat network is trained, every BatchNorm folded and with it frozen, against the labels and a
frozen float network. It starts from what `ptq` makes of the student, and ends with that if no epoch
is better.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from compress.process import ranks
from compress.steps import quantising, train
from compress.steps.work import Outcome, State, Work
from compress.training import objectives, settings
from compress.training.fit import fit
from compress.training.settings import Kd, moves_teacher
from compress.training.trainer import Job
from compress.training.watch import Watch
from export.quantize.quantized import Quantized, corrected
from export.quantize.trainable import Trainable
from teachers.networks import Spec
from teachers.weights import identity

# Of several processes, all take part.
SHARED = True


def _usual() -> settings.Config:
    # The rate is low on purpose: 0.001, right on NW-UCLA, took the student of the built-in data
    # from 91.67 to 54.17 % in one epoch (benchmarks/LOG.md).
    return settings.Config(
        epochs=3, lr=0.0001, weight_decay=0.0, kd=Kd(weight=1.0, temperature=4.0)
    )


@dataclass(frozen=True)
class Config(quantising.Calibration):
    """Keys of a `qat` step, beside those of `compress.steps.quantising.Calibration`.

    Attributes:
        under: whose logits `kd` and `dml` follow, the run's teacher's or those of the student
            before this step.
        train: a training, with the keys of a `train` step.
    """

    under: Literal["student", "teacher"] = "student"
    train: settings.Config = field(default_factory=_usual)

    def __post_init__(self) -> None:
        super().__post_init__()
        if any(kind == "int4_weights" for _, kind in self.precision):
            raise ValueError(
                "precision: int4_weights cannot be trained; use a ptq or weight_only step for them"
            )
        if moves_teacher(self.train):
            raise ValueError(
                "train.dml.freeze_teacher: the float network stays frozen here; leave it true"
            )
        # What is trained here is flat: its layers are not the blocks, and its BatchNorms are folded.
        # Ranges of activations were calibrated on whole clips.
        for name in ("freeze", "frozen_norm", "progressive_frames", "drop_path"):
            if getattr(self.train, name):
                raise ValueError(f"train.{name}: only in a `train` step and in teacher.train")
        if self.train.rate_decay != 1.0:
            raise ValueError("train.rate_decay: only in a `train` step and in teacher.train")
        if self.train.ema is not None:
            raise ValueError(
                "train.ema: an average of weights is not what is rounded; leave it out"
            )


def title(config: Config) -> str:
    """What the step does, in words."""
    under = ""
    if config.train.kd is not None or config.train.dml is not None:
        under = f" under the float {config.under}"
    return f"quantise to int8 and {train.title(config.train)}{under}{quantising.described(config)}"


def spec_after(spec: Spec, config: Config) -> Spec:
    """The student's spec after the step: the same.

    Raises:
        RecipeError: a layer name that the network does not have, or a network that cannot be
            quantised.
    """
    quantising.check_names(spec, config, "qat")
    return spec


def apply(state: State, config: Config, work: Work, number: int) -> Outcome:
    """The same student with a plan for its files and the constants of its best epoch."""
    network = state.student.network
    name = f"step{number}_qat"

    def calibrated() -> Quantized:
        clips = quantising.clips_of(state, work, config.clips)
        return corrected(network, clips, config.method, quantising.overrides(config))

    rounded = ranks.from_first(calibrated)
    learner = Trainable(rounded.flat(network), rounded.plan, network.spec)
    watch = Watch(work.curves, f"{number:02}_qat", work.record)
    needed = config.train.kd is not None or config.train.dml is not None
    follows = (state.student,) if config.under == "student" else state.teacher
    job = Job(
        "student in int8",
        {"student": replace(state.student, network=learner)},
        {"teacher": follows} if needed else {},
        config.train,
        objectives.build(config.train, counts=objectives.class_counts(work.dataset)),
        work.dataset,
        work.selection,
        seed=work.seed * 1000 + number,
        state_path=work.folder / "state" / f"{name}.npz",
        settings=identity.of([work.origin, number, config, work.seed, network.spec]),
        watch=watch,
        # What `ptq` makes of the student is already good: training must not end below it
        start_counts=True,
        frozen_runtime=work.frozen_runtime,
    )
    try:
        progress = fit(job)
    finally:
        watch.end()
    # The student keeps its float weights; what was learned are the constants of its eight-bit files
    constants = learner.constants()
    # Learnt with the shift in it; files that round weights alone must not have it.
    for constant, shift in rounded.shift.items():
        constants[constant] = constants[constant] - shift
    quantized = Quantized(rounded.plan, constants, rounded.shift)
    notes = [quantising.notes(quantized)]
    if progress.note:
        notes.append(progress.note)
    if progress.best_epoch == 0:
        notes.append(
            f"no epoch was better than the {progress.start:.2f} % of rounding alone, which is kept"
        )
    return Outcome(
        replace(state, quantized=quantized),
        tuple(progress.history),
        progress.best_epoch,
        tuple(notes),
        # What rounding alone costs. Other clips, or other views of them, would not add up with the
        # step's own accuracy.
        progress.start if work.dataset.holdout is None and state.student.view.clips == 1 else None,
    )
