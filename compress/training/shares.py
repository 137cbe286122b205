"""How the clips of an epoch are shared out: batches, the part of each that this process computes,
and what is blended with what."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from compress.process import ranks
from compress.training import mixup
from compress.training.settings import Config


@dataclass(frozen=True)
class Share:
    """The part of a batch that one process computes.

    Attributes:
        clips: indices into the split of the clips that it prepares: first its own, then those that
            are only blended into them.
        own: how many are its own.
        weight: of its mean in the mean over the batch; the weights of all processes add up to 1.
        size: clips of the whole batch.
        blend: (lambda, which of `clips` is blended into each of its own) with mixup.
    """

    clips: np.ndarray
    own: int
    weight: float
    size: int
    blend: tuple[float, np.ndarray] | None = None


def batches_of(samples: int, config: Config) -> int:
    """Iterations of an epoch: the last, smaller batch counts."""
    return math.ceil(samples / config.batch_size)


def of_epoch(order: np.ndarray, config: Config, rng: np.random.Generator) -> list[Share]:
    """This process's share of every batch along `order`, of which every process has the same.

    Args:
        rng: at the same point in every process; mixup draws from it, batch after batch.
    """
    shares = []
    for start in range(0, len(order), config.batch_size):
        chunk = order[start : start + config.batch_size]
        drawn = None
        # One draw for the whole batch, whatever part of it is computed here: processes blend what
        # one alone would.
        if config.mixup is not None:
            drawn = mixup.draw(config.mixup.alpha, len(chunk), rng)
        shares.append(_share(chunk, drawn))
    return shares


def _share(chunk: np.ndarray, drawn: tuple[float, np.ndarray] | None) -> Share:
    places = np.arange(len(chunk))
    weight = 1.0
    if ranks.count() > 1:
        if len(chunk) < ranks.count():
            # Too few for all: everybody computes the whole, so that nobody has to sit out what all
            # do together, synchronised BatchNorm included.
            weight = 1.0 / ranks.count()
        else:
            places = np.array_split(places, ranks.count())[ranks.index()]
            weight = len(places) / len(chunk)
    if drawn is None:
        return Share(chunk[places], len(places), weight, len(chunk))
    lam, permutation = drawn
    partners = permutation[places]
    # Partners may belong to another process: they are prepared here too.
    others = np.setdiff1d(partners, places)
    here = np.concatenate([places, others])
    position = np.empty(len(chunk), dtype="int64")
    position[here] = np.arange(len(here))
    return Share(chunk[here], len(places), weight, len(chunk), (lam, position[partners]))
