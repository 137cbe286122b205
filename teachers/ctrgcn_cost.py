"""What CTR-GCN costs, counted as the field counts it: the published form, with every bias and unpooled relation convs."""
from __future__ import annotations

from teachers.ctrgcn import SUBSETS, Block, Spec


def parameters(spec: Spec) -> int:
    """Trainable parameters of the published form (1,446,672 for ten blocks on NTU-25 with 60 classes).

    The network built here has `cancelled_biases(spec)` fewer: biases that the BatchNorm behind them cancels.
    """
    total = 2 * spec.channels * spec.skeleton.joints * spec.persons
    total += sum(_block_parameters(block, spec.skeleton.joints) for block in spec.blocks)
    return total + (spec.blocks[-1].out_channels + 1) * spec.classes


def cancelled_biases(spec: Spec) -> int:
    """Published biases in front of a BatchNorm: temporal convs, `down` and residual projections."""
    return sum(6 * (block.out_channels // 4) + block.out_channels * ((block.in_channels != block.out_channels) + block.projects)
               for block in spec.blocks)


def macs(spec: Spec) -> int:
    """Multiply-accumulates of one clip, convs, graph products and classifier (1.939 G for ten blocks on NTU-25)."""
    V, T, total = spec.skeleton.joints, spec.frames, 0
    for block in spec.blocks:
        C, Cin, R, width = block.out_channels, block.in_channels, block.relation_channels, block.out_channels // 4
        out_frames = -(-T // block.stride)
        total += SUBSETS * (2 * Cin * R * V * T + Cin * C * V * T + R * C * V * V + C * V * V * T)
        total += (Cin * C * V * T if Cin != C else 0) + (Cin * C * V * out_frames if block.projects else 0)
        total += 3 * C * width * V * T + C * width * V * out_frames + 2 * 5 * width * width * V * out_frames
        T = out_frames
    return total * spec.persons + spec.blocks[-1].out_channels * spec.classes


def _block_parameters(block: Block, V: int) -> int:
    C, Cin, R, width = block.out_channels, block.in_channels, block.relation_channels, block.out_channels // 4
    projection = (Cin + 1) * C + 2 * C
    graph = SUBSETS * (2 * (Cin + 1) * R + (Cin + 1) * C + (R + 1) * C) + SUBSETS * V * V + 1 + 2 * C
    graph += projection if Cin != C else 0
    temporal = 4 * (C + 1) * width + 2 * (5 * width + 1) * width + 7 * 2 * width
    return graph + temporal + (projection if block.projects else 0)
