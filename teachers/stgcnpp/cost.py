"""What STGCN++ costs, counted as the field counts it: the published form, with every bias and the
conv before the graph."""

from __future__ import annotations

from teachers.stgcn.cost import around, graph, graph_macs, residual, residual_macs
from teachers.stgcnpp.network import Block, Spec


def parameters(spec: Spec) -> int:
    """Trainable parameters of the published form (1,403,144 for ten blocks on NTU-25 with 60
    classes)."""
    return around(spec) + sum(
        graph(block.graph(), spec.skeleton.joints)
        + _down(block, 3)
        + _temporal(block)
        + residual(block)
        for block in spec.blocks
    )


def macs(spec: Spec) -> int:
    """Multiply-accumulates of one clip: convs, graph products and classifier."""
    V = spec.skeleton.joints
    T = spec.frames
    total = 0
    for block in spec.blocks:
        G = block.inside.graph
        widths = block.inside.branches
        out_frames = -(-T // block.stride)
        total += graph_macs(block.graph(), V, T) + _down(block, 0) * V * T
        total += G * _reduced(block) * V * T
        # In the published form the plain branch has the stride itself, so it computes only the
        # frames it keeps.
        each = G * widths[-1] + _taps(block)
        each += sum(widths) * block.out_channels + residual_macs(block)
        total += V * out_frames * each
        T = out_frames
    return total * spec.persons + spec.blocks[-1].out_channels * spec.classes


def _down(block: Block, extra: int) -> int:
    """Weights of the graph unit's own residual, and `extra` a channel for bias and BatchNorm."""
    return (block.in_channels + extra) * block.inside.graph if block.graph_projects else 0


def _temporal(block: Block) -> int:
    G = block.inside.graph
    C = block.out_channels
    widths = block.inside.branches
    # Published convs have biases, though a BatchNorm follows: + 1 a conv, 2 a BatchNorm.
    branches = (
        (G + 1) * (_reduced(block) + widths[-1])
        + 2 * _reduced(block)
        + _taps(block)
        + sum(widths[:-2])
    )
    return branches + 2 * sum(widths) + (sum(widths) + 1) * C + 2 * C


def _reduced(block: Block) -> int:
    """Channels behind the leading 1x1 convs that have a BatchNorm: those of the dilated convs and
    of the pooled branch."""
    return sum(block.inside.inner) + block.inside.branches[-2]


def _taps(block: Block) -> int:
    """Weights of the dilated convs over three frames."""
    inside = block.inside
    # The pooled and the plain branch, which come last, have no conv over frames.
    dilated = inside.branches[: len(inside.inner)]
    pairs = zip(inside.inner, dilated, strict=True)
    return 3 * sum(before * width for before, width in pairs)
