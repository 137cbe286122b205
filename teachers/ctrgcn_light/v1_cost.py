"""What CTRGCN_light V1 costs, counted as the field counts it: relation convs before pooling."""

from __future__ import annotations

from teachers.ctrgcn.network import SUBSETS
from teachers.ctrgcn_light.v1 import Block, Spec


def parameters(spec: Spec) -> int:
    """Trainable parameters (1,024,110 for ten blocks on NTU-25 with 60 classes)."""
    return around(spec) + sum(
        (graph(block, SUBSETS, spec.skeleton.joints) if block.graph else 0) + temporal(block)
        for block in spec.blocks
    )


def macs(spec: Spec) -> int:
    """Multiply-accumulates of one clip, convs, graph products and classifier (1.159 G for ten
    blocks on NTU-25)."""
    return clip_macs(spec, lambda block: SUBSETS if block.graph else 0)


def around(spec: Spec) -> int:
    """Parameters of data_bn and the classifier."""
    return (
        2 * spec.channels * spec.skeleton.joints * spec.persons
        + (spec.blocks[-1].out_channels + 1) * spec.classes
    )


def graph(block: Block, groups: int, V: int) -> int:
    """Parameters of a graph unit with `groups` relations."""
    Cin, C, R = block.in_channels, block.graph_channels, block.relation_channels
    down = (Cin + 2) * C if Cin != C else 0
    return (
        (Cin + 1) * (2 * groups * R + SUBSETS * C)
        + SUBSETS * (R + 1) * C
        + SUBSETS * V * V
        + 1
        + 2 * C
        + down
    )


def temporal(block: Block) -> int:
    """Parameters of a temporal unit and the block's residual; no conv has a bias."""
    Cin, C, width = block.graph_channels, block.out_channels, block.out_channels // 4
    residual = (block.in_channels + 2) * C if block.projects else 0
    return Cin * C + 2 * 3 * width + 2 * 5 * width * width + 2 * C + residual


def clip_macs(spec: Spec, groups) -> int:
    """Multiply-accumulates of one clip; `groups(block)` relations in a block's graph unit, 0 where
    it has none."""
    V, T, total = spec.skeleton.joints, spec.frames, 0
    for block in spec.blocks:
        Cin, mid, C, R, width = (
            block.in_channels,
            block.graph_channels,
            block.out_channels,
            block.relation_channels,
            block.out_channels // 4,
        )
        out_frames = -(-T // block.stride)
        if groups(block):
            total += 2 * groups(block) * Cin * R * V * T + SUBSETS * (
                Cin * mid * V * T + R * mid * V * V + mid * V * V * T
            )
            total += Cin * mid * V * T if Cin != mid else 0
        total += (
            3 * mid * width * V * T
            + (C - 3 * width) * mid * V * out_frames
            + 2 * 5 * width * width * V * out_frames
        )
        total += Cin * C * V * out_frames if block.projects else 0
        T = out_frames
    return total * spec.persons + spec.blocks[-1].out_channels * spec.classes
