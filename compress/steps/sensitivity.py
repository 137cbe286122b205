"""How much each group of channels matters: what the network loses on training clips when a share of
one group is removed.

Measured in cross-entropy, for trained networks are often right about nearly all clips they were
trained on; top-1 is kept beside it. Everything measured is saved after each group, so that a run
that was stopped goes on from there.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from compress.evaluation.evaluate import EvaluationSet, accuracy, logits_of, softmax
from compress.process import console
from export.runtimes import in_process
from teachers import storage

RATIOS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.65, 0.8)  # the last one is the most that a scan can choose
# Loss that the whole of a group counts for at least: what seems to be free goes no further than
# wanted
SLOPE = 1e-3


def scan(
    groups: tuple[str, ...], pruned: Callable, clips: EvaluationSet, path: Path, origin: str
) -> dict[str, list[dict]]:
    """{group: [{"ratio", "loss", "top1"}, ...]}, the first row at ratio 0.

    Args:
        pruned: `pruned(group, ratio)` is the network without that share of the group; `pruned(None,
            0)` the whole one.
        path: where the rows are kept; rows of the same `origin` that are there already are not
            measured again.
    """
    found = _kept(path, origin)
    if set(groups) <= found.keys():
        console.say(f"sensitivity: read from {path}")
        return {group: found[group] for group in groups}
    whole = _measure(pruned(None, 0.0), clips)
    for number, group in enumerate(groups, start=1):
        if group in found:
            continue
        found[group] = [{"ratio": 0.0, **whole}] + [
            {"ratio": ratio, **_measure(pruned(group, ratio), clips)} for ratio in RATIOS
        ]
        storage.write_text(path, json.dumps({"origin": origin, "groups": found}, indent=1))
        console.say(
            f"sensitivity {number}/{len(groups)}: {group} costs "
            + ", ".join(
                f"{row['loss'] - whole['loss']:+.3f} at {row['ratio']:.0%}"
                for row in found[group][3:6:2]
            )
        )
    return {group: found[group] for group in groups}


def _kept(path: Path, origin: str) -> dict[str, list[dict]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return content["groups"] if content["origin"] == origin else {}
    except (OSError, ValueError, KeyError, TypeError):  # none yet, or cut off: it is measured again
        return {}


def _measure(network, clips: EvaluationSet) -> dict[str, float]:
    logits = logits_of(in_process(network), clips)
    picked = softmax(logits.astype("float64"))[np.arange(len(logits)), clips.labels]
    return {
        "loss": float(-np.log(np.maximum(picked, 1e-12)).mean()),
        "top1": accuracy(logits, clips.labels).top1,
    }


def balanced(
    rows: dict[str, list[dict]], cost: Callable[[dict[str, float]], float], target: float
) -> dict[str, float]:
    """The ratio of each group at which all of them cost the same loss and the network no more than
    `target`.

    Args:
        cost: `cost(ratios)`, what the network with these ratios costs; falls as they rise.
    Returns:
        the gentlest such ratios; the largest that were measured where even they cost more than
        `target`.
    """

    def at(allowed: float) -> dict[str, float]:
        return {group: _ratio_at(curve, allowed) for group, curve in rows.items()}

    most = max(row["loss"] - curve[0]["loss"] for curve in rows.values() for row in curve)
    low, high = 0.0, most + SLOPE
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if cost(at(middle)) <= target else (middle, high)
    return at(high)


def _ratio_at(curve: list[dict], allowed: float) -> float:
    """The largest ratio whose loss rises by no more than `allowed`, between the measured ones on a
    straight line."""
    ratios = np.array([row["ratio"] for row in curve])
    rises = (
        np.maximum.accumulate([row["loss"] - curve[0]["loss"] for row in curve]) + SLOPE * ratios
    )  # removing more never helps
    above = np.flatnonzero(rises > allowed)
    if not len(above):
        return float(ratios[-1])
    end = above[0]
    share = (allowed - rises[end - 1]) / (rises[end] - rises[end - 1])
    return float(ratios[end - 1] + share * (ratios[end] - ratios[end - 1]))
