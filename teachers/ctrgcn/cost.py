"""What CTR-GCN costs, counted as the field counts it: the published form, with every bias and
unpooled relation convs."""

from __future__ import annotations

from teachers.ctrgcn.network import SUBSETS, Block, Spec


def parameters(spec: Spec) -> int:
    """Trainable parameters of the published form (1,446,672 for ten blocks on NTU-25 with 60
    classes).

    The network built here has `cancelled_biases(spec)` fewer: biases that the BatchNorm behind them
    cancels.
    """
    # data_bn is over persons, too: each has scales of its own, unlike in ST-GCN.
    total = 2 * spec.channels * spec.skeleton.joints * spec.persons
    total += sum(_block_parameters(block, spec.skeleton.joints) for block in spec.blocks)
    return total + (spec.blocks[-1].out_channels + 1) * spec.classes


def cancelled_biases(spec: Spec) -> int:
    """Published biases in front of a BatchNorm: temporal convs, `down` and residual projections."""
    total = 0
    for block in spec.blocks:
        # The pooled branch ends in a pooling without bias; its leading conv is one of `_reduced`.
        near, far, _, plain = block.inside.branches
        total += _reduced(block) + plain + near + far
        if block.graph_projects:
            total += block.inside.graph
        if block.projects:
            total += block.out_channels
    return total


def macs(spec: Spec) -> int:
    """Multiply-accumulates of one clip, convs, graph products and classifier (1.939 G for ten
    blocks on NTU-25)."""
    V = spec.skeleton.joints
    T = spec.frames
    total = 0
    for block in spec.blocks:
        C = block.out_channels
        G = block.inside.graph
        Cin = block.in_channels
        R = block.relation_channels
        # Padding keeps a last odd frame.
        out_frames = -(-T // block.stride)
        # 2 * Cin * R * V * T: the published relation convs run over all frames, pooling follows.
        # Counted so, our figures compare with the literature's.
        total += SUBSETS * (2 * Cin * R * V * T + Cin * G * V * T + R * G * V * V + G * V * V * T)
        if block.graph_projects:
            total += Cin * G * V * T
        if block.projects:
            total += Cin * C * V * out_frames
        total += G * _reduced(block) * V * T
        total += (G * block.inside.branches[-1] + _taps(block)) * V * out_frames
        T = out_frames
    # Persons are averaged in front of the classifier, so it runs once a clip.
    return total * spec.persons + spec.blocks[-1].out_channels * spec.classes


def _block_parameters(block: Block, V: int) -> int:
    C = block.out_channels
    G = block.inside.graph
    Cin = block.in_channels
    R = block.relation_channels
    # + 1 a conv: its bias. + 2 a channel: its BatchNorm. So + 3 where a biased conv has one.
    near, far, _, plain = block.inside.branches
    graph = (
        SUBSETS * (2 * (Cin + 1) * R + (Cin + 1) * G + (R + 1) * G) + SUBSETS * V * V + 1 + 2 * G
    )
    graph += (Cin + 3) * G if block.graph_projects else 0
    temporal = (G + 3) * _reduced(block) + (G + 1) * plain + _taps(block) + near + far + 2 * C
    return graph + temporal + ((Cin + 3) * C if block.projects else 0)


def _reduced(block: Block) -> int:
    """Channels behind the leading 1x1 convs that have a BatchNorm: near, far and pooled branch."""
    return sum(block.inside.inner) + block.inside.branches[2]


def _taps(block: Block) -> int:
    """Weights of the two convs over five frames."""
    inside = block.inside
    # The pooled and the plain branch, which come last, have no conv over frames.
    pairs = zip(inside.inner, inside.branches[: len(inside.inner)], strict=True)
    return 5 * sum(before * width for before, width in pairs)
