"""What a recipe says about a training. Loads no Paddle: a recipe is read without it."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field, replace
from typing import Literal

from teachers.weights.identity import ADDED


@dataclass(frozen=True)
class Mixup:
    """lambda ~ Beta(alpha, alpha), one lambda and one permutation a batch (Zhang et al., arXiv
    1710.09412)."""

    alpha: float

    def __post_init__(self):
        if self.alpha <= 0:
            raise ValueError("alpha: must be above 0 (leave `mixup` out to train without it)")


@dataclass(frozen=True)
class Dml:
    """Symmetric KL to the teacher (Zhang et al., arXiv 1706.00384). With the teacher frozen it is
    one-way distillation."""

    weight: float = 1.0
    freeze_teacher: bool = True

    def __post_init__(self):
        if self.weight <= 0:
            raise ValueError("weight: must be above 0 (leave `dml` out to train without it)")


@dataclass(frozen=True)
class Kd:
    """Classic distillation, weight * temperature^2 * KL(teacher || student) (Hinton et al., arXiv
    1503.02531)."""

    weight: float = 1.0
    temperature: float = 4.0

    def __post_init__(self):
        if self.weight <= 0:
            raise ValueError("weight: must be above 0 (leave `kd` out to train without it)")
        if self.temperature <= 0:
            raise ValueError("temperature: must be above 0")


@dataclass(frozen=True)
class Focal:
    """Class-balanced focal loss in place of cross-entropy, for long-tailed data (Cui et al., arXiv
    1901.05555).

    Attributes:
        beta: 0: every class weighs the same; towards 1: a class weighs as one over its number of
            clips.
        gamma: how strongly clips that are right already count less (Lin et al., arXiv 1708.02002);
            0: not at all.
    """

    beta: float = 0.9999
    gamma: float = 2.0

    def __post_init__(self):
        # At 1 the weights of the paper's eq. 10 are 0 / 0.
        if not 0 <= self.beta < 1:
            raise ValueError("beta: must be in [0, 1)")
        if self.gamma < 0:
            raise ValueError("gamma: must not be negative")


@dataclass(frozen=True)
class AutoScaleLr:
    """The linear scaling rule (Goyal et al., arXiv 1706.02677): rates are those for batches of
    `base_batch` clips, and grow with the batch that is trained with."""

    base_batch: int

    def __post_init__(self):
        if self.base_batch < 1:
            raise ValueError("base_batch: must be at least 1")


@dataclass(frozen=True)
class Shortened:
    """Clips of `frames` frames, evenly picked, up to the share `until` of the epochs. Arithmetic
    falls in proportion, and a network that is convolutional over time keeps its weights (compare
    progressive resizing of pictures: Tan and Le, EfficientNetV2, arXiv 2104.00298)."""

    frames: int
    until: float

    def __post_init__(self):
        # Two strides of 2 leave one frame of four.
        if self.frames < 4:
            raise ValueError("frames: must be at least 4")
        if not 0 < self.until < 1:
            raise ValueError(
                "until: must be between 0 and 1, a share of the epochs (the last ones see whole"
                " clips)"
            )


@dataclass(frozen=True)
class Config:
    """Keys of a `train` step, and of `teacher.train`. Warm-up and cosine run per iteration.

    Attributes:
        schedule: see `compress.training.schedule.learning_rate`.
        epochs: 0 where `iterations` says how long.
        iterations: in place of `epochs`: as many epochs as make so many batches.
        patience: stop after so many epochs without a better top-1 on the validation split. The
            schedule stays that of all epochs.
        freeze: parts of the network that stay as they are, BatchNorm statistics included: blocks by
            name, and `data_bn`, `stem` or `fc`.
        rate_decay: from block to block towards the input, by how much the rate falls; 1: one rate.
        frozen_norm: BatchNorm statistics stay, its scale and shift learn.
        class_weights: how much a clip of each class counts in the loss on labels: "balanced", or a
            number a class.
        repeat: passes over the training split that make one epoch; each sees other augmentations.
        progressive_frames: stages with fewer frames, the shortest first; networks that learn see
            them, a frozen teacher and every evaluation see whole clips.
        optimizer: "sgd" with Nesterov momentum, or "adamw" (decoupled weight decay, betas 0.9 and
            0.999).
        drop_path: stochastic depth: the probability of a sample to pass the last block by its
            residual alone; blocks before it have a share of it by their depth.
        stop_after: train so many of the epochs, with the schedule of all of them.
        batch_size: clips of a batch, shared out over the processes of a launcher.
        auto_scale_lr: scale `lr` and `warmup_lr` by `batch_size` / `base_batch`; None: as they are.
        sync_bn: of several processes: BatchNorm in training over the whole batch, not over each
            one's part of it.
    """

    epochs: int = 0
    # Keyword only, for it has no default and `epochs` has one.
    lr: float = field(kw_only=True)
    batch_size: int = 16
    schedule: Literal["cosine", "step", "cosine_after_warmup"] = "cosine"
    warmup_epochs: float = 0.0
    warmup_lr: float = 0.0
    milestones: tuple[int, ...] = ()
    gamma: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 1e-4
    clip_norm: float | None = None
    label_smoothing: float = 0.0
    focal: Focal | None = None
    mixup: Mixup | None = None
    dml: Dml | None = None
    kd: Kd | None = None
    ema: float | None = None
    amp: bool = False
    # Added fields stay out of `repr`, by which older releases knew a training.
    class_weights: Literal["balanced"] | tuple[float, ...] | None = field(
        default=None, repr=False, metadata=ADDED
    )
    repeat: int = field(default=1, repr=False, metadata=ADDED)
    auto_scale_lr: AutoScaleLr | None = field(default=None, repr=False, metadata=ADDED)
    iterations: int | None = field(default=None, repr=False, metadata=ADDED)
    patience: int | None = field(default=None, repr=False, metadata=ADDED)
    freeze: tuple[str, ...] = field(default=(), repr=False, metadata=ADDED)
    rate_decay: float = field(default=1.0, repr=False, metadata=ADDED)
    frozen_norm: bool = field(default=False, repr=False, metadata=ADDED)
    progressive_frames: tuple[Shortened, ...] = field(default=(), repr=False, metadata=ADDED)
    optimizer: Literal["sgd", "adamw"] = field(default="sgd", repr=False, metadata=ADDED)
    drop_path: float = field(default=0.0, repr=False, metadata=ADDED)
    stop_after: int | None = field(default=None, repr=False, metadata=ADDED)
    sync_bn: bool = field(default=False, repr=False, metadata=ADDED)

    def __post_init__(self):
        self._check_length()
        for name in ("batch_size", "repeat"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: must be at least 1")
        if self.lr <= 0:
            raise ValueError("lr: must be above 0")
        for name in ("warmup_epochs", "warmup_lr", "weight_decay"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}: must not be negative")
        # The rate would never reach `lr`. Of iterations, `for_clips` sees to that.
        if self.iterations is None and self.warmup_epochs > self.epochs:
            raise ValueError(
                f"warmup_epochs: {self.warmup_epochs:g} is longer than the {self.epochs} epochs of"
                " training"
            )
        if not 0 <= self.momentum < 1:
            raise ValueError("momentum: must be in [0, 1)")
        if not 0 <= self.label_smoothing < 1:
            raise ValueError("label_smoothing: must be in [0, 1)")
        if self.clip_norm is not None and self.clip_norm <= 0:
            raise ValueError("clip_norm: must be above 0 (null: no clipping)")
        if self.ema is not None and not 0 < self.ema < 1:
            raise ValueError("ema: must be between 0 and 1, for example 0.999 (null: no average)")
        if self.schedule == "step" and not self.milestones:
            raise ValueError(
                "milestones: a step schedule needs the epochs at which the rate falls, for example"
                " [35, 55]"
            )
        # An error, not a silent default: whoever lists milestones expects steps.
        if self.schedule != "step" and self.milestones:
            raise ValueError("milestones: only for `schedule: step`")
        if not 0 < self.rate_decay <= 1:
            raise ValueError("rate_decay: must be above 0 and at most 1 (1: one rate for all)")
        if self.optimizer == "adamw" and self.momentum != 0.9:
            raise ValueError("momentum: only for `optimizer: sgd`; AdamW has its own")
        if not 0 <= self.drop_path < 1:
            raise ValueError("drop_path: is a probability, and must be at least 0 and below 1")
        self._check_class_weights()
        self._check_stages()

    @property
    def lr_factor(self) -> float:
        """By what `lr` and `warmup_lr` are multiplied."""
        if self.auto_scale_lr is None:
            return 1.0
        return self.batch_size / self.auto_scale_lr.base_batch

    @property
    def rate_note(self) -> str:
        """The rate that nobody wrote down, in words; empty where `lr` is used as it is."""
        if self.auto_scale_lr is None:
            return ""
        return (
            f"lr {self.lr:g} is for batches of {self.auto_scale_lr.base_batch}; batches of"
            f" {self.batch_size} are trained with {self.lr * self.lr_factor:g} (auto_scale_lr)"
        )

    def for_clips(self, clips: int) -> Config:
        """The same with `epochs` in place of `iterations`, for a training split of so many clips."""
        if self.iterations is None:
            return self
        batches = math.ceil(clips * self.repeat / self.batch_size)
        epochs = max(math.ceil(self.iterations / batches), 1)
        # A large split may leave few epochs: the rate has to reach `lr` all the same.
        warmup = min(self.warmup_epochs, epochs / 2)
        return replace(self, epochs=epochs, iterations=None, warmup_epochs=warmup)

    def from_nothing(self) -> Config:
        """The same for fresh weights, of which nothing is worth keeping."""
        return replace(self, freeze=(), rate_decay=1.0, frozen_norm=False)

    def _check_length(self):
        if self.iterations is None:
            if self.epochs < 1:
                raise ValueError("epochs: must be at least 1 (or give `iterations` in its place)")
        elif self.iterations < 1:
            raise ValueError("iterations: must be at least 1")
        elif self.epochs:
            raise ValueError("iterations: `epochs` says how long already; give one of them")
        if self.stop_after is not None and self.stop_after < 1:
            raise ValueError("stop_after: must be at least 1 (null: train to the end)")
        if self.patience is not None and self.patience < 1:
            raise ValueError("patience: must be at least 1 (null: train to the end)")

    def _check_class_weights(self):
        if self.class_weights is None:
            return
        if isinstance(self.class_weights, tuple):
            # Zero is a way to leave a class out of the loss; all of them would leave no loss.
            if not all(weight >= 0 for weight in self.class_weights):
                raise ValueError("class_weights: must not be negative")
            if not any(self.class_weights):
                raise ValueError("class_weights: at least one must be above 0")
        # Two sets of weights would multiply, which nobody means who writes both.
        if self.focal is not None and self.focal.beta > 0:
            raise ValueError(
                "class_weights: `focal` weighs the classes already, by its `beta`; leave"
                " class_weights out, or write beta: 0"
            )

    def _check_stages(self):
        stages = self.progressive_frames
        for before, after in itertools.pairwise(stages):
            if after.frames <= before.frames or after.until <= before.until:
                raise ValueError(
                    "progressive_frames: `frames` and `until` must grow from stage to stage, as in"
                    " [{frames: 16, until: 0.5}, {frames: 32, until: 0.8}]"
                )


def moves_teacher(config: Config) -> bool:
    """Whether the teacher learns too."""
    return config.dml is not None and not config.dml.freeze_teacher
