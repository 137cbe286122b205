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
    rows_of,
    score,
    slices,
    staying,
    tensors_of,
    wiring,
    within,
)
from teachers.stgcn.network import SUBSETS
from teachers.stgcnpp.network import DILATIONS, Block, Spec, Widths
from teachers.weights.published import under


def groups(spec: Spec) -> tuple[Group, ...]:
    """The dependency groups of a network."""
    tied = wiring(spec)
    dependent: list[Group] = []
    for block in spec.blocks:
        _, graph, out = tied[block.id]
        if graph == f"{block.id}.graph":
            dependent.append(Group(graph, (block.id,), (block.inside.graph,)))
        dependent.append(Group(f"{block.id}.branches", (block.id,), block.inside.inner))
        # A 1x1 conv mixes the branches, so unlike CTR-GCN's they are not tied to the output.
        dependent.append(Group(f"{block.id}.mix", (block.id,), block.inside.branches))
        # Once a chain, at its first block.
        members = tuple(member.id for member in spec.blocks if tied[member.id][2] == out)
        if members[0] == block.id:
            dependent.append(Group(out, members, (block.out_channels,)))
    return tuple(dependent)


def importance(spec: Spec, state: State, group: Group, criterion: str) -> np.ndarray:
    """What each channel of a group is worth, (1, size) float64, larger is more."""
    producers: list[Producer] = []
    tied = wiring(spec)
    for block in spec.blocks:
        tensors = tensors_of(state, block.id)
        _, graph, out = tied[block.id]
        if group.id == graph:
            # The learned graph mixes joints, not channels, so it takes no part in this.
            producers.append(folded(0, tensors["graph.conv.weight"], norm_of(tensors, "graph.bn")))
            if block.graph_projects:
                producers.append(
                    folded(0, tensors["graph.down.conv.weight"], norm_of(tensors, "graph.down.bn"))
                )
        if group.id == out:
            producers.append(
                folded(0, tensors["temporal.mix.weight"], norm_of(tensors, "temporal.mix_bn"))
            )
            if block.projects:
                producers.append(
                    folded(0, tensors["residual.conv.weight"], norm_of(tensors, "residual.bn"))
                )
        if group.id == f"{block.id}.branches":
            producers += [_reduced(tensors, rows) for rows in slices(block.inside.inner)]
        if group.id == f"{block.id}.mix":
            producers += _mixed(tensors, block)
    return score(group.size, producers, criterion)[None]


def _reduced(tensors: State, rows: slice) -> Producer:
    return folded(
        rows.start,
        tensors["temporal.reduce.weight"][rows],
        rows_of(norm_of(tensors, "temporal.reduce_bn"), rows),
    )


def _mixed(tensors: State, block: Block) -> list[Producer]:
    """The six branches."""
    *convs, pooled, plain = slices(block.inside.branches)
    pooled_in, plain_in = slices((*block.inside.inner, *block.inside.branches[-2:]))[-2:]
    reduce = tensors["temporal.reduce.weight"]
    norm = norm_of(tensors, "temporal.bn")
    producers = [
        folded(rows.start, tensors[f"temporal.branches.{number}.weight"], rows_of(norm, rows))
        for number, rows in enumerate(convs)
    ]
    # Nothing but the pooling lies between the pooled branch's two BatchNorms: both scale it.
    first = rows_of(norm_of(tensors, "temporal.reduce_bn"), pooled_in)
    return [
        *producers,
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

    def parts(block, tensors, inputs, middle, out):
        return _graph(tensors, block, inputs, middle) | _temporal(
            tensors, block, middle, kept[f"{block.id}.branches"][0], kept[f"{block.id}.mix"][0], out
        )

    return narrowed(spec, keep), channels.narrowed(spec, state, kept, parts)


def _graph(tensors: State, block: Block, inputs: np.ndarray, out: np.ndarray) -> State:
    # Inputs are ordered (Cin, subset): a channel goes with all three of its products.
    weight = tensors["graph.conv.weight"].reshape(-1, block.in_channels, SUBSETS)[out][:, inputs]
    parts = {
        "graph.conv.weight": weight.reshape(len(out), -1, 1, 1),
        "graph.conv.bias": tensors["graph.conv.bias"][out],
        # Of joints, not of channels: whole.
        "graph.adjacency": tensors["graph.adjacency"],
    }
    if block.graph_projects:
        parts["graph.down.conv.weight"] = tensors["graph.down.conv.weight"][out][:, inputs]
        parts |= under("graph.down.bn", rows_of(norm_of(tensors, "graph.down.bn"), out))
    return parts | under("graph.bn", rows_of(norm_of(tensors, "graph.bn"), out))


def _temporal(
    tensors: State,
    block: Block,
    inputs: np.ndarray,
    inner: np.ndarray,
    mixed: np.ndarray,
    out: np.ndarray,
) -> State:
    inside = block.inside
    # Where the pooled branch begins in the leading conv: behind the inputs of the dilated convs.
    total = sum(inside.inner)
    before = within(inner, inside.inner)
    after = within(mixed, inside.branches)
    reduced = np.concatenate([inner, total + after[-2]])
    rows = np.concatenate([reduced, total + inside.branches[-2] + after[-1]])
    parts = {}
    for number in range(len(DILATIONS)):
        name = f"temporal.branches.{number}.weight"
        parts[name] = tensors[name][after[number]][:, before[number]]
    parts |= {
        "temporal.reduce.weight": tensors["temporal.reduce.weight"][rows][:, inputs],
        "temporal.mix.weight": tensors["temporal.mix.weight"][out][:, mixed],
    }
    # A BatchNorm goes with the channels in front of it.
    for name, kept in (("reduce_bn", reduced), ("bn", mixed), ("mix_bn", out)):
        parts |= under(f"temporal.{name}", rows_of(norm_of(tensors, f"temporal.{name}"), kept))
    return parts
