"""The records of an evaluation: how right a network is, and how it ran in a runtime."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Accuracy:
    """Percent of a split: `class_mean` is the mean of the recalls of the classes that occur,
    `clean_top1` counts only clips that are no copies of training clips (`compress.data.copies`);
    None where there are no copies, or nobody looked for them."""

    top1: float
    top5: float
    class_mean: float
    clean_top1: float | None = None


@dataclass(frozen=True)
class SplitResult:
    """A split as PaddleVideo's `--test` sums it up.

    Attributes:
        avg_acc1, avg_acc5: fractions (0..1) of the clips, over clips and not over batches.
        right, right_top5: of `clips`, those whose first answer, or one of the first five, is right.
        loss: mean cross-entropy in nats.
        sequences_per_second: clips through the network, their preparation left out.
    """

    avg_acc1: float
    avg_acc5: float
    clips: int
    right: int
    right_top5: int
    loss: float
    sequences_per_second: float | None


# The figures below may be None, because JSON has no NaN: a number that is not finite is written as
# null, and a report that is read back says so.
@dataclass(frozen=True)
class RuntimeRow:
    """One way of running a network on the validation split.

    Attributes:
        file: what the runtime reads; None for the network in this process.
        deployed: whether these files are what ships.
        top1, top5, class_mean: percent; None where only logits were compared.
        agreement: fraction (0..1) of clips with the trained network's answer.
        max_abs_diff, max_rel_diff: largest difference of a logit from the trained network's, and
            that divided by its largest logit.
        p50_ms, p95_ms: latency at batch 1, timed in turns with the other rows of its table.
        spread_ms: between the quartiles of the timings; of two rows that differ by less, neither
            is known to be faster.
        timings: how many there were.
        clean_top1: as in `Accuracy`.
        gained, lost: clips right here and wrong in the row that is compared with, and the other way
            round: the teacher's in a report, the first one's of `featherbone accuracy`.
        p: of McNemar's exact test of these two, see `compress.evaluation.paired`.
        one_person_ms, all_persons_ms: the median of the clips with one person, and of those with as
            many as the network takes; None where the timed clips are all alike.
        snr_db: signal to noise of the logits against the trained network's; of what other tools
            made of its weights.
        bytes: of all files that the runtime reads.
        note: what a person has to know to compare the row with others.
        requires: versions by name that a program must have to run the files; None of files that do
            not ship.
    """

    name: str
    file: str | None = None
    deployed: bool = False
    top1: float | None = None
    top5: float | None = None
    class_mean: float | None = None
    agreement: float | None = None
    max_abs_diff: float | None = None
    max_rel_diff: float | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None
    bytes: int | None = None
    note: str | None = None
    spread_ms: float | None = None
    timings: int | None = None
    one_person_ms: float | None = None
    all_persons_ms: float | None = None
    requires: Mapping[str, str] | None = None
    clean_top1: float | None = None
    gained: int | None = None
    lost: int | None = None
    p: float | None = None
    snr_db: float | None = None


@dataclass(frozen=True)
class Paired:
    """Two results on the same clips: `gained` are right in the second alone, `lost` in the first
    alone, `p` is the chance of such a difference between equals."""

    gained: int
    lost: int
    p: float


@dataclass(frozen=True)
class Calibration:
    """What scores are worth as probabilities.

    Attributes:
        temperature: that the logits were divided by.
        ece: expected calibration error, 0..1.
        loss: mean cross-entropy in nats.
        aurc: area under the risk-coverage curve, 0..1.
        sure_and_wrong: clips answered wrongly with a score above 0.9.
        coverage, risk: of the surest so many percent of the clips, the share that is wrong, 0..1.
    """

    temperature: float
    ece: float | None
    loss: float | None
    aurc: float | None
    sure_and_wrong: int
    coverage: tuple[int, ...] = ()
    risk: tuple[float, ...] = ()


@dataclass(frozen=True)
class Unknown:
    """Clips of classes that were left out of the training, told from others by the largest score.

    Attributes:
        clips: of these classes.
        auroc: the chance that a clip of a known class has the larger score, 0..1.
        threshold: the score that a clip must reach to be answered; found on training-side clips.
        known_answered, unknown_answered: percent of the evaluated clips that reach it.
    """

    clips: int
    auroc: float
    threshold: float
    known_answered: float
    unknown_answered: float


@dataclass(frozen=True)
class Spread:
    """Top-1 in percent over several draws; `deviation` is None of one draw."""

    mean: float
    deviation: float | None
    lowest: float
    highest: float


@dataclass(frozen=True)
class DamageRow:
    """One kind of damage.

    Attributes:
        key: for programs, such as joints_20.
        title: in words.
        draws: how often it was drawn; every network saw the same damaged clips.
        top1: of each network, in the order of `Robustness.networks`.
    """

    key: str
    title: str
    draws: int
    top1: tuple[Spread, ...]


@dataclass(frozen=True)
class Robustness:
    """Networks on damaged clips, and what their scores are worth on whole ones.

    Attributes:
        networks: names; the tuples below are in their order.
        rows: the first is of clips as they are.
        calibration: of the scores as they come.
        calibrated: the same with the temperature that was fitted for each; empty: none was.
        fitted_on: which clips that was, in words.
        unknown: empty where no classes were left out.
    """

    networks: tuple[str, ...]
    rows: tuple[DamageRow, ...]
    calibration: tuple[Calibration, ...]
    calibrated: tuple[Calibration, ...] = ()
    fitted_on: str = ""
    unknown: tuple[Unknown, ...] = ()


@dataclass(frozen=True)
class ClassRow:
    """Recall of one class in percent, of the teacher and of the student; `clips` have it."""

    class_: str
    clips: int
    teacher: float | None
    student: float | None
