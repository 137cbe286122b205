"""Which blocks of a network lie one behind the other."""

from __future__ import annotations

from paddle import nn


def members(network: nn.Layer) -> list[str]:
    """The networks that lie side by side in one, by the names of their layers: those of an ensemble;
    of any other network none."""
    return [block.id for block in network.spec.blocks if hasattr(block, "blocks")]
