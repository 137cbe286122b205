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
from paddle import nn

from compress.evaluation.evaluate import EvaluationSet, accuracy, cross_entropy, logits_of
from export.runtimes import in_process
from teachers import storage
from teachers.terminal.output import say
from teachers.weights.identity import Identity

Row = dict[str, float]  # {"ratio", "loss", "top1"}

# Close together where networks still work, for between them losses are interpolated; the last one is
# the most that a scan can choose
RATIOS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.65, 0.8)
# Loss that the whole of a group counts for at least: what seems to be free goes no further than
# wanted
SLOPE = 1e-3


def scan(
    groups: tuple[str, ...],
    pruned: Callable[[str | None, float], nn.Layer],
    clips: EvaluationSet,
    path: Path,
    origin: Identity,
) -> dict[str, list[Row]]:
    """{group: [{"ratio", "loss", "top1"}, ...]}, the first row at ratio 0.

    Args:
        pruned: `pruned(group, ratio)` is the network without that share of the group; `pruned(None,
            0)` the whole one.
        path: where the rows are kept; rows of the same `origin` that are there already are not
            measured again.
    """
    measured = _kept(path, origin)
    if set(groups) <= measured.keys():
        say(f"sensitivity: read from {path}")
        return {group: measured[group] for group in groups}
    whole = _measure(pruned(None, 0.0), clips)
    for number, group in enumerate(groups, start=1):
        if group in measured:
            continue
        rows = [{"ratio": 0.0, **whole}]
        for ratio in RATIOS:
            rows.append({"ratio": ratio, **_measure(pruned(group, ratio), clips)})
        measured[group] = rows
        # After each group: a scan takes minutes, and a run that is stopped goes on from here
        content = {"origin": origin.key, "groups": measured}
        storage.write_text(path, json.dumps(content, indent=1))
        # At 30 and 50 % alone: all seven ratios would not fit on a line of a terminal.
        costs = [f"{row['loss'] - whole['loss']:+.3f} at {row['ratio']:.0%}" for row in rows[3:6:2]]
        say(f"sensitivity {number}/{len(groups)}: {group} costs {', '.join(costs)}")
    return {group: measured[group] for group in groups}


def _kept(path: Path, origin: Identity) -> dict[str, list[Row]]:
    """What an earlier attempt of the same step measured."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return dict(content["groups"]) if origin.accepts(content["origin"]) else {}
    except (OSError, ValueError, KeyError, TypeError):
        # None yet, or cut off: measured again rather than refused, for it costs minutes, not hours
        return {}


def _measure(network: nn.Layer, clips: EvaluationSet) -> Row:
    logits = logits_of(in_process(network), clips)
    return {
        "loss": cross_entropy(logits, clips.labels),
        "top1": accuracy(logits, clips.labels).top1,
    }


def balanced(
    rows: dict[str, list[Row]], cost: Callable[[dict[str, float]], float], target: float
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
    low = 0.0
    # Above every measured loss with its slope: there each group is at its last ratio.
    high = most + SLOPE
    # Bisection; 40 halvings end below the spacing of any loss that was measured. It ends with
    # `high`, the last that was within the target: `low` is just beyond it.
    for _ in range(40):
        middle = (low + high) / 2
        if cost(at(middle)) <= target:
            high = middle
        else:
            low = middle
    return at(high)


def _ratio_at(curve: list[Row], allowed: float) -> float:
    """The largest ratio whose loss rises by no more than `allowed`, between the measured ones on a
    straight line."""
    ratios = np.array([row["ratio"] for row in curve])
    # Removing more never helps: where a loss falls, the clips were too few to tell. The slope makes
    # the curve rise strictly, so that every loss has one ratio.
    measured = np.maximum.accumulate([row["loss"] - curve[0]["loss"] for row in curve])
    rises = measured + SLOPE * ratios
    above = np.flatnonzero(rises > allowed)
    if len(above) == 0:
        return float(ratios[-1])
    end = above[0]
    share = (allowed - rises[end - 1]) / (rises[end] - rises[end - 1])
    return float(ratios[end - 1] + share * (ratios[end] - ratios[end - 1]))
