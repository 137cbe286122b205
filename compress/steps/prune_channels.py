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
from types import ModuleType
from typing import Literal

import numpy as np
from paddle import nn

from compress.evaluation.evaluate import training_clips
from compress.steps import sensitivity
from compress.steps.work import Outcome, State, Work
from teachers import networks
from teachers.channels import Group, strongest
from teachers.errors import RecipeError
from teachers.networks import Spec
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

    def __post_init__(self) -> None:
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
        # A scan ends at its last ratio; beyond it no loss was measured to interpolate.
        if self.sensitivity and (
            self.ranking == "global" or (self.ratio or 0) > sensitivity.RATIOS[-1]
        ):
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


def spec_after(spec: Spec, config: Config) -> Spec:
    """The student's spec after the step. What `sensitivity` or `ranking: global` will choose
    depends on weights, so there it is the spec with the same ratio everywhere: about as large.

    Raises:
        RecipeError: a network whose channels cannot be pruned, or a block that it does not have.
    """
    pruner = _pruner(spec)
    groups = pruner.groups(spec)
    counts = _counts(groups, _ratios(spec, groups, config), config.min_channels)
    # Importance needs weights; but the spec depends on how many channels stay, not on which,
    # so zeros will do.
    return pruner.narrowed(
        spec,
        {
            group.id: strongest(group, np.zeros((group.sets, group.size)), counts[group.id])
            for group in groups
        },
    )


def apply(state: State, config: Config, work: Work, number: int) -> Outcome:
    """The student without its least important channels; all other weights as they are."""
    before = state.student.network
    spec = before.spec
    weights = networks.state_of(before)
    pruner = _pruner(spec)
    groups = pruner.groups(spec)
    worth = {
        group.id: pruner.importance(spec, weights, group, config.criterion) for group in groups
    }
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


def _pruner(spec: Spec) -> ModuleType:
    path = networks.NETWORKS[spec.network].prune
    if path is None:
        able = sorted(name for name, family in networks.NETWORKS.items() if family.prune)
        raise RecipeError(
            f"prune_channels: the channels of {spec.network} cannot be pruned (those of"
            f" {', '.join(able)} can); use prune_layers"
        )
    return importlib.import_module(path)


def _ratios(spec: Spec, groups: tuple[Group, ...], config: Config) -> dict[str, float]:
    """The share that each group loses, by `ratio` and `blocks`."""
    ratios = dict(config.blocks)
    known = [block.id for block in spec.blocks]
    for name in ratios:
        if name not in known and name not in {group.id for group in groups}:
            raise RecipeError(
                f"prune_channels.blocks: {spec.network} has no block or group {name!r} (it has"
                f" {', '.join(known)}; groups {', '.join(group.id for group in groups)})"
            )
    usual = config.ratio or 0.0
    shares = {}
    for group in groups:
        # A group of several blocks is tied together; the gentlest wish of them holds for all
        of_blocks = min(ratios.get(block, usual) for block in group.blocks)
        shares[group.id] = ratios.get(group.id, of_blocks)
    return shares


