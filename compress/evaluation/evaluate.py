"""The only place accuracy is counted: samples, never means of batches; nothing is shuffled or
dropped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from compress.data import loader
from compress.data.dataset import Split
from compress.evaluation.record import Accuracy, SplitResult
from compress.inputs.view import View
from compress.process import ranks

# A split that is larger when prepared is prepared again for every evaluation: that of NTU RGB+D 120
# would take 2 GB of float32 at 64 frames a clip.
CACHE_BYTES = 512_000_000
# Clips that are prepared at a time to be kept; the network's batches are cut from them.
PREPARED = 64


class EvaluationSet:
    """A split as a network sees it, in order: `clips` views of every sample, one after the other
    (N-clip testing).

    Prepared once and kept when it fits in CACHE_BYTES.
    """

    def __init__(self, split: Split, view: View, clips: int = 1):
        self.split = split
        self.view = view if clips == view.clips else replace(view, clips=clips)
        self.clips = clips
        self.labels = np.asarray(split.labels)
        self.copies = split.copies
        self._keep = len(split.names) * clips * int(np.prod(view.shape)) * 4 <= CACHE_BYTES
        self._prepared_clips: np.ndarray | None = None
        self._part: EvaluationSet | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def of_this_process(self) -> EvaluationSet:
        """The samples that this process judges: a part of the split, or all of it where there is
        one process."""
        if ranks.count() == 1:
            return self
        if self._part is None:
            mine = np.array_split(np.arange(len(self)), ranks.count())[ranks.index()]
            self._part = EvaluationSet(self.split.part(mine), self.view, self.clips)
        return self._part

    def batches(self, batch_size: int) -> Iterator[np.ndarray]:
        """(N, C, T, V, M) float32 in the order of the split, whole samples, the last one as small
        as it is."""
        if self._keep and self._prepared_clips is None:
            self._prepared_clips = np.concatenate(list(self._prepared(PREPARED)))
        if self._prepared_clips is None:
            yield from self._prepared(batch_size)
        else:
            # Whole samples: the views of one must not be cut apart, because they are averaged.
            step = max(1, batch_size // self.clips) * self.clips
            for start in range(0, len(self._prepared_clips), step):
                yield self._prepared_clips[start : start + step]

    def _prepared(self, batch_size: int) -> Iterator[np.ndarray]:
        def views(clip: np.ndarray, _rng: np.random.Generator) -> np.ndarray:
            return np.stack([self.view.prepare(clip, number) for number in range(self.clips)])

        for x, _ in loader.batches(
            self.split, views, loader.cut(np.arange(len(self)), max(1, batch_size // self.clips))
        ):
            # One array, not a tuple of them: `views` stacks what it makes of a sample.
            stacked = np.asarray(x)
            yield stacked.reshape(-1, *stacked.shape[2:])


def logits_of(
    predict: Callable[[np.ndarray], np.ndarray],
    clips: EvaluationSet,
    batch_size: int = 16,
    advance: Callable[[int], None] | None = None,
) -> np.ndarray:
    """Logits (n, K) of a whole split; with several views a sample, the logarithm of their mean
    softmax. Several processes judge a part each, and all have the whole."""
    batches = []
    for x in clips.of_this_process().batches(batch_size):
        batches.append(predict(x))
        if advance:
            advance(len(x) // clips.clips)
    # One after the other, in the order of the split; a small split may leave a process without.
    parts = [part for gathered in ranks.gathered(batches) for part in gathered]
    return averaged(np.concatenate(parts), clips.clips)


def averaged(logits: np.ndarray, views: int) -> np.ndarray:
    """Logits (n * views, K) -> (n, K): the logarithm of the mean softmax over a sample's views;
    unchanged for one view."""
    if views == 1:
        return logits
    scores = softmax(logits).reshape(-1, views, logits.shape[1]).mean(1)
    # Back to logits, so that fusion and comparison take one view and several alike; the small term
    # keeps a score that underflowed to 0 finite.
    return np.log(scores + 1e-12).astype(logits.dtype)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Scores (n, K) that add up to one, from logits."""
    # The largest logit becomes 0: exp of a float32 overflows above 88.
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def accuracy(logits: np.ndarray, labels: np.ndarray, copies: np.ndarray | None = None) -> Accuracy:
    """Accuracy of logits (n, K), counted in samples; `copies` (n,) bool are training clips again."""
    right, among_five = _right(logits, labels)
    recalls = [right[labels == label].mean() for label in np.unique(labels)]
    clean = None
    # Without copies it would be the same figure under another name; of copies alone, 0 / 0.
    if copies is not None and copies.any() and not copies.all():
        clean = 100.0 * float(right[~copies].mean())
    return Accuracy(
        top1=100.0 * float(right.mean()),
        top5=100.0 * float(among_five.mean()),
        class_mean=100.0 * float(np.mean(recalls)),
        clean_top1=clean,
    )


def right_answers(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(n,) bool: whether the answer is right."""
    return _right(logits, labels)[0]


def split_result(
    logits: np.ndarray, labels: np.ndarray, seconds: float | None = None
) -> SplitResult:
    """What PaddleVideo's `--test` ends with, of logits (n, K); `seconds`: what computing them
    took."""
    right, among_five = _right(logits, labels)
    return SplitResult(
        avg_acc1=float(right.mean()),
        avg_acc5=float(among_five.mean()),
        clips=len(labels),
        right=int(right.sum()),
        right_top5=int(among_five.sum()),
        loss=cross_entropy(logits, labels),
        # A clock that stands still, as in a virtual machine, gives no rate.
        sequences_per_second=len(labels) / seconds if seconds else None,
    )


def _right(logits: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(whether the answer is right, whether the label is among the first five) of each clip (n,)."""
    # Stable, so that of equal logits the first class is the answer, as it is for argmax.
    order = np.argsort(-logits, axis=1, kind="stable")
    # NaN has no order, and would make the first class of what is no answer at all.
    answered = ~np.isnan(logits).any(axis=1)
    right = (order[:, 0] == labels) & answered
    return right, (order[:, :5] == labels[:, None]).any(1) & answered


def cross_entropy(logits: np.ndarray, labels: np.ndarray) -> float:
    """Mean cross-entropy of logits (n, K), in nats."""
    # In double precision: the softmax of a trained network rounds to exactly 1 in float32.
    of_truth = softmax(logits.astype("float64"))[np.arange(len(logits)), labels]
    # The floor keeps one clip that is surely wrong from making the mean infinite.
    return float(-np.log(np.maximum(of_truth, 1e-12)).mean())


def confusion(logits: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """(K, K) counts, rows true, columns predicted."""
    matrix = np.zeros((classes, classes), dtype=np.int64)
    # `matrix[labels, answers] += 1` would count a pair that occurs twice only once.
    np.add.at(matrix, (labels, logits.argmax(1)), 1)
    return matrix


def training_clips(split: Split, view: View, count: int, views: int = 1) -> EvaluationSet:
    """`count` clips spread over a training split, seen as in validation: no augmentation.

    Args:
        views: of each clip. One for what takes a network's inputs, such as calibration of a
            quantiser; `view.clips` for what is applied to its scores, such as a temperature: the mean
            of several views is less sure than one.
    """
    # Spread, because data sets come sorted by class or by person.
    chosen = np.unique(np.linspace(0, len(split) - 1, min(count, len(split))).round().astype(int))
    return EvaluationSet(split.part(chosen), view, views)
