"""Remove whole channels by dependency group (`teachers/channels.py`); the network really gets
smaller, and is trained on afterwards.

How many go: the same share of every group (`ratio`, or `blocks` by block or group), the least
important channels anywhere (`ranking: global`), or what a scan on training clips found each group
can bear (`sensitivity`, Li et al., arXiv 1608.08710).
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Literal

import numpy as np

from compress.evaluation.evaluate import training_clips
from compress.steps import sensitivity
from compress.steps.work import Outcome, State, Work
from teachers import networks
from teachers.channels import Group, strongest
from teachers.errors import RecipeError
from teachers.weights import identity
from teachers.weights.identity import Identity

Counts = dict[str, tuple[int, ...]]  # channels that stay, by group and section


@dataclass(frozen=True)
class Config:
    """Keys of a `prune_channels` step.

    Attributes:
        ratio: share of channels that every group loses; with `ranking: global` that all groups lose
            together, with `sensitivity` the share whose saving of parameters is wanted.
        blocks: pairs of a block or a group and its own ratio. A group of several blocks takes the
            smallest of theirs.
        criterion: what tells how important a channel is.
        sensitivity: measure how much each group can bear on `clips` training clips, and choose the
            ratios accordingly.
        min_channels: what a group keeps at least, where it has as many.
    """

    ratio: float | None = None
    blocks: tuple[tuple[str, float], ...] = ()
    criterion: Literal["bn_scale", "l1", "fpgm"] = "bn_scale"
    ranking: Literal["group", "global"] = "group"
    sensitivity: bool = False
    clips: int = 128
    min_channels: int = 4

    def __post_init__(self):
        if self.ratio is None and not self.blocks:
            raise ValueError(
                "give `ratio`, the share of channels to remove from every group, or `blocks`"
            )
        if self.ratio is not None and not 0 < self.ratio < 1:
            raise ValueError(
                f"ratio: must lie between 0 and 1, got {self.ratio:g} (0.3 removes 30 % of the"
                " channels)"
            )
        for name, ratio in self.blocks:
            if not 0 <= ratio < 1:
                raise ValueError(
                    f"blocks: {name}: the ratio must be at least 0 and below 1, got {ratio:g}"
                )
        if len({name for name, _ in self.blocks}) < len(self.blocks):
            raise ValueError("blocks: names a block twice")
        chooses = (
            "sensitivity" if self.sensitivity else "ranking" if self.ranking == "global" else None
        )
        if chooses and (self.ratio is None or self.blocks):
            raise ValueError(
                f"{chooses}: chooses the ratio of each group itself; give `ratio` and no `blocks`"
            )
        if self.sensitivity and (self.ranking == "global" or self.ratio > sensitivity.RATIOS[-1]):
            raise ValueError(
                "sensitivity: works without `ranking: global`, and for a `ratio` of at most "
                f"{sensitivity.RATIOS[-1]:g}"
            )
        for name in ("clips", "min_channels"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: must be at least 1, got {getattr(self, name)}")


def title(config: Config) -> str:
    """What the step does, in words."""
    what = f"{config.ratio:.0%} of the channels" if config.ratio is not None else "channels"
    if config.blocks:
        what += (", " if config.ratio is not None else " of ") + ", ".join(
            f"{name} {ratio:.0%}" for name, ratio in config.blocks
        )
    how = (
        ", shares by sensitivity"
        if config.sensitivity
        else ", ranked over all groups"
        if config.ranking == "global"
        else ""
    )
    return f"remove {what} ({config.criterion}{how})"


def spec_after(spec, config: Config):
    """The student's spec after the step. What `sensitivity` or `ranking: global` will choose
    depends on weights, so there it is the spec with the same ratio everywhere: about as large.

    Raises:
        RecipeError: a network whose channels cannot be pruned, or a block that it does not have.
    """
    pruner = _pruner(spec)
    groups = pruner.groups(spec)
    counts = _counts(groups, _ratios(spec, groups, config), config.min_channels)
    return pruner.narrowed(
        spec,
        {one.id: strongest(one, np.zeros((one.sets, one.size)), counts[one.id]) for one in groups},
    )


def apply(state: State, config: Config, work: Work, number: int) -> Outcome:
    """The student without its least important channels; all other weights as they are."""
    before = state.student.network
    spec, weights = before.spec, networks.state_of(before)
    pruner = _pruner(spec)
    groups = pruner.groups(spec)
    worth = {one.id: pruner.importance(spec, weights, one, config.criterion) for one in groups}
    if config.ranking == "global":
        counts = _ranked(groups, worth, config)
    elif config.sensitivity:
        counts = _by_sensitivity(state, groups, worth, config, work, number)
    else:
        counts = _counts(groups, _ratios(spec, groups, config), config.min_channels)
    student = _pruned(spec, weights, groups, worth, counts)
    return Outcome(
        replace(state, student=replace(state.student, network=student)),
        notes=_notes(spec, student.spec, groups, counts),
    )


def _pruner(spec):
    able = sorted(name for name, family in networks.NETWORKS.items() if family.prune)
    if spec.network not in able:
        raise RecipeError(
            f"prune_channels: the channels of {spec.network} cannot be pruned (those of"
            f" {', '.join(able)} can); use prune_layers"
        )
    return importlib.import_module(networks.NETWORKS[spec.network].prune)


def _ratios(spec, groups: tuple[Group, ...], config: Config) -> dict[str, float]:
    """The share that each group loses, by `ratio` and `blocks`."""
    given, known = dict(config.blocks), [block.id for block in spec.blocks]
    for name in given:
        if name not in known and name not in {one.id for one in groups}:
            raise RecipeError(
                f"prune_channels.blocks: {spec.network} has no block or group {name!r} (it has"
                f" {', '.join(known)}; groups {', '.join(one.id for one in groups)})"
            )
    usual = config.ratio or 0.0
    return {
        one.id: (
            given[one.id]
            if one.id in given
            else min(given.get(block, usual) for block in one.blocks)
        )
        for one in groups
    }


def _floors(group: Group, min_channels: int) -> list[int]:
    """What each section keeps at least: its part of `min_channels`."""
    return [
        max(1, -(-min(min_channels, group.size) * size // group.size)) for size in group.sections
    ]


def _counts(groups: tuple[Group, ...], ratios: Mapping[str, float], min_channels: int) -> Counts:
    """Every section of a group loses the same share, so that no branch dries up."""
    return {
        one.id: tuple(
            max(floor, size - int(size * ratios[one.id] + 0.5))
            for size, floor in zip(one.sections, _floors(one, min_channels))
        )
        for one in groups
    }


def _ranked(groups: tuple[Group, ...], worth: dict[str, np.ndarray], config: Config) -> Counts:
    """Counts when the channels of least importance go, wherever they are. Importance is relative to
    the group's mean."""
    removable = []
    for one in groups:
        relative = worth[one.id] / max(worth[one.id].mean(), 1e-30)
        for section, (start, size, floor) in enumerate(
            zip(one.starts(), one.sections, _floors(one, config.min_channels))
        ):
            weakest = np.sort(relative[:, start : start + size], 1).mean(0)[
                : size - floor
            ]  # sets lose as many each
            removable += [(float(value), one.id, section) for value in weakest]
    counts = {one.id: list(one.sections) for one in groups}
    for _, group, section in sorted(removable)[
        : round(config.ratio * sum(one.size for one in groups))
    ]:
        counts[group][section] -= 1
    return {group: tuple(kept) for group, kept in counts.items()}


