"""Stochastic depth: in training, a sample passes a block by its residual alone now and then."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from paddle import nn

from compress.training import depth
from teachers.layers import Residual


def rates(network: nn.Layer, last: float) -> dict[str, float]:
    """The probability of each block, which grows evenly towards `last` (Huang et al., arXiv
    1603.09382, section 3)."""
    blocks = [block.id for block in network.spec.blocks]
    return {name: last * (number + 1) / len(blocks) for number, name in enumerate(blocks)}


@contextmanager
def applied(network: nn.Layer, last: float) -> Iterator[None]:
    """The network as its training takes it; without these rates again behind it."""
    # A network that is trained while it is rounded has no blocks, and no such rate.
    if last == 0.0:
        yield
        return
    changed = []
    for part in [getattr(network, name) for name in depth.members(network)] or [network]:
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
