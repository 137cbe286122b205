"""Removing channels of CTR-GCN; see `teachers/channels.py`.

Groups: `l1-l4.out`, the outputs of blocks that identity residuals tie together, with the outputs of
their graph units where the unit's own residual is the identity too; `l5.graph`, the output of a
graph unit with a projection; `l5.relations`, of which each of the three subsets loses its own; and
`l5.branches`, the inputs of the two temporal convs. What reads a channel loses that input: the next
block, residual projections, the classifier.
"""

from __future__ import annotations

import numpy as np

from teachers import channels
from teachers.channels import (
    Group,
    Keep,
    Producer,
    State,
    checked,
    folded,
    norm_of,
    rows_of,
    score,
    slices,
    staying,
    tensors_of,
    wiring,
    within,
)
from teachers.ctrgcn.network import SUBSETS, Block, Spec, Widths
from teachers.weights.published import under


def groups(spec: Spec) -> tuple[Group, ...]:
    """The dependency groups of a network."""
    tied = wiring(spec)
    dependent: list[Group] = []
    for block in spec.blocks:
        _, graph, out = tied[block.id]
        if graph == f"{block.id}.graph":
            dependent.append(Group(graph, (block.id,), (block.inside.graph,)))
        dependent.append(
            Group(f"{block.id}.relations", (block.id,), (block.relation_channels,), SUBSETS)
        )
        dependent.append(Group(f"{block.id}.branches", (block.id,), block.inside.inner))
        members = tuple(member for member in spec.blocks if tied[member.id][2] == out)
        # Once a chain, at its first block.
        if members[0] is block:
            # Tied blocks may have branches that end at other channels (a pruned network pruned
            # again): every end is a border, so that no branch of any of them loses all.
            ends: set[int] = set()
            for member in members:
                ends.update(int(end) for end in np.cumsum(member.inside.branches))
            sections = tuple(np.diff([0, *sorted(ends)]).tolist())
            dependent.append(Group(out, tuple(member.id for member in members), sections))
    return tuple(dependent)


def importance(spec: Spec, state: State, group: Group, criterion: str) -> np.ndarray:
    """What each channel of a group is worth, (sets, size) float64, larger is more. Relations have
    no BatchNorm: their `bn_scale` is the mean weight of a relation, times that of what reads it."""
    name, _, kind = group.id.rpartition(".")
    if kind == "relations":
        block = next(block for block in spec.blocks if block.id == name)
        # Each subset is judged for itself: no operator adds relations of two subsets.
        relations = _relations(tensors_of(state, name), block)
        return np.stack([score(group.size, [subset], criterion) for subset in relations])
    producers: list[Producer] = []
    tied = wiring(spec)
    for block in spec.blocks:
        tensors = tensors_of(state, block.id)
        _, graph, out = tied[block.id]
        if group.id == graph:
            producers.append(
                folded(
                    0,
                    tensors["graph.values.weight"].reshape(block.inside.graph, -1),
                    norm_of(tensors, "graph.bn"),
                )
            )
            if block.graph_projects:
                producers.append(
                    folded(0, tensors["graph.down.conv.weight"], norm_of(tensors, "graph.down.bn"))
                )
        if group.id == out:
            producers += _outputs(tensors, block)
        if group.id == f"{block.id}.branches":
            near = block.inside.inner[0]
            weight = tensors["temporal.reduce.weight"]
            norm = norm_of(tensors, "temporal.reduce_bn")
            # Two producers, since each branch is a conv of its own as published, with a mean of
            # its own that `score` takes its channels relative to.
            producers += [
                folded(rows.start, weight[rows], rows_of(norm, rows))
                for rows in (slice(0, near), slice(near, group.size))
            ]
    return score(group.size, producers, criterion)[None]


def _relations(tensors: State, block: Block) -> list[Producer]:
    R = block.relation_channels
    weight = tensors["graph.relation_weight"].reshape(SUBSETS, R, -1)
    bias = tensors["graph.relation_bias"].reshape(SUBSETS, R, 2)
    # (subset, R, 1). tanh bounds a relation, so how strongly it is read tells more than its size.
    read = np.abs(tensors["graph.refine_weight"]).mean(0)[..., None]
    weights = np.concatenate([weight, bias], 2) * read
    return [Producer(0, subset, np.abs(subset).mean(1)) for subset in weights]


