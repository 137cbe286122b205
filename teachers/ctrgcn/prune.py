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
    own_of,
    rows_of,
    score,
    slices,
    staying,
    wiring,
    within,
)
from teachers.ctrgcn.network import SUBSETS, Block, Spec, Widths
from teachers.weights.published import under


def groups(spec: Spec) -> tuple[Group, ...]:
    """The dependency groups of a network."""
    tied, found = wiring(spec), []
    for block in spec.blocks:
        _, graph, out = tied[block.id]
        if graph == f"{block.id}.graph":
            found.append(Group(graph, (block.id,), (block.inside.graph,)))
        found.append(
            Group(f"{block.id}.relations", (block.id,), (block.relation_channels,), SUBSETS)
        )
        found.append(Group(f"{block.id}.branches", (block.id,), block.inside.inner))
        members = tuple(one for one in spec.blocks if tied[one.id][2] == out)
        if members[0] is block:
            ends = sorted({int(end) for one in members for end in np.cumsum(one.inside.branches)})
            found.append(
                Group(out, tuple(one.id for one in members), tuple(np.diff([0, *ends]).tolist()))
            )
    return tuple(found)


def importance(spec: Spec, state: State, group: Group, criterion: str) -> np.ndarray:
    """What each channel of a group is worth, (sets, size) float64, larger is more. Relations have
    no BatchNorm: their `bn_scale` is the mean weight of a relation, times that of what reads it."""
    name, _, kind = group.id.rpartition(".")
    if kind == "relations":
        block = next(one for one in spec.blocks if one.id == name)
        return np.stack(
            [score(group.size, [one], criterion) for one in _relations(own_of(state, name), block)]
        )
    producers, tied = [], wiring(spec)
    for block in spec.blocks:
        own, (_, graph, out) = own_of(state, block.id), tied[block.id]
        if group.id == graph:
            producers.append(
                folded(
                    0,
                    own["graph.values.weight"].reshape(block.inside.graph, -1),
                    norm_of(own, "graph.bn"),
                )
            )
            if block.graph_projects:
                producers.append(
                    folded(0, own["graph.down.conv.weight"], norm_of(own, "graph.down.bn"))
                )
        if group.id == out:
            producers += _outputs(own, block)
        if group.id == f"{block.id}.branches":
            near = block.inside.inner[0]
            weight, norm = own["temporal.reduce.weight"], norm_of(own, "temporal.reduce_bn")
            producers += [
                folded(rows.start, weight[rows], rows_of(norm, rows))
                for rows in (slice(0, near), slice(near, group.size))
            ]
    return score(group.size, producers, criterion)[None]


def _relations(own: State, block: Block) -> list[Producer]:
    R = block.relation_channels
    weight, bias = (
        own["graph.relation_weight"].reshape(SUBSETS, R, -1),
        own["graph.relation_bias"].reshape(SUBSETS, R, 2),
    )
    read = np.abs(own["graph.refine_weight"]).mean(0)[..., None]  # (subset, R, 1)
    weights = np.concatenate([weight, bias], 2) * read
    return [Producer(0, one, np.abs(one).mean(1)) for one in weights]


def _outputs(own: State, block: Block) -> list[Producer]:
    """The four branches and the block's projection."""
    inside = block.inside
    near, far, pooled, plain = slices(inside.branches)
    _, _, pooled_in, plain_in = slices((*inside.inner, *inside.branches[2:]))
    reduce, norm = own["temporal.reduce.weight"], norm_of(own, "temporal.bn")
    first = rows_of(norm_of(own, "temporal.reduce_bn"), pooled_in)
    found = [
        folded(near.start, own["temporal.near.weight"], rows_of(norm, near)),
        folded(far.start, own["temporal.far.weight"], rows_of(norm, far)),
        folded(pooled.start, reduce[pooled_in], first, rows_of(norm, pooled)),
        folded(plain.start, reduce[plain_in], rows_of(norm, plain)),
    ]
    return found + (
        [folded(0, own["residual.conv.weight"], norm_of(own, "residual.bn"))]
        if block.projects
        else []
    )


def narrowed(spec: Spec, keep: Keep) -> Spec:
    """The spec of the network that keeps these channels.

    Raises:
        RecipeError: see `teachers.channels.checked`.
    """
    kept, tied = checked(groups(spec), keep), wiring(spec)

    def inside(block, middle, residuals):
        return Widths(
            middle,
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

    def parts(block, own, inputs, middle, out):
        return _graph(own, block, inputs, middle, kept[f"{block.id}.relations"]) | _temporal(
            own, block, middle, kept[f"{block.id}.branches"][0], out
        )

    return narrowed(spec, keep), channels.narrowed(spec, state, kept, parts)


def _graph(
    own: State, block: Block, inputs: np.ndarray, out: np.ndarray, relations: np.ndarray
) -> State:
    R, subset = block.relation_channels, np.arange(SUBSETS)[:, None]
    weight = own["graph.relation_weight"].reshape(SUBSETS, R, 2, block.in_channels)[
        subset, relations
    ][..., inputs]
    bias = own["graph.relation_bias"].reshape(SUBSETS, R, 2)[subset, relations]
    values = own["graph.values.weight"].reshape(-1, SUBSETS, block.in_channels)[out][..., inputs]
    parts = {
        "graph.relation_weight": weight.reshape(-1, len(inputs), 1),
        "graph.relation_bias": bias.reshape(-1),
        "graph.values.weight": values.reshape(-1, len(inputs), 1, 1),
        "graph.values_bias": own["graph.values_bias"][out],
        "graph.refine_weight": own["graph.refine_weight"][out][:, subset, relations],
        "graph.refine_bias": own["graph.refine_bias"][out],
        "graph.topology": own["graph.topology"],
        "graph.alpha": own["graph.alpha"],
    }
    if block.graph_projects:
        parts["graph.down.conv.weight"] = own["graph.down.conv.weight"][out][:, inputs]
        parts |= under("graph.down.bn", rows_of(norm_of(own, "graph.down.bn"), out))
    return parts | under("graph.bn", rows_of(norm_of(own, "graph.bn"), out))


def _temporal(
    own: State, block: Block, inputs: np.ndarray, inner: np.ndarray, out: np.ndarray
) -> State:
    inside, total = block.inside, sum(block.inside.inner)
    near_in, far_in = within(inner, inside.inner)
    near, far, pooled, plain = within(out, inside.branches)
    pooled_rows = total + pooled
    reduced = np.concatenate([inner, pooled_rows])
    rows = np.concatenate([reduced, total + inside.branches[2] + plain])
    parts = {
        "temporal.reduce.weight": own["temporal.reduce.weight"][rows][:, inputs],
        "temporal.near.weight": own["temporal.near.weight"][near][:, near_in],
        "temporal.far.weight": own["temporal.far.weight"][far][:, far_in],
    }
    return (
        parts
        | under("temporal.reduce_bn", rows_of(norm_of(own, "temporal.reduce_bn"), reduced))
        | under("temporal.bn", rows_of(norm_of(own, "temporal.bn"), out))
    )
