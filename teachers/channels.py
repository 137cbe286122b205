"""Channel pruning, what the files `NAME_prune.py` share: groups of channels that depend on each
other.

Such a file has `groups(spec)`, the groups of channels that can only go together; `importance(spec,
state, group, criterion)`; `narrowed(spec, keep)`, the spec of the pruned network; and `prune(spec,
state, keep)`, that spec and the weights that stay. State is NumPy arrays in our names, `keep` maps
group ids to the channels that stay, (sets, kept) integers in rising order; a group that it does not
name stays whole. `teachers/importance.py` has the criteria.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from teachers.errors import RecipeError
from teachers.weights.published import under

CRITERIA = ("bn_scale", "l1", "fpgm")

State = dict[str, np.ndarray]
Keep = Mapping[str, np.ndarray]
NORM = ("weight", "bias", "_mean", "_variance")


@dataclass(frozen=True)
class Group:
    """Channels that can only be removed together.

    Attributes:
        id: its name, `l5.graph` for example.
        blocks: ids of the blocks whose weights it changes the outputs of.
        sections: how many of its channels lie in which branch; every branch keeps one channel at
            least.
        sets: how many choose channels of their own, as many each.
    """

    id: str
    blocks: tuple[str, ...]
    sections: tuple[int, ...]
    sets: int = 1

    @property
    def size(self) -> int:
        """Channels of one set."""
        return sum(self.sections)

    def starts(self) -> list[int]:
        """The first channel of each section."""
        return [sum(self.sections[:index]) for index in range(len(self.sections))]


def wiring(spec) -> dict[str, tuple[str | None, str | None, str]]:
    """Which groups (input, graph unit's output, output) each block is in; None: the coordinates of
    the clip, which all stay."""
    chains: list[list[str]] = []
    for block in spec.blocks:
        if chains and block.residual and not block.projects:
            chains[-1].append(block.id)
        else:
            chains.append([block.id])
    named = {
        one: f"{chain[0]}.out" if len(chain) == 1 else f"{chain[0]}-{chain[-1]}.out"
        for chain in chains
        for one in chain
    }
    tied, last = {}, None
    for block in spec.blocks:
        tied[block.id] = (
            last,
            f"{block.id}.graph" if block.graph_projects else last,
            named[block.id],
        )
        last = named[block.id]
    return tied


def narrowed(
    spec, state: State, kept: Mapping[str, np.ndarray], parts: Callable[..., State]
) -> State:
    """The arrays that stay when each group keeps the channels of `kept`.

    Args:
        parts: (block, its own arrays, inputs, graph unit's outputs, outputs) -> what its graph and
            its temporal unit keep.
    """
    smaller, tied = (
        {name: value for name, value in state.items() if name.startswith("data_bn.")},
        wiring(spec),
    )
    for block in spec.blocks:
        source, graph, name = tied[block.id]
        inputs = kept[source][0] if source else np.arange(block.in_channels)
        middle = kept[graph][0] if graph else np.arange(block.inside.graph)
        own, out = own_of(state, block.id), kept[name][0]
        stays = parts(block, own, inputs, middle, out)
        if block.projects:
            stays["residual.conv.weight"] = own["residual.conv.weight"][out][:, inputs]
            stays |= under("residual.bn", rows_of(norm_of(own, "residual.bn"), out))
        smaller |= under(block.id, stays)
    return smaller | {"fc.weight": state["fc.weight"][out], "fc.bias": state["fc.bias"]}


def narrowed_spec(spec, kept: Mapping[str, np.ndarray], inside: Callable):
    """The spec of the network that keeps the channels of `kept`.

    Args:
        inside: (block, graph unit's outputs, {"down", "projection"}) -> the widths inside it, as
            counts of channels that stay.
    """
    tied, blocks, last = wiring(spec), [], spec.channels
    for block in spec.blocks:
        _, graph, out = tied[block.id]
        width, middle = kept[out].shape[1], kept[graph].shape[1] if graph else block.inside.graph
        residuals = {
            "down": block.graph_projects and last == middle,
            "projection": block.projects and block.stride == 1 and last == width,
        }
        widths = inside(block, middle, residuals)
        plain = replace(block, in_channels=last, out_channels=width, widths=None)
        blocks.append(plain if widths == plain.inside else replace(plain, widths=widths))
        last = width
    return replace(spec, blocks=tuple(blocks))


def staying(sections: Sequence[int], rows: np.ndarray) -> tuple[int, ...]:
    """`section_counts` for a spec."""
    return tuple(section_counts(sections, rows).tolist())


def strongest(group: Group, importance: np.ndarray, counts: Sequence[int]) -> np.ndarray:
    """The `counts[i]` most important channels of each section, (sets, kept); `importance` is (sets,
    size)."""
    kept = []
    for values in importance:
        order = [
            start + np.argsort(-values[start : start + size], kind="stable")[:count]
            for start, size, count in zip(group.starts(), group.sections, counts, strict=True)
        ]
        kept.append(np.sort(np.concatenate(order)))
    return np.stack(kept)


def checked(groups: Sequence[Group], keep: Keep) -> dict[str, np.ndarray]:
    """(sets, kept) of every group, all channels where `keep` says nothing.

    Raises:
        RecipeError: an unknown group, channels that it does not have, or a section that would lose
            them all.
    """
    known = {group.id: group for group in groups}
    for name in keep:
        if name not in known:
            raise RecipeError(
                f"prune_channels: no group of channels {name!r} (there are {', '.join(known)})"
            )
    found = {}
    for name, group in known.items():
        found[name] = rows = (
            np.asarray(keep[name])
            if name in keep
            else np.tile(np.arange(group.size), (group.sets, 1))
        )
        if (
            rows.ndim != 2
            or len(rows) != group.sets
            or not np.issubdtype(rows.dtype, np.integer)
            or (np.diff(rows) <= 0).any()
            or (rows < 0).any()
            or (rows >= group.size).any()
        ):
            raise RecipeError(
                f"prune_channels: {name}: expected ({group.sets}, kept) channels in rising order,"
                f" each below {group.size}"
            )
        if any((counts := section_counts(group.sections, one)).min() < 1 for one in rows):
            raise RecipeError(
                f"prune_channels: {name}: branch {counts.argmin() + 1} would have no channel left"
            )
    return found


def section_counts(sections: Sequence[int], rows: np.ndarray) -> np.ndarray:
    """How many of `rows` lie in each section."""
    return np.histogram(rows, bins=np.cumsum([0, *sections]) - 0.5)[0]


def slices(widths: Sequence[int]) -> list[slice]:
    """Where parts of these widths lie, one after the other."""
    return [slice(sum(widths[:index]), sum(widths[: index + 1])) for index in range(len(widths))]


def within(rows: np.ndarray, sections: Sequence[int]) -> list[np.ndarray]:
    """The rows that lie in each section, counted from its start."""
    return [
        rows[(rows >= part.start) & (rows < part.stop)] - part.start for part in slices(sections)
    ]


def own_of(state: State, block: str) -> State:
    """A block's arrays, without its name in theirs."""
    return {
        name[len(block) + 1 :]: value
        for name, value in state.items()
        if name.startswith(f"{block}.")
    }


def norm_of(own: State, name: str) -> State:
    """The arrays of one BatchNorm."""
    return {key: own[f"{name}.{key}"] for key in NORM}


def rows_of(norm: State, rows) -> State:
    """A BatchNorm of these channels alone."""
    return {key: value[rows] for key, value in norm.items()}


@dataclass(frozen=True)
class Producer:
    """A layer that computes the channels `start`, `start + 1`, ... of a group.

    Attributes:
        weight: (n, inputs), its filters with the BatchNorm behind them folded in.
        scale: (n,), the scale of that BatchNorm.
    """

    start: int
    weight: np.ndarray
    scale: np.ndarray


def folded(start: int, weight: np.ndarray, *norms: Mapping[str, np.ndarray]) -> Producer:
    """The producer of a conv's weight (n, ...) and the BatchNorms behind it, {weight, _variance};
    the last one says the scale."""
    gain = np.ones(len(weight))
    for norm in norms:
        gain = gain * norm["weight"] / np.sqrt(norm["_variance"].astype("float64") + 1e-5)
    return Producer(start, weight.reshape(len(weight), -1) * gain[:, None], norms[-1]["weight"])


def score(size: int, producers: Sequence[Producer], criterion: str) -> np.ndarray:
    """What each of a group's channels is worth, (size,) float64: the mean over the layers that
    produce it.

    `l1` and `fpgm` are relative to the layer's own mean, for layers have inputs of all sizes.

    Raises:
        RecipeError: an unknown criterion.
    """
    if criterion not in CRITERIA:
        raise RecipeError(
            f"prune_channels.criterion: unknown criterion {criterion!r} (known:"
            f" {', '.join(CRITERIA)})"
        )
    total, count = np.zeros(size), np.zeros(size)
    for one in producers:
        rows = slice(one.start, one.start + len(one.weight))
        total[rows] += {"bn_scale": _scale, "l1": _l1, "fpgm": _fpgm}[criterion](one)
        count[rows] += 1
    return total / np.maximum(count, 1)


def _scale(one: Producer) -> np.ndarray:
    return np.abs(one.scale)


def _l1(one: Producer) -> np.ndarray:
    return _relative(np.abs(one.weight).mean(1))


def _fpgm(one: Producer) -> np.ndarray:
    squares = (one.weight**2).sum(1)
    return _relative(
        np.sqrt(
            np.maximum(squares[:, None] + squares[None] - 2 * one.weight @ one.weight.T, 0)
        ).mean(1)
    )


def _relative(values: np.ndarray) -> np.ndarray:
    return values / max(values.mean(), 1e-30)
