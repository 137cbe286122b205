"""The moving average of a network's weights, in one update over all of them."""

from __future__ import annotations

from collections.abc import Collection

import paddle
from paddle import nn

from teachers import networks


class Average:
    """A copy of a network that follows it: average * decay + network * (1 - decay) at every step,
    BatchNorm statistics included, since those of the learner belong to its own weights.

    Args:
        fixed: names of tensors that stay as they are.
    """

    def __init__(self, learner: nn.Layer, decay: float, fixed: Collection[str]):
        self.decay = decay
        # Starts as a copy of the learner, not from zeros, so it needs no bias correction in its
        # first steps.
        self._network = networks.copy_of(learner)
        # An average of equal numbers is not always that number in float32, so what stays is left
        # out of it.
        names = [name for name in learner.state_dict() if name not in fixed]
        followed = learner.state_dict()
        copies = self._network.state_dict()
        # `state_dict` hands out the networks' own tensors, which are changed in place.
        self._followed = [followed[name] for name in names]
        self._copies = [copies[name] for name in names]
        self._flat: paddle.Tensor | None = None

    @property
    def network(self) -> nn.Layer:
        """The averaged network, as of the last `follow`."""
        self._write_back()
        return self._network

    @paddle.no_grad()
    def follow(self) -> None:
        """One step behind the network."""
        # One vector: the same arithmetic for each number as tensor by tensor, in three operations
        # rather than three for each of hundreds of tensors.
        if self._flat is None:
            self._flat = joined(self._copies)
        self._flat = self._flat * self.decay + joined(self._followed) * (1.0 - self.decay)

    @paddle.no_grad()
    def _write_back(self) -> None:
        # Only where somebody looks, and read anew afterwards: a resumed training loads the network.
        if self._flat is None:
            return
        put_back(self._copies, self._flat)
        self._flat = None


@paddle.no_grad()
def joined(values: list[paddle.Tensor]) -> paddle.Tensor:
    """All numbers of some tensors as one vector."""
    return paddle.concat([value.reshape([-1]) for value in values])


@paddle.no_grad()
def put_back(values: list[paddle.Tensor], flat: paddle.Tensor) -> None:
    """The numbers of a vector that `joined` made, in place in the tensors."""
    parts = paddle.split(flat, [value.size for value in values])
    for value, part in zip(values, parts, strict=True):
        paddle.assign(part.reshape(value.shape), output=value)
