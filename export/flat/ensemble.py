"""The flat inference network of an ensemble: streams of joints, the members' flat networks side by
side, and one classifier on all their features."""

from __future__ import annotations

import numpy as np
import paddle
from paddle import nn

from export.flat.flatten import flatten as flatten_any
from export.flat.layers import Affine, FlatLayer, array
from export.flat.persons import Entry, Head, features_of
from teachers import networks
from teachers.ensemble.network import Ensemble, member_states
from teachers.ensemble.streams import stream


def flatten(network: Ensemble) -> nn.Sequential:
    """The same function as `network` in evaluation mode: (N, C, T, V, M) -> logits (N, K)."""
    members = []
    for branch, state in zip(network.spec.blocks, member_states(network), strict=True):
        member = networks.build(network.spec.member(branch))
        networks.load_state(member, state, f"the member {branch.id}")
        # Without its classifier, which is a part of the ensemble's.
        layers = list(flatten_any(member))[:-1]
        _beside_channels(layers[0], member.spec.input_shape)
        for layer in layers:
            _name(layer, branch.id)
        members.append(nn.Sequential(*layers))
    flat = nn.Sequential(Members(network, members), Classifier(network, sum(network.widths)))
    flat.eval()
    return flat


def _beside_channels(entry: Entry, shape: tuple[int, int, int, int]) -> None:
    """Give the scale and shift of each person the layout that `Members.rows` has them in."""
    C, _, V, M = shape
    for name in ("scale", "shift"):
        # One for all persons, or one each.
        value = array(getattr(entry, name)).reshape(-1, C, V)
        everybody = np.broadcast_to(value, (M, C, V)).reshape(1, M * C, V, 1)
        setattr(entry, name, entry.constant(name, everybody))


def _name(whole: nn.Layer, member: str) -> None:
    """Put a member's name in front of those of its layers and constants."""
    # Each once, though a layer may know a constant by two names.
    for parameter in whole.parameters():
        parameter.name = f"{member}.{parameter.name}"
    for layer in whole.sublayers(include_self=True):
        if not isinstance(layer, FlatLayer):
            continue
        layer.block = f"{member}.{layer.block}"
        layer.weights = {
            attribute: (f"{member}.{name}", axis)
            for attribute, (name, axis) in layer.weights.items()
        }
        if isinstance(layer, Affine):
            layer.layer = f"{member}.{layer.layer}"


def _by_person(streams: list, persons: int):
    """Streams (N, M * C, V, T) as channels of one input, (N, M * S * C, V, T): all of a person's side
    by side."""
    if persons > 1:
        apart = [paddle.split(x, persons, axis=1) for x in streams]
        streams = [x[person] for person in range(persons) for x in apart]
    return paddle.concat(streams, axis=1)


class Members(Entry):
    """Streams, each with its member's scale and shift, as channels of a person's row; then each
    member on its own channels: (N, C, T, V, M) -> features (N * M, F)."""

    def __init__(self, network: Ensemble, members: list[nn.Sequential]):
        super().__init__("streams")
        self.shape = network.spec.input_shape
        self.kinds = [branch.streams for branch in network.spec.blocks]
        self.members = nn.LayerList(members)
        # A constant of the program, which no plan speaks of.
        self.register_buffer("parents", network.parents.clone(), persistable=False)

    def rows(self, x):
        C, T, V, M = self.shape
        # Persons beside channels, (N, M * C, V, T): some places have no fifth axis.
        people = x.transpose([0, 4, 1, 3, 2]).reshape([0, M * C, V, T])
        seen = []
        for kinds, member in zip(self.kinds, self.members, strict=True):
            entry = member[0]
            made = [stream(people, kind, self.parents, 2, 3) for kind in kinds]
            own = made[0] if len(made) == 1 else _by_person(made, M)
            own = own * entry.scale + entry.shift
            seen.append(paddle.split(own, M, axis=1) if M > 1 else [own])
        # One row for each person, so that who is not there can be left out of all members at once.
        parts = [own[person] for person in range(M) for own in seen]
        return paddle.concat(parts, axis=1).reshape([-1, sum(map(len, self.kinds)) * C, V, T])

    def behind(self, rows):
        features = []
        sizes = [len(kinds) * self.shape[0] for kinds in self.kinds]
        for part, member in zip(paddle.split(rows, sizes, axis=1), self.members, strict=True):
            entry, *blocks = member
            y = entry.behind(entry.point("out", part))
            for block in blocks:
                y = block(y)
            features.append(features_of(y))
        return paddle.concat(features, axis=1)


class Classifier(Head):
    """Persons, then the classifier, of features that are pooled already."""

    def features(self, x):
        """(N * M, F) as they are."""
        return x
