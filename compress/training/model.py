"""A network together with the input it sees clips through, and several of them fused into one
teacher."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from paddle import nn

from compress.data.dataset import Dataset
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

    def about(self, dataset: Dataset) -> dict[str, Any]:
        """What a weights file of this network says about its data."""
        return about(self.view, dataset)


def about(view: View, dataset: Dataset) -> dict[str, Any]:
    """What a weights file says about its data: enough to export and feed the network later."""
    # The network's own input may have other channels (branches) than the recordings that a
    # deployed network is fed, so both are told
    recorded: dict[str, object] = {
        "channels": dataset.channels,
        "joints": dataset.skeleton.joints,
        "persons": dataset.persons,
    }
    if dataset.joint_names:
        recorded["names"] = list(dataset.joint_names)

    # Keys only where they say something: files of other data stay byte for byte what they were.
    if dataset.score_columns:
        recorded["score"] = True
        recorded["coordinates"] = dataset.coordinates
    if dataset.repair_bones is not None:
        recorded["repair_bones"] = [list(bone) for bone in dataset.repair_bones]
    if dataset.min_score is not None:
        recorded["min_score"] = dataset.min_score
    return {
        "data": dataset.name,
        "classes": list(dataset.classes),
        # As steps, not as the input's name: an input that changes later leaves old files alone.
        "preprocessing": list(view.eval_ops),
        "views": view.clips,
        "recorded": recorded,
    }


class Member(Protocol):
    """What computes logits (N, K) of a batch, with a share in an ensemble."""

    @property
    def weight(self) -> float: ...

    def __call__(self, batch: dict): ...


def fused(members: Sequence[Member], batch: dict):
    """Logits (N, K) of an ensemble: the members' logits, averaged by weight; one member's own
    logits."""
    if len(members) == 1:
        # Not through the weighted sum: a product with 1.0 would keep the bits, but costs a pass.
        return members[0](batch)
    # Logits, not probabilities, are averaged: the losses soften the mean of the ensemble by their
    # own temperature.
    total = sum(model.weight for model in members)
    return sum(model(batch) * (model.weight / total) for model in members)


def views_of(models: Iterable[Model]) -> tuple[View, ...]:
    """The different views among the models, each once, in order."""
    # By fingerprint: teacher and student often share a view, and each view costs a pass of the
    # augmentation.
    return tuple({model.view.fingerprint: model.view for model in models}.values())
