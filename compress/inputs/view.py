"""A network's view of clips, and what the input pipelines share."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from compress import registry
from compress.data.dataset import Dataset
from compress.data.joint_maps import Bringing
from compress.inputs import windows
from compress.inputs.windows import Window
from export.preprocess import ops
from teachers.skeleton import Skeleton
from teachers.weights import identity
from teachers.weights.identity import Identity

Augment = Callable[[np.ndarray, np.random.Generator], np.ndarray]
# Clips and a generator of each -> (N, C, T, V, M)
AugmentBatch = Callable[[list[np.ndarray], list[np.random.Generator]], np.ndarray]


class Vectorised:
    """An `Augment` that does the clips of a batch at once; one clip is a batch of one, so that its
    numbers are the same."""

    def __init__(self, together: AugmentBatch):
        self.together = together

    def __call__(self, clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return self.together([clip], [rng])[0]


@dataclass(frozen=True)
class View:
    """How a network sees clips.

    Attributes:
        name: the input's file name.
        shape: (C, T, V, M) of the network input.
        eval_ops: JSON steps (`export.preprocess.ops`) from a clip as recorded to the input; they
            hold for a clip of the data set too. Joints of another skeleton are brought to the
            network's by one of them. Steps with a key `clips` have a key `clip`, the
            number of the view.
        augment: a clip of the data set and a generator -> a training view, `shape`, float32.
        fingerprint: SHA-256 of all that decides what the view is; keys at their default do not
            count.
        clips: views that a clip is tested with; their softmax is averaged.
        legacy_fingerprint: the one that releases up to a8ace82 recorded, in which every key counted;
            None where they had no such view.
        notes: what a person should know of these clips through this input, in words.
    """

    name: str
    shape: tuple[int, int, int, int]
    eval_ops: tuple[dict, ...]
    augment: Augment
    fingerprint: str
    clips: int = 1
    legacy_fingerprint: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The view in words, for tables."""
        title = self.name
        for step in self.eval_ops:
            if step["op"] == "stream":
                title += f", {step['kind'].replace('_', ' ')} stream"
                break
        if self.clips > 1:
            title += f", {self.clips} views"
        return title

    @property
    def identity(self) -> Identity:
        """What trained networks and finished steps know the view by."""
        return Identity(self.fingerprint, self.legacy_fingerprint)

    @property
    def evaluated(self) -> str:
        """What decides the clips of an evaluation: views that differ in training alone share it."""
        return _hash(self.shape, self.eval_ops)

    def prepare(self, clip: np.ndarray, number: int = 0) -> np.ndarray:
        """View `number` of `clips` in evaluation, `shape`, float32.

        Raises:
            DataError: a step that does not fit the clip.
        """
        return ops.apply(clip, ops.numbered(self.eval_ops, number, self.clips))

    def augment_batch(
        self, clips: list[np.ndarray], rngs: Callable[[], list[np.random.Generator]]
    ) -> np.ndarray:
        """Training views (N, C, T, V, M) float32 of clips; `rngs` makes the generator of each."""
        if isinstance(self.augment, Vectorised):
            return self.augment.together(clips, rngs())
        made = [self.augment(clip, rng) for clip, rng in zip(clips, rngs(), strict=True)]
        return np.stack(made).astype(np.float32, copy=False)


