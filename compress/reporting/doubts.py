"""What makes a run that passed its gates a doubtful one: its warnings."""

from __future__ import annotations

import math

from compress.reporting.record import Report
from compress.reporting.wording import number

# Fewer clips cannot tell a good network from a fair one: of 50, one clip is two points.
FEW_CLIPS = 50
# Deviations of the number of clips that are right by chance.
DEVIATIONS = 3.0


def doubts(report: Report) -> tuple[str, ...]:
    """Warnings about a finished run's validation split and accuracy, a sentence each."""
    texts = []
    clips = sum(map(sum, report.confusion))
    if 0 < clips < FEW_CLIPS:
        texts.append(
            f"only {clips} validation clips: each is {100 / clips:.1f} points of top-1; judge by"
            f" {FEW_CLIPS} or more"
        )
    near = _near_chance(report, clips)
    if near is not None:
        texts.append(near)
    return tuple(texts)


def _near_chance(report: Report, clips: int) -> str | None:
    """A top-1 that guessing would reach too, in the worst deployed file."""
    reached = [number(row.top1) for row in report.runtimes if row.deployed]
    top1 = min((value for value in reached if value is not None), default=None)
    if top1 is None or not clips:
        return None
    classes = len(report.confusion)
    # The split may be uneven: whoever always names its most frequent class is right that often.
    majority = max(map(sum, report.confusion)) / clips
    chance = max(1 / classes, majority)
    spread = math.sqrt(chance * (1 - chance) / clips)
    if top1 / 100 > chance + DEVIATIONS * spread:
        return None
    return (
        f"top-1 of {top1:.2f} % is near chance: guessing among {classes} classes gives"
        f" {100 / classes:.2f} %, always naming the most frequent one {100 * majority:.2f} %,"
        f" and {clips} clips leave {100 * DEVIATIONS * spread:.2f} points to luck"
    )
