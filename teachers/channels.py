"""Channel pruning, what the files `NAME/prune.py` share: groups of channels that depend on each
other.

Such a file has `groups(spec)`, the groups of channels that can only go together; `importance(spec,
state, group, criterion)`; `narrowed(spec, keep)`, the spec of the pruned network; and `prune(spec,
state, keep)`, that spec and the weights that stay. State is NumPy arrays in our names, `keep` maps
group ids to the channels that stay, (sets, kept) integers in rising order; a group that it does not
name stays whole. `score` has the criteria.
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
    # An identity residual adds channel by channel, so the blocks it spans lose the same channels
    # or none. A projection mixes them and ends the chain.
    chains: list[list[str]] = []
    for block in spec.blocks:
        if chains and block.residual and not block.projects:
            chains[-1].append(block.id)
        else:
            chains.append([block.id])
    named = {}
    for chain in chains:
        blocks = chain[0] if len(chain) == 1 else f"{chain[0]}-{chain[-1]}"
        for block_id in chain:
            named[block_id] = f"{blocks}.out"
    tied: dict[str, tuple[str | None, str | None, str]] = {}
    last: str | None = None
    for block in spec.blocks:
        # An identity residual inside the graph unit ties its output to the block's input.
        graph = f"{block.id}.graph" if block.graph_projects else last
        tied[block.id] = (last, graph, named[block.id])
        last = named[block.id]
    return tied


def narrowed(
    spec, state: State, kept: Mapping[str, np.ndarray], parts: Callable[..., State]
) -> State:
    """The arrays that stay when each group keeps the channels of `kept`.

    Args:
        parts: (block, its own tensors, inputs, graph unit's outputs, outputs) -> what its graph and
            its temporal unit keep.
    """
    # The input's BatchNorm stays whole: its channels are the coordinates of the clip.
    smaller = {name: value for name, value in state.items() if name.startswith("data_bn.")}
    tied = wiring(spec)
    for block in spec.blocks:
        source, graph, name = tied[block.id]
        inputs = kept[source][0] if source else np.arange(block.in_channels)
        middle = kept[graph][0] if graph else np.arange(block.inside.graph)
        tensors = tensors_of(state, block.id)
        out = kept[name][0]
        stays = parts(block, tensors, inputs, middle, out)
        if block.projects:
            stays["residual.conv.weight"] = tensors["residual.conv.weight"][out][:, inputs]
            stays |= under("residual.bn", rows_of(norm_of(tensors, "residual.bn"), out))
        smaller |= under(block.id, stays)
    # Rows, for Paddle's Linear is (in, out); `out` is still that of the last block.
    return smaller | {"fc.weight": state["fc.weight"][out], "fc.bias": state["fc.bias"]}


def narrowed_spec(spec, kept: Mapping[str, np.ndarray], inside: Callable):
    """The spec of the network that keeps the channels of `kept`.

    Args:
        inside: (block, graph unit's outputs, {"down", "projection"}) -> the widths inside it, as
            counts of channels that stay.
    """
    tied = wiring(spec)
    blocks = []
    last = spec.channels
    for block in spec.blocks:
        _, graph, out = tied[block.id]
        width = kept[out].shape[1]
        middle = kept[graph].shape[1] if graph else block.inside.graph
        # A projection whose two ends became equally wide would read as an identity: the spec has
        # to say that it is still a conv.
        residuals = {
            "down": block.graph_projects and last == middle,
            "projection": block.projects and block.stride == 1 and last == width,
        }
        widths = inside(block, middle, residuals)
        plain = replace(block, in_channels=last, out_channels=width, widths=None)
        # Widths that follow from the block's own are left out, so that a network pruned to the
        # published shape has the published spec.
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
        # Stable, so that of two equal channels the first stays, whatever the NumPy version sorts
        # with.
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
    kept = {}
    for name, group in known.items():
        if name in keep:
            rows = np.asarray(keep[name])
        else:
            rows = np.tile(np.arange(group.size), (group.sets, 1))
        kept[name] = rows
        # Rising order keeps the channels' places among each other, so one index array serves a
        # weight, its BatchNorm and what reads them.
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
        # A branch without channels is a conv of no filters, which no runtime takes.
        for chosen in rows:
            counts = section_counts(group.sections, chosen)
            if counts.min() < 1:
                raise RecipeError(
                    f"prune_channels: {name}: branch {counts.argmin() + 1} would have no channel"
                    " left"
                )
    return kept


def section_counts(sections: Sequence[int], rows: np.ndarray) -> np.ndarray:
    """How many of `rows` lie in each section."""
    # Half a channel below each border, so that no channel lies on one.
    return np.histogram(rows, bins=np.cumsum([0, *sections]) - 0.5)[0]


def slices(widths: Sequence[int]) -> list[slice]:
    """Where parts of these widths lie, one after the other."""
    return [slice(sum(widths[:index]), sum(widths[: index + 1])) for index in range(len(widths))]


def within(rows: np.ndarray, sections: Sequence[int]) -> list[np.ndarray]:
    """The rows that lie in each section, counted from its start."""
    return [
        rows[(rows >= part.start) & (rows < part.stop)] - part.start for part in slices(sections)
    ]


def tensors_of(state: State, block: str) -> State:
    """A block's tensors, without its name in theirs."""
    return {
        # With the dot, for l10 begins with l1, too.
        name[len(block) + 1 :]: value
        for name, value in state.items()
        if name.startswith(f"{block}.")
    }


def norm_of(tensors: State, name: str) -> State:
    """The arrays of one BatchNorm."""
    return {key: tensors[f"{name}.{key}"] for key in NORM}


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
    # A filter is worth what reaches the next layer, so the BatchNorm's gain belongs to its weight.
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
    measures = {"bn_scale": _scale, "l1": _l1, "fpgm": _fpgm}
    total = np.zeros(size)
    count = np.zeros(size)
    for producer in producers:
        rows = slice(producer.start, producer.start + len(producer.weight))
        total[rows] += measures[criterion](producer)
        count[rows] += 1
    # The mean, not the sum: a channel that two layers produce is not worth twice as much.
    return total / np.maximum(count, 1)


def _scale(producer: Producer) -> np.ndarray:
    # Network slimming (Liu et al., arXiv 1708.06519): BatchNorm makes scales comparable between
    # layers as they are.
    return np.abs(producer.scale)


def _l1(producer: Producer) -> np.ndarray:
    return _relative(np.abs(producer.weight).mean(1))


def _fpgm(producer: Producer) -> np.ndarray:
    # Mean distance to the layer's other filters (He et al., arXiv 1811.00250): what lies near the
    # others can be replaced by them.
    weight = producer.weight
    squares = (weight**2).sum(1)
    # By a matrix product, without (n, n, inputs) differences; rounding can leave a square just
    # below zero.
    distances = np.sqrt(np.maximum(squares[:, None] + squares[None] - 2 * weight @ weight.T, 0))
    return _relative(distances.mean(1))


def _relative(values: np.ndarray) -> np.ndarray:
    # A layer of zeros is worth nothing, rather than 0 / 0.
    return values / max(values.mean(), 1e-30)