def _outputs(tensors: State, block: Block) -> list[Producer]:
    """The four branches and the block's projection."""
    inside = block.inside
    near, far, pooled, plain = slices(inside.branches)
    _, _, pooled_in, plain_in = slices((*inside.inner, *inside.branches[2:]))
    reduce = tensors["temporal.reduce.weight"]
    norm = norm_of(tensors, "temporal.bn")
    # The pooled branch has a BatchNorm on either side of the pooling, and both scale its channels.
    first = rows_of(norm_of(tensors, "temporal.reduce_bn"), pooled_in)
    producers = [
        folded(near.start, tensors["temporal.near.weight"], rows_of(norm, near)),
        folded(far.start, tensors["temporal.far.weight"], rows_of(norm, far)),
        folded(pooled.start, reduce[pooled_in], first, rows_of(norm, pooled)),
        folded(plain.start, reduce[plain_in], rows_of(norm, plain)),
    ]
    if block.projects:
        producers.append(
            folded(0, tensors["residual.conv.weight"], norm_of(tensors, "residual.bn"))
        )
    return producers


def narrowed(spec: Spec, keep: Keep) -> Spec:
    """The spec of the network that keeps these channels.

    Raises:
        RecipeError: see `teachers.channels.checked`.
    """
    kept = checked(groups(spec), keep)
    tied = wiring(spec)

    def inside(block, middle, residuals):
        return Widths(
            middle,
            # Every subset keeps equally many, so one number says it.
            kept[f"{block.id}.relations"].shape[1],
            staying(block.inside.inner, kept[f"{block.id}.branches"][0]),
            staying(block.inside.branches, kept[tied[block.id][2]][0]),
            **residuals,
        )

    return channels.narrowed_spec(spec, kept, inside)


def prune(spec: Spec, state: State, keep: Keep) -> tuple[Spec, State]:
    """(spec, state) of the network that keeps these channels; the weights that stay are unchanged.

    Raises:
        RecipeError: see `teachers.channels.checked`.
    """
    kept = checked(groups(spec), keep)

    def parts(block, tensors, inputs, middle, out):
        return _graph(tensors, block, inputs, middle, kept[f"{block.id}.relations"]) | _temporal(
            tensors, block, middle, kept[f"{block.id}.branches"][0], out
        )

    return narrowed(spec, keep), channels.narrowed(spec, state, kept, parts)


def _graph(
    tensors: State, block: Block, inputs: np.ndarray, out: np.ndarray, relations: np.ndarray
) -> State:
    R = block.relation_channels
    # Pairs with `relations` (subset, kept) in one index: each subset keeps other relations.
    subset = np.arange(SUBSETS)[:, None]
    weight = tensors["graph.relation_weight"].reshape(SUBSETS, R, 2, block.in_channels)
    weight = weight[subset, relations][..., inputs]
    bias = tensors["graph.relation_bias"].reshape(SUBSETS, R, 2)[subset, relations]
    # Ordered (C, subset, Cin): a channel goes with its values of all three subsets.
    values = tensors["graph.values.weight"].reshape(-1, SUBSETS, block.in_channels)[out][
        ..., inputs
    ]
    parts = {
        "graph.relation_weight": weight.reshape(-1, len(inputs), 1),
        "graph.relation_bias": bias.reshape(-1),
        "graph.values.weight": values.reshape(-1, len(inputs), 1, 1),
        "graph.values_bias": tensors["graph.values_bias"][out],
        "graph.refine_weight": tensors["graph.refine_weight"][out][:, subset, relations],
        "graph.refine_bias": tensors["graph.refine_bias"][out],
        # Of joints, not of channels: whole.
        "graph.topology": tensors["graph.topology"],
        "graph.alpha": tensors["graph.alpha"],
    }
    if block.graph_projects:
        parts["graph.down.conv.weight"] = tensors["graph.down.conv.weight"][out][:, inputs]
        parts |= under("graph.down.bn", rows_of(norm_of(tensors, "graph.down.bn"), out))
    return parts | under("graph.bn", rows_of(norm_of(tensors, "graph.bn"), out))


def _temporal(
    tensors: State, block: Block, inputs: np.ndarray, inner: np.ndarray, out: np.ndarray
) -> State:
    inside = block.inside
    # Where the pooled branch begins in the leading conv: behind near's and far's inputs.
    total = sum(inside.inner)
    near_in, far_in = within(inner, inside.inner)
    near, far, pooled, plain = within(out, inside.branches)
    pooled_rows = total + pooled
    reduced = np.concatenate([inner, pooled_rows])
    rows = np.concatenate([reduced, total + inside.branches[2] + plain])
    parts = {
        "temporal.reduce.weight": tensors["temporal.reduce.weight"][rows][:, inputs],
        "temporal.near.weight": tensors["temporal.near.weight"][near][:, near_in],
        "temporal.far.weight": tensors["temporal.far.weight"][far][:, far_in],
    }
    return (
        parts
        | under("temporal.reduce_bn", rows_of(norm_of(tensors, "temporal.reduce_bn"), reduced))
        | under("temporal.bn", rows_of(norm_of(tensors, "temporal.bn"), out))
    )
