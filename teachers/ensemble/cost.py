"""Parameters and arithmetic of an ensemble: those of its members, which share one bias of the
classifier; streams cost a subtraction a number, and are not counted."""

from __future__ import annotations

from teachers import networks
from teachers.ensemble.spec import Spec


def parameters(spec: Spec) -> int:
    """Trainable parameters of the members' published forms."""
    each = [networks.parameters(spec.member(branch)) for branch in spec.blocks]
    return sum(each) - (len(each) - 1) * spec.classes


def macs(spec: Spec) -> int:
    """Multiply-accumulates of one clip."""
    return sum(networks.macs(spec.member(branch)) for branch in spec.blocks)
