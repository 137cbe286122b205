"""The records of an evaluation: how right a network is, and how it ran in a runtime."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Accuracy:
    """Percent of a split: `class_mean` is the mean of the recalls of the classes that occur."""

    top1: float
    top5: float
    class_mean: float


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
        one_person_ms, all_persons_ms: the median of the clips with one person, and of those with as
            many as the network takes; None where the timed clips are all alike.
        snr_db: signal to noise of the logits against the trained network's; of what other tools
            made of its weights.
        bytes: of all files that the runtime reads.
        note: what a person has to know to compare the row with others.
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
    snr_db: float | None = None


@dataclass(frozen=True)
class ClassRow:
    """Recall of one class in percent, of the teacher and of the student; `clips` have it."""

    class_: str
    clips: int
    teacher: float | None
    student: float | None
