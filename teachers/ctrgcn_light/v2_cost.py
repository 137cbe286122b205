"""What CTRGCN_light V2 costs, counted as the field counts it: relation convs before pooling."""

from __future__ import annotations

from teachers.ctrgcn_light.v1_cost import around, clip_macs, graph, temporal
from teachers.ctrgcn_light.v2 import Spec


def parameters(spec: Spec) -> int:
    """Trainable parameters (1,117,782 for ten blocks on NTU-25 with 60 classes)."""
    return around(spec) + sum(
        graph(block, 1, spec.skeleton.joints) + temporal(block) for block in spec.blocks
    )


def macs(spec: Spec) -> int:
    """Multiply-accumulates of one clip, convs, graph products and classifier (1.422 G for ten
    blocks on NTU-25)."""
    # One relation for all three subsets.
    return clip_macs(spec, lambda block: 1)
