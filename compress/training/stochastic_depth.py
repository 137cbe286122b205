"""Stochastic depth: in training, a sample passes a block by its residual alone now and then."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from paddle import nn

from teachers.layers import Residual


def rates(network: nn.Layer, last: float) -> dict[str, float]:
    """The probability of each block, which grows evenly towards `last` (Huang et al., arXiv
    1603.09382, section 3)."""
    blocks = [block.id for block in network.spec.blocks]
    return {name: last * (number + 1) / len(blocks) for number, name in enumerate(blocks)}


def _in_depth(network: nn.Layer) -> list[nn.Layer]:
    """The networks whose blocks lie one behind the other: the members of an ensemble, which lie side
    by side, or the network itself."""
    members = [block.id for block in network.spec.blocks if hasattr(block, "blocks")]
    return [getattr(network, name) for name in members] or [network]


@contextmanager
def applied(network: nn.Layer, last: float) -> Iterator[None]:
    """The network as its training takes it; without these rates again behind it."""
    # A network that is trained while it is rounded has no blocks, and no such rate.
    if last == 0.0:
        yield
        return
    changed = []
    for part in _in_depth(network):
        for name, rate in rates(part, last).items():
            for layer in getattr(part, name).sublayers(include_self=True):
                if isinstance(layer, Residual):
                    layer.drop_path = rate
                    changed.append(layer)
    try:
        yield
    finally:
        for layer in changed:
            layer.drop_path = 0.0
