"""What of a network learns, and how fast: frozen blocks, rates by depth, frozen BatchNorm
statistics."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from paddle import nn

from compress.training import depth
from compress.training.settings import Config
from teachers.layers import BatchNorm


def parts(network: nn.Layer) -> dict[str, nn.Layer]:
    """The layers that can be frozen by name, input first: the network's blocks and what lies
    around them."""
    return dict(network.named_children())


def rates(network: nn.Layer, decay: float) -> dict[str, float]:
    """The factor on the learning rate of each part: 1 for the classifier, and `decay` times less
    for each part in front of it."""
    names = list(parts(network))
    # What lies around the blocks is no deeper than the block beside it: `data_bn` learns as fast
    # as l1.
    blocks = [block.id for block in network.spec.blocks]
    aside = depth.members(network)
    factors = {}
    for name in names:
        if name == "fc":
            factors[name] = 1.0
        elif name in aside:
            # Each right in front of the classifier.
            factors[name] = decay
        else:
            parts_behind = len(blocks) - (blocks.index(name) if name in blocks else 0)
            factors[name] = decay**parts_behind
    return factors


@contextmanager
def applied(network: nn.Layer, config: Config) -> Iterator[None]:
    """The network as its training takes it, with frozen parts that take no gradient; put back
    behind it, so that the next training begins anew."""
    # A network that is trained while it is rounded has no parts of these names.
    if not config.freeze and config.rate_decay == 1.0:
        yield
        return
    factors = rates(network, config.rate_decay)
    before = []
    for name, part in parts(network).items():
        for parameter in part.parameters():
            before.append((parameter, parameter.stop_gradient, parameter.optimize_attr))
            parameter.stop_gradient = parameter.stop_gradient or name in config.freeze
            # A copy: parameters may share the dict of their class's default
            parameter.optimize_attr = {**parameter.optimize_attr, "learning_rate": factors[name]}
    try:
        yield
    finally:
        for parameter, stopped, attributes in before:
            parameter.stop_gradient = stopped
            parameter.optimize_attr = attributes


def keep_statistics(network: nn.Layer, config: Config) -> None:
    """Of a network in training mode, put into evaluation mode what is not to move."""
    for name, part in parts(network).items():
        if name in config.freeze:
            part.eval()
    if config.frozen_norm:
        for layer in network.sublayers():
            if isinstance(layer, BatchNorm):
                layer.eval()


def fixed_names(network: nn.Layer, config: Config) -> set[str]:
    """Names of the tensors that stay, as `state_dict` has them."""
    starts = tuple(f"{name}." for name in config.freeze)
    ends = ("._mean", "._variance") if config.frozen_norm else ()
    # An empty tuple is the start and the end of nothing.
    return {name for name in network.state_dict() if name.startswith(starts) or name.endswith(ends)}
