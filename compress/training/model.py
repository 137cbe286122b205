"""A network together with the input it sees clips through, and several of them fused into one
teacher."""

from __future__ import annotations

from dataclasses import dataclass

from paddle import nn

from compress.inputs.view import View


@dataclass(frozen=True)
class Model:
    """A network and its view of a clip; `weight` is its share in an ensemble."""

    network: nn.Layer
    view: View
    weight: float = 1.0

    def __call__(self, batch: dict):
        """Logits (N, K) of a batch {view fingerprint: x (N, C, T, V, M)}."""
        return self.network(batch[self.view.fingerprint])


def fused(members: tuple[Model, ...], batch: dict):
    """Logits (N, K) of an ensemble: the members' logits, averaged by weight; one member's own
    logits."""
    if len(members) == 1:
        return members[0](batch)
    total = sum(one.weight for one in members)
    return sum(one(batch) * (one.weight / total) for one in members)


def views_of(models) -> tuple[View, ...]:
    """The different views among the models, each once, in order."""
    return tuple({one.view.fingerprint: one.view for one in models}.values())