def build(
    name: str,
    config: Any,
    dataset: Dataset,
    skeleton: Skeleton | None = None,
    bringing: Bringing | None = None,
) -> View:
    """The view through the input `name` with its `Config`.

    Args:
        skeleton: gives bone pairs and centre; the data set's by default.
        bringing: how its clips come to that skeleton, where they have other joints.
    Raises:
        RecipeError: the input cannot be made of these clips.
    """
    module = registry.INPUTS.load(name)
    # The network's skeleton, where it differs: PYSKL's graph has other bones than CTR-GCN's.
    skeleton = skeleton or dataset.skeleton
    window = config.window
    steps: tuple[dict, ...] = ()
    # Not a data set of changed clips: theirs stay as recorded, so that a deployed network takes
    # recordings.
    seen = dataset
    if bringing is not None and bringing.steps:
        steps = bringing.steps
        seen = bringing.seen(dataset)
    view: View = module.build(config, seen, skeleton)
    if window is None and not steps:
        return view
    if window is not None:
        first = windows.step(window)
        # A window is to its network what a recording is: the data set's own steps, such as centring,
        # are done to it anew, as they are where it is served.
        steps = (first, *dataset.base_ops, *steps)
        notes = (*windows.notes(window, dataset), *view.notes)
        view = replace(view, eval_ops=(first, *view.eval_ops), notes=notes)

    def before(clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        if window is not None:
            clip = windows.drawn(clip, rng, window)
        return ops.apply(clip, steps)

    return replace(view, augment=_behind(before, view.augment))


def _behind(before: Augment, augment: Augment) -> Augment:
    """`augment` of what `before` makes of a clip, vectorised if it is."""
    if not isinstance(augment, Vectorised):
        return lambda clip, rng: augment(before(clip, rng), rng)
    together = augment.together

    def both(clips: list[np.ndarray], rngs: list[np.random.Generator]) -> np.ndarray:
        made = [before(clip, rng) for clip, rng in zip(clips, rngs, strict=True)]
        return together(made, rngs)

    return Vectorised(both)


def from_ops(steps: tuple[dict, ...], shape: Sequence[int], clips: int = 1) -> View:
    """The view that saved evaluation steps make of a clip; in training it is the first of them,
    without augmentation."""

    def augment(clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return ops.apply(clip, steps)

    C, T, V, M = shape
    # `shape` and `steps` as they came from JSON: lists and tuples are the same to the hash.
    fingerprint = _hash("as trained", shape, steps)
    return View("as trained", (C, T, V, M), tuple(steps), augment, fingerprint, clips, fingerprint)


def view(
    config: Any,
    dataset: Dataset,
    steps: tuple[dict, ...],
    augment: Augment,
    channels: int | None = None,
    clips: int = 1,
    notes: Sequence[str] = (),
) -> View:
    """The `View` of an input's `config`, which has `frames`, named after the file the config is
    from.

    Args:
        steps: the input's evaluation steps, without the data set's.
        channels: C of the network input, the clips' by default.
    """
    # An input is called like its file, in recipes and in fingerprints.
    name = type(config).__module__.rpartition(".")[2]
    base = dataset.base_ops
    # A data set that is centred and an input that centres: once is enough.
    if base and steps[:1] == base[-1:]:
        steps = steps[1:]
    eval_ops = (*base, *steps)
    shape = (channels or dataset.channels, config.frames, dataset.skeleton.joints, dataset.persons)
    # The config too: it decides the training view, which has no steps.
    fingerprint = _hash(name, shape, eval_ops, identity.canonical(config))
    former = identity.former_fields(config)
    legacy = None if former is None else _hash(name, shape, eval_ops, former)
    return View(name, shape, eval_ops, augment, fingerprint, clips, legacy, tuple(notes))


def length_notes(dataset: Dataset, frames: int, window: Window | None) -> list[str]:
    """Of an input that takes a clip's first `frames` frames as they are: how many clips it cuts, where
    windows do not cut them before."""
    if window is not None and window.max <= frames:
        return []
    longer = [length for length in dataset.lengths if length > frames]
    if not longer:
        return []
    note = (
        f"input.frames: {len(longer)} of {len(dataset.lengths)} clips have more than {frames} frames"
        f" (up to {longer[-1]}), and what is behind these is not seen; raise it, or take an input"
        " that resizes clips (crop_resize) or samples them (uniform)"
    )
    return [note]


def at_least(config: Any, **lowest: int) -> None:
    """Raises ValueError("key: ...") where a key of the config is below its lowest value."""
    for key, value in lowest.items():
        if getattr(config, key) < value:
            raise ValueError(f"{key}: must be at least {value}")


def check_normalise(config: Any) -> None:
    """Raises ValueError for keys of `normalised.steps` that contradict each other."""
    # "auto" is decided by the clips, which are not known yet; `normalised.steps` looks again.
    if config.image is not None:
        flat = config.normalise in ("auto", "2d")
        if not flat or min(config.image) < 1:
            raise ValueError(
                "image: (width, height) of the images in pixels, together with normalise: 2d"
            )
    for key in ("spine", "shoulders"):
        if getattr(config, key) is not None and config.normalise not in ("auto", "3d"):
            raise ValueError(f"{key}: needs normalise: 3d, which turns the clip by it")


def _hash(*parts: Any) -> str:
    # Sorted: the order in which the keys of a step are written decides nothing.
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