def _floors(group: Group, min_channels: int) -> list[int]:
    """What each section keeps at least: its part of `min_channels`."""
    # Rounded up, and one at least: a branch without channels would be another architecture.
    return [
        max(1, -(-min(min_channels, group.size) * size // group.size)) for size in group.sections
    ]


def _counts(groups: tuple[Group, ...], ratios: Mapping[str, float], min_channels: int) -> Counts:
    """Every section of a group loses the same share, so that no branch dries up."""
    return {
        group.id: tuple(
            # Not `round`, which takes halves to the even number: a quarter of 2 would be 0.
            max(floor, size - int(size * ratios[group.id] + 0.5))
            for size, floor in zip(group.sections, _floors(group, min_channels), strict=True)
        )
        for group in groups
    }


def _ranked(groups: tuple[Group, ...], worth: dict[str, np.ndarray], config: Config) -> Counts:
    """Counts when the channels of least importance go, wherever they are. Importance is relative to
    the group's mean."""
    removable = []
    for group in groups:
        # Groups' importances have different units (layers' weights have different scales), so that
        # only shares of their means can be compared
        relative = worth[group.id] / max(worth[group.id].mean(), 1e-30)
        for section, (start, size, floor) in enumerate(
            zip(group.starts(), group.sections, _floors(group, config.min_channels), strict=True)
        ):
            # Sets lose as many channels each, though not the same ones: what counts is the mean of
            # their weakest, their second weakest, ...
            in_order = np.sort(relative[:, start : start + size], 1).mean(0)
            for value in in_order[: size - floor]:
                removable.append((float(value), group.id, section))
    counts = {group.id: list(group.sections) for group in groups}
    wanted = round(_ratio(config) * sum(group.size for group in groups))
    # Name and section break ties, so that every machine removes the same channels.
    for _, name, section in sorted(removable)[:wanted]:
        counts[name][section] -= 1
    return {name: tuple(kept) for name, kept in counts.items()}


def _ratio(config: Config) -> float:
    # `Config` refuses `sensitivity` and `ranking: global` without one
    assert config.ratio is not None
    return config.ratio


def _by_sensitivity(
    state: State,
    groups: tuple[Group, ...],
    worth: dict[str, np.ndarray],
    config: Config,
    work: Work,
    number: int,
) -> Counts:
    spec = state.student.network.spec
    weights = networks.state_of(state.student.network)

    def counts(ratios: Mapping[str, float]) -> Counts:
        return _counts(
            groups, {group.id: ratios.get(group.id, 0.0) for group in groups}, config.min_channels
        )

    def pruned(name: str | None, ratio: float) -> nn.Layer:
        if name is None:
            return state.student.network
        return _pruned(spec, weights, groups, worth, counts({name: ratio}))

    def parameters(ratios: Mapping[str, float]) -> int:
        kept = {
            group.id: strongest(group, worth[group.id], counts(ratios)[group.id])
            for group in groups
        }
        return networks.parameters(_pruner(spec).narrowed(spec, kept))

    clips = training_clips(work.dataset.train, state.student.view, config.clips)
    # Whole, with the widths that earlier pruning left: these are what is scanned
    scanned = Identity(identity.of([spec]).key, repr(asdict(spec)))
    origin = identity.of(
        [work.origin, config.criterion, config.clips, config.min_channels, scanned]
    )
    path = work.folder / "state" / f"step{number}_sensitivity.json"
    rows = sensitivity.scan(tuple(group.id for group in groups), pruned, clips, path, origin)
    # The wanted size is that of the plain step with this ratio, so that the two can be compared
    target = parameters({group.id: _ratio(config) for group in groups})
    return counts(sensitivity.balanced(rows, parameters, target))


def _pruned(
    spec: Spec,
    weights: dict[str, np.ndarray],
    groups: tuple[Group, ...],
    worth: dict[str, np.ndarray],
    counts: Counts,
) -> nn.Layer:
    kept = {group.id: strongest(group, worth[group.id], counts[group.id]) for group in groups}
    smaller, left = _pruner(spec).prune(spec, weights, kept)
    network = networks.build(smaller)
    # Strict, name by name: a tensor that the groups forgot fails here by its shape.
    networks.load_state(network, left, "prune_channels")
    network.eval()
    return network


def _notes(before: Spec, after: Spec, groups: tuple[Group, ...], counts: Counts) -> tuple[str, ...]:
    shrunk = [
        f"{group.id} {group.size} to {sum(counts[group.id])}"
        for group in groups
        if sum(counts[group.id]) < group.size
    ]
    return (
        (
            f"parameters {networks.parameters(before):,} to {networks.parameters(after):,}, MACs"
            f" {networks.macs(before) / 1e9:.3f} G to {networks.macs(after) / 1e9:.3f} G; channels"
            f" that stay: {', '.join(shrunk) or 'all'}"
        ),
    )
