"""What EfficientGCN costs, counted as the field counts it: the published form, with every bias and
the graph after the convs."""

from __future__ import annotations

from teachers.efficientgcn.layers import HOPS, Step, temporal_steps
from teachers.efficientgcn.network import Block, Spec


def parameters(spec: Spec) -> int:
    """Trainable parameters of the published form (306,201 for B0 with SG layers and edges, NTU-25,
    60 classes)."""
    per_branch = spec.channels // spec.branches
    edges = HOPS * spec.skeleton.joints**2 if spec.edge else 0
    # The stem's temporal layer is always Basic, whatever the blocks have.
    stem = (
        2 * per_branch
        + _graph_parameters(per_branch, spec.stem)
        + edges
        + _parameters(_layer("basic", spec.stem, 0, 1))
    )
    total = spec.branches * stem + (spec.features + 1) * spec.classes
    for block in spec.blocks:
        C = block.out_channels
        H = block.attention
        each = _graph_parameters(block.in_channels, C) + edges
        each += sum(_parameters(layer) for layer in _layers(block))
        # Attention: conv with bias and BatchNorm into H, two convs with bias back, a BatchNorm.
        each += (C + 3) * H + 2 * (H + 1) * C + 2 * C
        total += each * (spec.branches if block.branched else 1)
    return total


def macs(spec: Spec) -> int:
    """Multiply-accumulates of one clip: convs, graph products and classifier."""
    return conv_macs(spec) + graph_macs(spec) + spec.features * spec.classes


def conv_macs(spec: Spec) -> int:
    """Multiply-accumulates of the convs of one clip (2.63 G for B0 with SG layers)."""
    V = spec.skeleton.joints
    T = spec.frames
    per_branch = spec.channels // spec.branches
    stem, _ = _temporal_macs((_layer("basic", spec.stem, 0, 1),), V, T)
    total = spec.branches * (stem + _graph_convs(per_branch, spec.stem) * V * T)
    for block in spec.blocks:
        temporal, frames = _temporal_macs(_layers(block), V, T)
        each = _graph_convs(block.in_channels, block.out_channels) * V * T + temporal
        # Attention pools first: it sees V joints and as many frames as the layers leave.
        each += 2 * block.out_channels * block.attention * (V + frames)
        total += each * (spec.branches if block.branched else 1)
        T = frames
    return total * spec.persons


def graph_macs(spec: Spec) -> int:
    """Multiply-accumulates of the products with the graph, of one clip."""
    V = spec.skeleton.joints
    T = spec.frames
    # Counted over output channels, as published; ours takes the narrower side.
    total = spec.branches * spec.stem * T
    for block in spec.blocks:
        total += block.out_channels * T * (spec.branches if block.branched else 1)
        T = -(-T // block.stride)
    return total * HOPS * V * V * spec.persons


def _layer(layer: str, channels: int, hidden: int, stride: int) -> tuple[Step, ...]:
    """A temporal layer's convolutions, its residual last."""
    residual = (Step("residual", channels, channels, stride=stride),) if stride != 1 else ()
    return (*temporal_steps(layer, channels, hidden, stride), *residual)


def _layers(block: Block) -> list[tuple[Step, ...]]:
    return [
        _layer(block.layer, block.out_channels, block.hidden, 1 if number else block.stride)
        for number in range(block.depth)
    ]


def _graph_parameters(Cin: int, C: int) -> int:
    return (Cin + 1) * HOPS * C + 2 * C + ((Cin + 3) * C if Cin != C else 0)


def _parameters(steps: tuple[Step, ...]) -> int:
    # + 3 an output channel: the published bias, and scale and shift of the BatchNorm.
    return sum(
        (step.in_channels // step.groups * step.kernel + 3) * step.out_channels for step in steps
    )


def _graph_convs(Cin: int, C: int) -> int:
    # One more where the residual is a conv.
    return Cin * C * (HOPS if Cin == C else HOPS + 1)


def _temporal_macs(layers, V: int, T: int) -> tuple[int, int]:
    """(multiply-accumulates, frames left) of temporal layers one after the other."""
    total = 0
    for steps in layers:
        frames = T
        for step in steps:
            # The residual takes the layer's input, not what the step before it left.
            out = -(-T // step.stride) if step.name == "residual" else -(-frames // step.stride)
            total += step.in_channels // step.groups * step.kernel * step.out_channels * V * out
            frames = out
        T = frames
    return total, T
