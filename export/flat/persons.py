"""Where a flat network makes a row of every person, and where it brings a clip's persons together."""

from __future__ import annotations

from typing import Any

import paddle

from export.flat.layers import FlatLayer, array


class Entry(FlatLayer):
    """The first layer of a flat network: a clip (N, C, T, V, M) -> whatever the second one takes.

    What lies behind `rows` treats every row by itself, so that a row can be left out.
    """

    def rows(self, x):
        """Persons to the batch: (N, C, T, V, M) -> (N * M, C, V, T)."""
        raise NotImplementedError

    def behind(self, rows) -> Any:
        """What else the layer does, row by row."""
        return rows

    def forward(self, x):
        return self.behind(self.rows(x))


def features_of(x):
    """Means of maps over joints and frames, row by row: (B, F, V, T) -> (B, F)."""
    # The last block of CTR-GCN's form for ONNX hands on its branches
    x = paddle.concat(x, axis=1) if isinstance(x, (list, tuple)) else x
    return x.mean([2, 3])


class Head(FlatLayer):
    """Mean over joints and frames, then persons, then the classifier.

    Args:
        network: with a classifier `fc`.
        channels: of the last map.
    """

    def __init__(self, network, channels: int):
        super().__init__("fc")
        self.persons = network.spec.persons
        self.channels = channels
        self.weight_ = self.constant("w", array(network.fc.weight), axis=1, layer="w")
        self.bias_ = self.constant("b", array(network.fc.bias))

    def features(self, x):
        """Of each row: (N * M, F, V, T) -> (N * M, F)."""
        return features_of(x)

    def together(self, features):
        """A clip's persons: (N * M, F) -> (N, F)."""
        return features.reshape([-1, self.persons, self.channels]).mean(1)

    def pooled(self, x):
        """(N * M, F, V, T) -> (N, F)."""
        return self.together(self.features(x))

    def classify(self, pooled):
        """(N, F) -> logits (N, K)."""
        return paddle.matmul(pooled, self.weight_) + self.bias_

    def forward(self, x):
        return self.classify(self.pooled(x))
