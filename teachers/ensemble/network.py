"""Late fusion of streams inside one network (2s-AGCN, arXiv 1805.07694; CTR-GCN, arXiv 2107.12213,
fuses four): it is fed joints, computes bones and motions of them, runs a narrow network on each
stream, and classifies all their features together.

A weighted sum of the members' logits is one classifier on their features side by side, whose weights
are theirs times the shares. So the shares are part of `fc`, and training goes on with them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import paddle
from paddle import nn
from paddle.nn.initializer import Constant, Normal

from teachers import networks
from teachers.ensemble.spec import Spec, spec_of
from teachers.ensemble.streams import parents, stream


def axes(spec: Spec) -> networks.Axes:
    """The members', behind their names; see `teachers.networks.NetworkModule`."""
    found: networks.Axes = {}
    for branch in spec.blocks:
        own = networks.axes(spec.member(branch))
        found |= {f"{branch.id}.{pattern}": parts for pattern, parts in own.items()}
    # A member's classifier is a part of the network's own.
    return found | {"fc.weight": ((), ("class",)), "fc.bias": (("class",),)}


class Ensemble(nn.Layer):
    """x (N, C, T, V, M) float32 of joints -> logits (N, K)."""

    def __init__(self, spec: Spec):
        super().__init__()
        self.spec = spec
        self.widths = []
        for branch in spec.blocks:
            member = networks.build(spec.member(branch))
            self.widths.append(member.fc.weight.shape[0])
            # What is left of a member ends in the features of a clip.
            member.fc = nn.Identity()
            self.add_sublayer(branch.id, member)
        # As wide as the mean of the members' own classifiers, of which it is the sum.
        deviation = math.sqrt(2.0 / spec.classes) / len(self.widths)
        self.fc = nn.Linear(
            sum(self.widths),
            spec.classes,
            weight_attr=paddle.ParamAttr(initializer=Normal(0.0, deviation)),
            bias_attr=paddle.ParamAttr(initializer=Constant(0.0)),
        )
        # Not persistable: it follows from the skeleton.
        self.register_buffer("parents", paddle.to_tensor(parents(spec.skeleton)), persistable=False)

    def forward(self, x):
        features = []
        for branch in self.spec.blocks:
            seen = [stream(x, kind, self.parents, joints=3, frames=2) for kind in branch.streams]
            member = getattr(self, branch.id)
            features.append(member(paddle.concat(seen, axis=1) if len(seen) > 1 else seen[0]))
        return self.fc(paddle.concat(features, axis=1))


def build(spec: Spec) -> Ensemble:
    """A freshly initialised network of this spec."""
    return Ensemble(spec)


def member_states(network: Ensemble) -> list[dict[str, np.ndarray]]:
    """The weights of each member by itself, its classifier that part of the network's own; the bias
    is in the first."""
    state = networks.state_of(network)
    ends = np.cumsum(network.widths)[:-1]
    found = []
    for number, part in enumerate(np.split(state["fc.weight"], ends)):
        prefix = f"{network.spec.blocks[number].id}."
        own = {
            name.removeprefix(prefix): value
            for name, value in state.items()
            if name.startswith(prefix)
        }
        bias = state["fc.bias"] if number == 0 else np.zeros_like(state["fc.bias"])
        found.append(own | {"fc.weight": part, "fc.bias": bias})
    return found


def joined(members: Sequence[tuple[str, nn.Layer, float]]) -> Ensemble:
    """One network that computes the weighted mean of the members' logits, each (stream, network,
    weight), in evaluation mode.

    Raises:
        RecipeError: as `spec_of`.
    """
    network = build(spec_of([(name, each.spec) for name, each, _ in members]))
    total = sum(weight for _, _, weight in members)
    state: dict[str, np.ndarray] = {}
    weights, biases = [], []
    for name, each, weight in members:
        own = networks.state_of(each)
        share = np.float32(weight / total)
        weights.append(own.pop("fc.weight") * share)
        biases.append(own.pop("fc.bias") * share)
        state |= {f"{name}.{key}": value for key, value in own.items()}
    state |= {"fc.weight": np.concatenate(weights), "fc.bias": sum(biases[1:], biases[0])}
    networks.load_state(network, state, "the members of an ensemble")
    network.eval()
    return network
