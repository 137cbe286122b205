"""What CTRGCN_light V1 costs, counted as the field counts it: relation convs before pooling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from teachers.ctrgcn.network import SUBSETS
from teachers.ctrgcn_light import v1, v2

# Both variants are counted here: they differ in relations and in where a block widens.
Block = v1.Block | v2.Block
Spec = v1.Spec | v2.Spec


def parameters(spec: v1.Spec) -> int:
    """Trainable parameters (1,024,110 for ten blocks on NTU-25 with 60 classes)."""
    total = around(spec)
    for block in spec.blocks:
        if block.graph:
            total += graph(block, SUBSETS, spec.skeleton.joints)
        total += temporal(block)
    return total


def macs(spec: v1.Spec) -> int:
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
    Cin = block.in_channels
    C = block.graph_channels
    R = block.relation_channels
    # Published here without a bias, unlike CTR-GCN's: a BatchNorm follows.
    down = (Cin + 2) * C if Cin != C else 0
    relations = (Cin + 1) * (2 * groups * R + SUBSETS * C) + SUBSETS * (R + 1) * C
    # + 1: alpha, which all subsets share.
    return relations + SUBSETS * V * V + 1 + 2 * C + down


def temporal(block: Block) -> int:
    """Parameters of a temporal unit and the block's residual; no conv has a bias."""
    Cin = block.graph_channels
    C = block.out_channels
    # A remainder is the plain branch's, which has neither taps nor a leading BatchNorm.
    width = C // 4
    residual = (block.in_channels + 2) * C if block.projects else 0
    return Cin * C + 2 * 3 * width + 2 * 5 * width * width + 2 * C + residual


def clip_macs(spec: Spec, groups: Callable[[Any], int]) -> int:
    """Multiply-accumulates of one clip; `groups(block)` relations in a block's graph unit, 0 where
    it has none."""
    V = spec.skeleton.joints
    T = spec.frames
    total = 0
    for block in spec.blocks:
        Cin = block.in_channels
        mid = block.graph_channels
        C = block.out_channels
        R = block.relation_channels
        width = C // 4
        out_frames = -(-T // block.stride)
        if groups(block):
            total += 2 * groups(block) * Cin * R * V * T
            total += SUBSETS * (Cin * mid * V * T + R * mid * V * V + mid * V * V * T)
            if Cin != mid:
                total += Cin * mid * V * T
        # Three branches of a quarter; the plain one takes what remains, and only the frames that
        # stay.
        total += 3 * mid * width * V * T
        total += (C - 3 * width) * mid * V * out_frames
        total += 2 * 5 * width * width * V * out_frames
        if block.projects:
            total += Cin * C * V * out_frames
        T = out_frames
    return total * spec.persons + spec.blocks[-1].out_channels * spec.classes
