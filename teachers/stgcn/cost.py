"""What ST-GCN costs, counted as the field counts it: the published form, with every bias and the
conv before the graph."""

from __future__ import annotations

from teachers.stages import Block, Spec
from teachers.stgcn.network import SUBSETS


def parameters(spec: Spec) -> int:
    """Trainable parameters of the published form (3,098,832 for ten blocks on NTU-25 with 60
    classes)."""
    V = spec.skeleton.joints
    # 3 * C of the temporal conv: its bias, and scale and shift of its BatchNorm.
    return around(spec) + sum(
        graph(block, V) + 9 * block.out_channels**2 + 3 * block.out_channels + residual(block)
        for block in spec.blocks
    )


def macs(spec: Spec) -> int:
    """Multiply-accumulates of one clip: convs, graph products and classifier."""
    V = spec.skeleton.joints
    T = spec.frames
    total = 0
    for block in spec.blocks:
        # Padding keeps a last odd frame.
        out_frames = -(-T // block.stride)
        total += graph_macs(block, V, T)
        # The temporal conv spans nine frames.
        total += V * out_frames * (9 * block.out_channels**2 + residual_macs(block))
        T = out_frames
    return total * spec.persons + spec.blocks[-1].out_channels * spec.classes


def around(spec: Spec) -> int:
    """Parameters outside the blocks: the input's BatchNorm and the classifier."""
    # The persons share the input's BatchNorm, so their number does not count.
    norm = 2 * spec.channels * spec.skeleton.joints
    return norm + (spec.blocks[-1].out_channels + 1) * spec.classes


def graph(block: Block, V: int) -> int:
    """Parameters of a graph convolution, its BatchNorm and one learned matrix a subset."""
    return SUBSETS * ((block.in_channels + 1) * block.out_channels + V * V) + 2 * block.out_channels


def residual(block: Block) -> int:
    """Parameters of the block residual: 1x1 conv with bias and BatchNorm, or none."""
    return (block.in_channels + 3) * block.out_channels if block.projects else 0


def graph_macs(block: Block, V: int, T: int) -> int:
    """Multiply-accumulates of a graph convolution: the conv into three times the channels, then the
    products."""
    return SUBSETS * block.out_channels * V * T * (block.in_channels + V)


def residual_macs(block: Block) -> int:
    """Multiply-accumulates of the block residual for one joint of one frame of the output."""
    return block.in_channels * block.out_channels if block.projects else 0
