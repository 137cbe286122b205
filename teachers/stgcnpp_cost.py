"""What STGCN++ costs, counted as the field counts it: the published form, with every bias and the conv before the graph."""
from __future__ import annotations

from teachers.stages import Block
from teachers.stgcn_cost import around, graph, graph_macs, residual, residual_macs
from teachers.stgcnpp import Spec, branch_widths


def parameters(spec: Spec) -> int:
    """Trainable parameters of the published form (1,403,144 for ten blocks on NTU-25 with 60 classes)."""
    return around(spec) + sum(graph(block, spec.skeleton.joints) + (block.in_channels + 3) * block.out_channels * widens(block)
                              + _temporal(block.out_channels) + residual(block) for block in spec.blocks)


def macs(spec: Spec) -> int:
    """Multiply-accumulates of one clip: convs, graph products and classifier."""
    V, T, total = spec.skeleton.joints, spec.frames, 0
    for block in spec.blocks:
        C, widths, out_frames = block.out_channels, branch_widths(block.out_channels), -(-T // block.stride)
        total += graph_macs(block, V, T) + block.in_channels * C * V * T * widens(block)
        total += C * sum(widths[:-1]) * V * T  # the plain branch computes only the frames it keeps
        total += V * out_frames * (C * widths[-1] + sum(3 * width ** 2 for width in widths[:-2]) + C * C + residual_macs(block))
        T = out_frames
    return total * spec.persons + spec.blocks[-1].out_channels * spec.classes


def widens(block: Block) -> bool:
    """Whether the residual inside the graph unit is a conv."""
    return block.in_channels != block.out_channels


def _temporal(C: int) -> int:
    widths = branch_widths(C)
    branches = (C + 1) * C + 2 * sum(widths[:-1]) + sum((3 * width + 1) * width for width in widths[:-2])
    return branches + 2 * C + (C + 1) * C + 2 * C
