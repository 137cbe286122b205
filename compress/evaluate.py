"""The only place accuracy is counted: samples, never means of batches; nothing is shuffled or dropped."""
from __future__ import annotations

from typing import Callable, Iterator

import numpy as np
import paddle
from paddle import nn

from compress.data import loader
from compress.data.dataset import Dataset, Split

CACHE_BYTES = 512_000_000


class EvaluationSet:
    """A split as the network sees it, in order. Prepared once and kept when it fits in CACHE_BYTES."""

    def __init__(self, dataset: Dataset, split: Split):
        self.dataset, self.split = dataset, split
        self.labels = np.asarray(split.labels)
        self._keep = len(split.names) * int(np.prod(dataset.input_shape)) * 4 <= CACHE_BYTES
        self._clips: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def batches(self, batch_size: int) -> Iterator[np.ndarray]:
        """(N, C, T, V, M) float32 in the order of the split, the last one as small as it is."""
        if self._keep and self._clips is None:
            self._clips = np.concatenate(list(self._prepared(64)))
        if self._clips is None:
            yield from self._prepared(batch_size)
        else:
            for start in range(0, len(self), batch_size):
                yield self._clips[start:start + batch_size]

    def _prepared(self, batch_size: int) -> Iterator[np.ndarray]:
        order = np.arange(len(self))
        for x, _ in loader.batches(self.split, lambda clip, _rng: self.dataset.prepare(clip), batch_size, order):
            yield x


def predictor(network: nn.Layer) -> Callable[[np.ndarray], np.ndarray]:
    """The network as a function of arrays, (N, C, T, V, M) -> logits (N, K), in evaluation mode."""

    def predict(x: np.ndarray) -> np.ndarray:
        was_training = network.training
        network.eval()
        with paddle.no_grad():
            logits = network(paddle.to_tensor(x)).numpy()
        if was_training:
            network.train()
        return logits

    return predict


def logits_of(predict: Callable[[np.ndarray], np.ndarray], clips: EvaluationSet, batch_size: int = 16,
              advance: Callable[[int], None] | None = None) -> np.ndarray:
    """Logits (n, K) of a whole split."""
    found = []
    for x in clips.batches(batch_size):
        found.append(predict(x))
        if advance:
            advance(len(x))
    return np.concatenate(found)


def accuracy(logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Percent: `top1`, `top5`, and `class_mean`, the mean of the recalls of the classes that occur."""
    order = np.argsort(-logits, axis=1, kind="stable")
    right = order[:, 0] == labels
    recalls = [right[labels == label].mean() for label in np.unique(labels)]
    return {"top1": 100.0 * float(right.mean()), "top5": 100.0 * float((order[:, :5] == labels[:, None]).any(1).mean()),
            "class_mean": 100.0 * float(np.mean(recalls))}


def confusion(logits: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """(K, K) counts, rows true, columns predicted."""
    matrix = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(matrix, (labels, logits.argmax(1)), 1)
    return matrix
