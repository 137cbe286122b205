"""A network's view of clips, and what the input pipelines share."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np

from compress import registry
from compress.data.dataset import Dataset
from export.preprocess import ops as transforms
from teachers.skeleton import Skeleton

Augment = Callable[[np.ndarray, np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class View:
    """How a network sees clips.

    Attributes:
        name: the input's file name.
        shape: (C, T, V, M) of the network input.
        eval_ops: JSON steps (`export.preprocess.ops`) from a clip as recorded to the input; they
            hold for a clip of the data set too. Steps with a key `clips` have a key `clip`, the
            number of the view.
        augment: a clip of the data set and a generator -> a training view, `shape`, float32.
        fingerprint: SHA-256 of all that decides what the view is.
        clips: views that a clip is tested with; their softmax is averaged.
    """

    name: str
    shape: tuple[int, int, int, int]
    eval_ops: tuple[dict, ...]
    augment: Augment
    fingerprint: str
    clips: int = 1

    @property
    def title(self) -> str:
        """The view in words, for tables."""
        stream = next((op["kind"] for op in self.eval_ops if op["op"] == "stream"), None)
        return (
            self.name
            + (f", {stream.replace('_', ' ')} stream" if stream else "")
            + (f", {self.clips} views" if self.clips > 1 else "")
        )

    def prepare(self, clip: np.ndarray, number: int = 0) -> np.ndarray:
        """View `number` of `clips` in evaluation, `shape`, float32.

        Raises:
            DataError: a step that does not fit the clip.
        """
        return transforms.apply(clip, transforms.numbered(self.eval_ops, number, self.clips))


def build(name: str, config, dataset: Dataset, skeleton: Skeleton | None = None) -> View:
    """The view through the input `name` with its `Config`; `skeleton` gives bone pairs and centre,
    the data set's by default.

    Raises:
        RecipeError: the input cannot be made of these clips.
    """
    return registry.INPUTS.load(name).build(config, dataset, skeleton or dataset.skeleton)


def from_ops(ops: tuple[dict, ...], shape: tuple[int, int, int, int], clips: int = 1) -> View:
    """The view that saved evaluation steps make of a clip; in training it is the first of them,
    without augmentation."""

    def augment(clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return transforms.apply(clip, ops)

    return View(
        "as trained", tuple(shape), tuple(ops), augment, _hash("as trained", shape, ops), clips
    )


def view(
    config,
    dataset: Dataset,
    steps: tuple[dict, ...],
    augment: Augment,
    channels: int | None = None,
    clips: int = 1,
) -> View:
    """The `View` of an input's `config`, which has `frames`, named after the file the config is
    from.

    Args:
        steps: the input's evaluation steps, without the data set's.
        channels: C of the network input, the clips' by default.
    """
    name = type(config).__module__.rpartition(".")[2]
    base = dataset.base_ops
    ops = (*base, *(steps[1:] if base and steps[:1] == base[-1:] else steps))
    shape = (channels or dataset.channels, config.frames, dataset.skeleton.joints, dataset.persons)
    return View(name, shape, ops, augment, _hash(name, shape, ops, asdict(config)), clips)


def at_least(config, **lowest: int) -> None:
    """Raises ValueError("key: ...") where a key of the config is below its lowest value."""
    for key, value in lowest.items():
        if getattr(config, key) < value:
            raise ValueError(f"{key}: must be at least {value}")


def check_normalise(config) -> None:
    """Raises ValueError for keys of `compress.inputs.normalised.steps` that contradict each other."""
    if config.image is not None and (
        config.normalise not in ("auto", "2d") or min(config.image) < 1
    ):
        raise ValueError(
            "image: (width, height) of the images in pixels, together with normalise: 2d"
        )
    for key in ("spine", "shoulders"):
        if getattr(config, key) is not None and config.normalise not in ("auto", "3d"):
            raise ValueError(f"{key}: needs normalise: 3d, which turns the clip by it")


def _hash(*told) -> str:
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
