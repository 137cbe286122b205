"""Annotation pickles of PYSKL (Duan et al., arXiv 2205.09443) and mmaction2: NTU and any other
skeletons, 3D or key points of images.

Files are read as they are (`pyskl_files.py`). The arrays stay as the file has them, mostly float16;
a clip becomes float32 when asked for, before anything is computed of it.

Key points of images stay pixels here, so that pixels are what a deployed network is fed. PYSKL
divides every clip by the size of its own images. That comes to the same as bringing all clips to
images of one size first, the most common size in the file, and dividing by this one; the first is
done here, the second is a step of the input (`normalise_2d` with `image`), and so is in
`deployed.json`: pixels of images of another size must be scaled to that one. No clip is normalised
twice. Without img_shape in the file, every clip is divided by its own extent, unless the recipe's
`input.image` says otherwise.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from compress.data.arrays import repair_frames
from compress.data.dataset import Dataset, Split
from compress.data.ntu.names import NTU_120
from compress.data.pyskl import files
from compress.data.pyskl.files import Annotation, Part
from teachers.errors import DataError
from teachers.skeleton import COCO_17, NTU_25, OPENPOSE_18, UCLA_20, Skeleton

INPUT = "uniform"
KNOWN = {skeleton.joints: skeleton for skeleton in (NTU_25, COCO_17, OPENPOSE_18, UCLA_20)}
_NTU_NAME = re.compile(r"S\d{3}C\d{3}P\d{3}R\d{3}A(\d{3})")


@dataclass(frozen=True)
class Config:
    """Recipe keys.

    Attributes:
        root: the .pkl file, or a folder with a .pkl file for each split.
        benchmark: "xsub" for the splits xsub_train and xsub_val, "train" for train and val (or
            test); null: the only ones there are.
        persons: M of the clips. Of more persons those stay who are in most frames, of equal ones
            the first; missing ones are zeros.
        scores: key points of images have their score as third channel, as PYSKL trains them; false:
            x and y only.
        classes: names of the classes. Default: NTU's, 60 or 120, where clips and labels are NTU's,
            else "class 0" and so on.
    """

    root: str
    benchmark: str | None = None
    persons: int = 2
    scores: bool = True
    classes: tuple[str, ...] | None = None

    def __post_init__(self):
        if self.persons < 1:
            raise ValueError("persons: must be at least 1")


class Clips(Sequence):
    """Clips (C, T, V, M) float32 made of annotations when asked for; broken frames are mended,
    pixels are of images of one size."""

    def __init__(
        self, annotations: Sequence[Annotation], persons: int, image: tuple[int, int] | None
    ):
        self._annotations, self._persons, self._image = annotations, persons, image

    def __len__(self) -> int:
        return len(self._annotations)

    def __getitem__(self, index: int) -> np.ndarray:
        return self.mended(index)[0]

    def mended(self, index: int) -> tuple[np.ndarray, int]:
        """The clip, and how many of its frames held NaN or infinity.

        Raises:
            DataError: all of them did.
        """
        one = self._annotations[index]
        with np.errstate(over="ignore"):  # beyond float32 is infinity, and so mended
            keypoint = one.keypoint.astype(np.float32)  # (M, T, V, C)
            if one.image != self._image:
                keypoint *= np.divide(self._image, one.image).astype(np.float32)
            if one.score is not None:
                keypoint = np.concatenate(
                    [keypoint, one.score.astype(np.float32)[..., None]], axis=3
                )
        if len(keypoint) > self._persons:
            keypoint = keypoint[longest(one.keypoint, self._persons)]
        _, T, V, C = keypoint.shape
        clip = np.zeros((C, T, V, self._persons), np.float32)
        clip[..., : len(keypoint)] = keypoint.transpose(3, 1, 2, 0)
        clip, bad = repair_frames(clip)
        if bad == clip.shape[1]:
            raise DataError(
                f"{one.where}: every frame holds NaN or infinity; take the clip out of the split,"
                " or record it again"
            )
        return np.ascontiguousarray(clip), bad


def longest(keypoint: np.ndarray, persons: int) -> np.ndarray:
    """Which of the persons of (M, T, V, C) stay: the `persons` that are in most frames, of equal
    ones the first, in their order."""
    frames = (keypoint != 0).any(axis=(2, 3)).sum(axis=1)
    return np.sort(np.argsort(-frames, kind="stable")[:persons])


def load(config: Config, seed: int, progress=None) -> Dataset:
    """Read the file or the folder and look at every clip once.

    Raises:
        DataError: nothing to read, or content that cannot be used; file, annotation and fix are
            named.
    """
    *parts, unused = files.read(Path(config.root).expanduser(), config.benchmark, config.scores)
    annotations = [one for part in parts for one in part.annotations]
    V, coordinates = annotations[0].keypoint.shape[2:]
    sizes = Counter(one.image for one in annotations)
    image = max(sizes, key=lambda size: (sizes[size], size)) if annotations[0].image else None
    survey, splits, done = Survey(config.persons, image), [], 0
    for part in parts:
        clips = Clips(part.annotations, config.persons, image)
        labels = np.array([one.label for one in part.annotations], np.int64)
        survey.digest.update(labels.tobytes())
        for index, one in enumerate(part.annotations):
            survey.add(one, *clips.mended(index))
            done += 1
            if progress and (done % 100 == 0 or done == len(annotations)):
                progress(done, len(annotations), "checking PYSKL clips")
        splits.append(Split(tuple(one.name for one in part.annotations), clips, labels))
    channels = coordinates + (annotations[0].score is not None)
    skeleton = KNOWN.get(V) or Skeleton(f"joints_{V}", V, (), centre=1)
    return Dataset(
        "pyskl",
        *splits,
        _classes(config, annotations),
        skeleton,
        config.persons,
        channels,
        survey.digest.hexdigest(),
        (*survey.notes(), *_notes(parts, unused)),
        INPUT,
        coordinates=coordinates,
        image=image,
    )


class Survey:
    """What one look at every clip found: the fingerprint, and the clips that a reader of the result
    should know of."""

    def __init__(self, persons: int, image: tuple[int, int] | None):
        self._persons, self._image = persons, image
        self.digest = hashlib.sha256(repr((persons, image)).encode())
        self._cases: dict[str, list[str]] = {}

    def add(self, one: Annotation, clip: np.ndarray, bad: int) -> None:
        """One annotation, the clip made of it, and how many of its frames were mended."""
        self.digest.update(repr(clip.shape).encode())
        self.digest.update(clip)
        if bad:
            self._case(
                "repaired (frames with NaN or infinity take the nearest good frame)",
                f"{one.name}: {bad} frame{'s' * (bad > 1)}",
            )
        if not clip[: one.keypoint.shape[3]].any():
            self._case("empty, nothing but zeros (kept, and counted like any other)", one.name)
        if len(one.keypoint) > self._persons:
            self._case(
                f"of more than {self._persons} person{'s' * (self._persons > 1)} (those in most"
                " frames stay)",
                one.name,
            )
        if one.image != self._image:
            self._case(
                "of images of another size, scaled to {} x {}, the most common".format(
                    *self._image
                ),
                one.name,
            )
        if one.miscounted:
            self._case(
                "whose total_frames is not the number of frames in keypoint (the latter is used)",
                one.name,
            )

    def _case(self, what: str, told: str) -> None:
        self._cases.setdefault(what, []).append(told)

    def notes(self) -> tuple[str, ...]:
        """What was found, in words."""
        return tuple(
            f"{_count(cases)} {what}: {'; '.join(cases[:5])}{'; ...' * (len(cases) > 5)}"
            for what, cases in self._cases.items()
        )


def _notes(parts: list[Part], unused: int) -> list[str]:
    """What the splits say of each other, and what they leave out."""
    train, test = ({one.name for one in part.annotations} for part in parts)
    both, first = sorted(train & test), parts[0].annotations[0]
    notes = (
        [f"{_count(both)} named in both splits, so accuracy is flattered: {', '.join(both[:5])}"]
        if both
        else []
    )
    notes += [
        f"split {part.name} names {part.repeated} clip{'s' * (part.repeated > 1)} more than once;"
        " each counts once"
        for part in parts
        if part.repeated
    ]
    if unused:
        notes.append(
            f"{unused} annotation{'s' * (unused > 1)} in neither {parts[0].name} nor"
            f" {parts[1].name}, not used"
        )
    if first.keypoint.shape[3] == 2 and first.image is None:
        notes.append(
            "no img_shape: every clip is scaled by its own extent, unless input.image is given"
            " (PYSKL assumes [1920, 1080])"
        )
    return notes


def _classes(config: Config, annotations: list[Annotation]) -> tuple[str, ...]:
    """The names given, else NTU's where every clip is named like one of NTU and has its label, else
    numbers."""
    largest = max(annotations, key=lambda one: one.label)
    if config.classes is not None:
        if largest.label >= len(config.classes):
            raise DataError(
                f"{largest.where}: its label is {largest.label}, but data.classes names"
                f" {len(config.classes)} classes; labels count from 0, name all of them"
            )
        return config.classes
    actions = [_NTU_NAME.match(one.name) for one in annotations]
    if largest.label < len(NTU_120) and all(
        action and int(action[1]) == one.label + 1 for action, one in zip(actions, annotations)
    ):
        return NTU_120[: 60 if largest.label < 60 else 120]
    return tuple(f"class {index}" for index in range(largest.label + 1))


def _count(cases: list[str]) -> str:
    return f"{len(cases)} clip{'s' * (len(cases) > 1)}"
