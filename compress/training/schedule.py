"""Learning rate as a pure function of the iteration, so that a resumed run needs no scheduler
state."""

from __future__ import annotations

import math
from collections.abc import Sequence

from compress.training.settings import Config


def learning_rate(config: Config, step: int, steps_per_epoch: int) -> float:
    """The rate of iteration `step` (from 0).

    Linear warm-up from `warmup_lr`, then `cosine` (lr/2 * (1 + cos(pi * epoch / epochs)), per
    iteration), `cosine_after_warmup` (the same curve from the end of the warm-up on, so that it
    starts at lr) or `step` (times gamma at each milestone epoch).
    With `auto_scale_lr` the whole curve grows, warm-up included.
    """
    return config.lr_factor * _unscaled(config, step, steps_per_epoch)


def _unscaled(config: Config, step: int, steps_per_epoch: int) -> float:
    epoch = step / steps_per_epoch
    if epoch < config.warmup_epochs:
        # step + 1: the first step already moves, even where warm-up starts from a rate of zero.
        done = (step + 1) / (config.warmup_epochs * steps_per_epoch)
        # Towards lr itself, as CTR-GCN's own code does, though a cosine has fallen a little by
        # then; with a fraction of an epoch the last step would overshoot without `min`.
        return config.warmup_lr + (config.lr - config.warmup_lr) * min(done, 1.0)
    if config.schedule == "step":
        passed = sum(epoch >= milestone for milestone in config.milestones)
        return config.lr * config.gamma**passed
    # Two conventions: CTR-GCN-lite's cosine counts from the first epoch, EfficientGCN's from the
    # end of its warm-up (arXiv 2106.15125, its scheduler).
    start = config.warmup_epochs if config.schedule == "cosine_after_warmup" else 0.0
    angle = math.pi * (epoch - start) / (config.epochs - start)
    return config.lr * 0.5 * (1.0 + math.cos(angle))


def frames(config: Config, epoch: int) -> int | None:
    """How many frames the networks that learn see in `epoch` (from 0); None: all of them."""
    for stage in config.progressive_frames:
        # Rounded down, so that the last epoch is one of whole clips however few there are.
        if epoch < math.floor(stage.until * config.epochs):
            return stage.frames
    return None


def stopped(config: Config, reached: Sequence[float], start: float | None) -> bool:
    """Whether `patience` has run out.

    Args:
        reached: top-1 of the epochs done.
        start: top-1 of the network as it came, where that counts.
    """
    if config.patience is None:
        return False
    best = float("-inf") if start is None else start
    last = 0
    for epoch, top1 in enumerate(reached, start=1):
        # Strictly: at 100 % every epoch ties with the best, and none is better.
        if top1 > best:
            best = top1
            last = epoch
    return len(reached) - last >= config.patience