def _by_sensitivity(
    state: State,
    groups: tuple[Group, ...],
    worth: dict[str, np.ndarray],
    config: Config,
    work: Work,
    number: int,
) -> Counts:
    spec, weights = state.student.network.spec, networks.state_of(state.student.network)

    def counts(ratios: Mapping[str, float]) -> Counts:
        return _counts(
            groups, {one.id: ratios.get(one.id, 0.0) for one in groups}, config.min_channels
        )

    def pruned(group: str | None, ratio: float):
        return (
            state.student.network
            if group is None
            else _pruned(spec, weights, groups, worth, counts({group: ratio}))
        )

    def parameters(ratios: Mapping[str, float]) -> int:
        kept = {one.id: strongest(one, worth[one.id], counts(ratios)[one.id]) for one in groups}
        return networks.parameters(_pruner(spec).narrowed(spec, kept))

    clips = training_clips(work.dataset.train, state.student.view, config.clips)
    # Whole, with the widths that earlier pruning left: these are what is scanned
    scanned = Identity(identity.of([spec]).key, repr(asdict(spec)))
    origin = identity.of(
        [work.origin, config.criterion, config.clips, config.min_channels, scanned]
    )
    path = work.folder / "state" / f"step{number}_sensitivity.json"
    rows = sensitivity.scan(tuple(one.id for one in groups), pruned, clips, path, origin)
    return counts(
        sensitivity.balanced(rows, parameters, parameters({one.id: config.ratio for one in groups}))
    )


def _pruned(
    spec, weights: dict, groups: tuple[Group, ...], worth: dict[str, np.ndarray], counts: Counts
):
    kept = {one.id: strongest(one, worth[one.id], counts[one.id]) for one in groups}
    smaller, left = _pruner(spec).prune(spec, weights, kept)
    network = networks.build(smaller)
    networks.load_state(network, left, "prune_channels")
    network.eval()
    return network


def _notes(before, after, groups: tuple[Group, ...], counts: Counts) -> tuple[str, ...]:
    shrunk = [
        f"{one.id} {one.size} to {sum(counts[one.id])}"
        for one in groups
        if sum(counts[one.id]) < one.size
    ]
    return (
        (
            f"parameters {networks.parameters(before):,} to {networks.parameters(after):,}, MACs"
            f" {networks.macs(before) / 1e9:.3f} G to {networks.macs(after) / 1e9:.3f} G; channels"
            f" that stay: {', '.join(shrunk) or 'all'}"
        ),
    )
