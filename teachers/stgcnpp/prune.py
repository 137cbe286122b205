"""Removing channels of STGCN++; see `teachers/channels.py`.

Groups: `l1-l4.out`, the outputs of blocks that identity residuals tie together, with the outputs of
their graph units where the unit's own residual is the identity too; `l5.graph`, the output of a
graph unit with a projection; `l5.branches`, the inputs of the four dilated convs; and `l5.mix`, the
outputs of all six branches, which the closing 1x1 conv reads.
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
from teachers.stgcn.network import SUBSETS
from teachers.stgcnpp.network import DILATIONS, Block, Spec, Widths
from teachers.weights.published import under


def groups(spec: Spec) -> tuple[Group, ...]:
    """The dependency groups of a network."""
    tied, found = wiring(spec), []
    for block in spec.blocks:
        _, graph, out = tied[block.id]
        if graph == f"{block.id}.graph":
            found.append(Group(graph, (block.id,), (block.inside.graph,)))
        found.append(Group(f"{block.id}.branches", (block.id,), block.inside.inner))
        found.append(Group(f"{block.id}.mix", (block.id,), block.inside.branches))
        members = tuple(one.id for one in spec.blocks if tied[one.id][2] == out)
        if members[0] == block.id:
            found.append(Group(out, members, (block.out_channels,)))
    return tuple(found)


def importance(spec: Spec, state: State, group: Group, criterion: str) -> np.ndarray:
    """What each channel of a group is worth, (1, size) float64, larger is more."""
    producers, tied = [], wiring(spec)
    for block in spec.blocks:
        own, (_, graph, out) = own_of(state, block.id), tied[block.id]
        if group.id == graph:
            producers.append(folded(0, own["graph.conv.weight"], norm_of(own, "graph.bn")))
            if block.graph_projects:
                producers.append(
                    folded(0, own["graph.down.conv.weight"], norm_of(own, "graph.down.bn"))
                )
        if group.id == out:
            producers.append(folded(0, own["temporal.mix.weight"], norm_of(own, "temporal.mix_bn")))
            if block.projects:
                producers.append(
                    folded(0, own["residual.conv.weight"], norm_of(own, "residual.bn"))
                )
        if group.id == f"{block.id}.branches":
            producers += [_reduced(own, rows) for rows in slices(block.inside.inner)]
        if group.id == f"{block.id}.mix":
            producers += _mixed(own, block)
    return score(group.size, producers, criterion)[None]


def _reduced(own: State, rows: slice) -> Producer:
    return folded(
        rows.start,
        own["temporal.reduce.weight"][rows],
        rows_of(norm_of(own, "temporal.reduce_bn"), rows),
    )


def _mixed(own: State, block: Block) -> list[Producer]:
    """The six branches."""
    *convs, pooled, plain = slices(block.inside.branches)
    pooled_in, plain_in = slices((*block.inside.inner, *block.inside.branches[-2:]))[-2:]
    reduce, norm = own["temporal.reduce.weight"], norm_of(own, "temporal.bn")
    found = [
        folded(rows.start, own[f"temporal.branches.{number}.weight"], rows_of(norm, rows))
        for number, rows in enumerate(convs)
    ]
    first = rows_of(norm_of(own, "temporal.reduce_bn"), pooled_in)
    return [
        *found,
        folded(pooled.start, reduce[pooled_in], first, rows_of(norm, pooled)),
        folded(plain.start, reduce[plain_in], rows_of(norm, plain)),
    ]


def narrowed(spec: Spec, keep: Keep) -> Spec:
    """The spec of the network that keeps these channels.

    Raises:
        RecipeError: see `teachers.channels.checked`.
    """
    kept = checked(groups(spec), keep)

    def inside(block, middle, residuals):
        return Widths(
            middle,
            staying(block.inside.inner, kept[f"{block.id}.branches"][0]),
            staying(block.inside.branches, kept[f"{block.id}.mix"][0]),
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
        return _graph(own, block, inputs, middle) | _temporal(
            own, block, middle, kept[f"{block.id}.branches"][0], kept[f"{block.id}.mix"][0], out
        )

    return narrowed(spec, keep), channels.narrowed(spec, state, kept, parts)


def _graph(own: State, block: Block, inputs: np.ndarray, out: np.ndarray) -> State:
    weight = own["graph.conv.weight"].reshape(-1, block.in_channels, SUBSETS)[out][:, inputs]
    parts = {
        "graph.conv.weight": weight.reshape(len(out), -1, 1, 1),
        "graph.conv.bias": own["graph.conv.bias"][out],
        "graph.adjacency": own["graph.adjacency"],
    }
    if block.graph_projects:
        parts["graph.down.conv.weight"] = own["graph.down.conv.weight"][out][:, inputs]
        parts |= under("graph.down.bn", rows_of(norm_of(own, "graph.down.bn"), out))
    return parts | under("graph.bn", rows_of(norm_of(own, "graph.bn"), out))


def _temporal(
    own: State,
    block: Block,
    inputs: np.ndarray,
    inner: np.ndarray,
    mixed: np.ndarray,
    out: np.ndarray,
) -> State:
    inside, total = block.inside, sum(block.inside.inner)
    before, after = within(inner, inside.inner), within(mixed, inside.branches)
    reduced = np.concatenate([inner, total + after[-2]])
    rows = np.concatenate([reduced, total + inside.branches[-2] + after[-1]])
    parts = {
        f"temporal.branches.{number}.weight": own[f"temporal.branches.{number}.weight"][
            after[number]
        ][:, before[number]]
        for number in range(len(DILATIONS))
    }
    parts |= {
        "temporal.reduce.weight": own["temporal.reduce.weight"][rows][:, inputs],
        "temporal.mix.weight": own["temporal.mix.weight"][out][:, mixed],
    }
    for name, kept in (("reduce_bn", reduced), ("bn", mixed), ("mix_bn", out)):
        parts |= under(f"temporal.{name}", rows_of(norm_of(own, f"temporal.{name}"), kept))
    return parts
