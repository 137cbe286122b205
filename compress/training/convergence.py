"""Whether a training had come to rest when it ended, judged by its curve."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

# The end of a curve: its last fifth, of which the second half is held against the first. The means
# of several epochs, because single ones jump.
LAST = 5
# A rise of top-1 counts from so many times the spread that the number of clips gives it.
SPREADS = 2.0
# The loss still falls if it does so at more than this share of its mean pace over the training. The built-in
# recipes' 5 epochs end at 12 % (loss 4.24, 1.22, 0.65, 0.38, 0.26; 95 % top-1), a straight line
# at 100 %.
PACE = 0.5
# and by at least this share of itself, which single epochs of a fine-tuned network jump by.
SMALL = 0.05
# A loss that has fallen by less than this share of its first epoch's has learnt little: a schedule
# which ends at a rate of 0 brings any curve to rest.
FALL = 0.35


def unfinished(
    history: Sequence[Mapping[str, Any]], role: str, clips: int, fresh: bool = True
) -> str | None:
    """Why a training was over too early, in words; None: nothing speaks for it.

    Args:
        history: its epochs, as `compress.training.fit` records them.
        role: of the network, as its tags begin (`role/top1`).
        clips: of the validation split.
        fresh: it began from nothing, so that most of its first loss has to go.
    """
    if len(history) < 2:
        return "its training had one epoch, which shows no curve" if history else None
    rise = _rising(history, f"{role}/top1", clips)
    if rise is not None:
        return rise
    for part, title in (("val", "validation"), ("train", "training")):
        fall = _falling([record[part].get("loss") for record in history], title)
        if fall is not None:
            return fall
    first = history[0]["train"].get("loss")
    last = history[-1]["train"].get("loss")
    if fresh and _finite(first, last) and first > 0 and last > (1 - FALL) * first:
        return f"its training loss fell from {first:.2f} to {last:.2f} only"
    return None


def _rising(history: Sequence[Mapping[str, Any]], tag: str, clips: int) -> str | None:
    values = [record["val"].get(tag) for record in history]
    if not _finite(*values):
        return None
    before, after, apart = _ends(values)
    share = min(max(after / 100, 0.0), 1.0)
    spread = 100 * math.sqrt(share * (1 - share) / clips)
    if after - before <= SPREADS * spread:
        return None
    return (
        f"its top-1 was still rising at the end, by {after - before:.2f} points in {_epochs(apart)}"
    )


def _falling(losses: list[Any], title: str) -> str | None:
    """The loss at its end against its mean pace from the first epoch to the last."""
    if not _finite(*losses):
        return None
    before, after, apart = _ends(losses)
    pace = (losses[0] - losses[-1]) / (len(losses) - 1)
    # Two epochs have no end that could be told from the whole.
    if len(losses) < 3 or before - after <= max(PACE * pace * apart, SMALL * before):
        return None
    return (
        f"its {title} loss was still falling at the end, from {before:.2f} to {after:.2f} in"
        f" {_epochs(apart)}"
    )


def _ends(values: list[float]) -> tuple[float, float, float]:
    """(mean of the first half of the curve's end, of its second half, epochs between the two)."""
    half = max(1, len(values) // LAST // 2)
    before = values[-2 * half : -half]
    after = values[-half:]
    return sum(before) / half, sum(after) / half, half


def _finite(*values: Any) -> bool:
    return all(isinstance(value, (int, float)) and math.isfinite(value) for value in values)


def _epochs(count: float) -> str:
    return "the last epoch" if count == 1 else f"the last {count:g} epochs"
