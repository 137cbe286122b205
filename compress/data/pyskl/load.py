"""Annotation pickles of PYSKL (Duan et al., arXiv 2205.09443) and mmaction2: NTU and any other
skeletons, 3D or key points of images.

Files are read as they are (`files.py`). The arrays stay as the file has them, mostly float16;
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

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from compress.data import split_names
from compress.data.bad_clips import BadClips
from compress.data.data_report import (
    EMPTY,
    EXAMPLES,
    REPAIRED,
    REPAIRED_JOINTS,
    DataReport,
    counted,
)
from compress.data.dataset import Callback, Dataset, LazyClips, Split
from compress.data.pyskl import files, unsaid
from compress.data.pyskl.files import Annotation, Part
from compress.data.pyskl.unsaid import Settled
from export.preprocess.repair import Bones, repair_frames, repair_joints
from teachers.errors import DataError

# The sampling that the published networks of PYSKL are trained and tested with.
INPUT = "uniform"


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
        skip_bad: leave out clips that cannot be used.
        repair: "frames", as the published networks are trained: a frame with NaN is replaced as a
            whole; "joints": missing joints, those at zero included, are interpolated in time.
        classes: names of the classes. Default: NTU's, 60 or 120, where clips and labels are NTU's,
            else "class 0" and so on.
    """

    root: str
    benchmark: str | None = None
    # As PYSKL's published networks take it, for NTU's interactions of two.
    persons: int = 2
    scores: bool = True
    classes: tuple[str, ...] | None = None
    skip_bad: bool = False
    repair: Literal["frames", "joints"] = "frames"

    def __post_init__(self):
        if self.repair not in ("frames", "joints"):
            raise ValueError("repair: must be frames or joints")
        if self.persons < 1:
            raise ValueError("persons: must be at least 1")


class AnnotationClips(LazyClips):
    """Clips (C, T, V, M) float32 made of annotations when asked for; broken frames are mended,
    pixels are of images of one size."""

    def __init__(
        self,
        annotations: Sequence[Annotation],
        persons: int,
        image: tuple[int, int] | None,
        repair_bones: Bones | None = None,
    ):
        self._annotations = annotations
        self._persons = persons
        self._image = image
        self._repair_bones = repair_bones

    def __len__(self) -> int:
        return len(self._annotations)

    def clip(self, index: int) -> np.ndarray:
        return self.mended(index)[0]

    def mended(self, index: int) -> tuple[np.ndarray, int]:
        """The clip, and how many of its frames were mended.

        Raises:
            DataError: all of them did.
        """
        annotation = self._annotations[index]
        # Beyond float32 is infinity, and so mended.
        with np.errstate(over="ignore"):
            keypoint = annotation.keypoint.astype(np.float32)  # (M, T, V, C)
            if self._image and annotation.image and annotation.image != self._image:
                # In float32: pixels beyond 2048 have no halves in the file's float16.
                keypoint *= np.divide(self._image, annotation.image).astype(np.float32)
            if annotation.score is not None:
                # Behind the coordinates, where the published 2D weights have their third channel.
                scores = annotation.score.astype(np.float32)[..., None]
                keypoint = np.concatenate([keypoint, scores], axis=3)
        if len(keypoint) > self._persons:
            # By the file's own numbers: scores are no presence, and scaling could round to zero.
            keypoint = keypoint[longest(annotation.keypoint, self._persons)]
        _, T, V, C = keypoint.shape
        clip = np.zeros((C, T, V, self._persons), np.float32)
        # Zeros are what every later step takes for a person who is not there.
        clip[..., : len(keypoint)] = keypoint.transpose(3, 1, 2, 0)
        # Pixels, scores and x y z alike: a frame with a hole in any of them is replaced as a whole.
        repaired, bad = repair_frames(clip)
        lost = bad == T
        if self._repair_bones is not None:
            lost = not np.isfinite(clip).all(axis=0).any()
            by_joints = repair_joints(clip, self._repair_bones, annotation.keypoint.shape[3])
            repaired, bad = by_joints.clip, by_joints.frames
        if lost:
            raise DataError(
                f"{annotation.where}: every frame holds NaN or infinity; take the clip out of the"
                " split, or record it again"
            )
        return np.ascontiguousarray(repaired), bad


def longest(keypoint: np.ndarray, persons: int) -> np.ndarray:
    """Which of the persons of (M, T, V, C) stay: the `persons` that are in most frames, of equal
    ones the first, in their order."""
    # Not by energy, as of NTU's recordings: pixels grow with whoever is near the camera.
    frames = (keypoint != 0).any(axis=(2, 3)).sum(axis=1)
    return np.sort(np.argsort(-frames, kind="stable")[:persons])


def load(config: Config, seed: int, callback: Callback | None = None) -> Dataset:
    """Read the file or the folder and look at every clip once.

    Raises:
        DataError: nothing to read, or content that cannot be used; file, annotation and fix are
            named.
    """
    root = Path(config.root).expanduser()
    bad = BadClips(root, config.skip_bad)
    train, test, unused = files.read(root, config.benchmark, config.scores, bad)
    total = train.clips + test.clips
    # Without a clip to train on or to test with there is nothing to settle.
    if not train.annotations or not test.annotations:
        bad.check(total)
        raise DataError(f"{root}: the bad clips are all of a split; choose other splits")
    settled = unsaid.settle(
        train.annotations,
        test.annotations,
        config.scores,
        config.classes is not None,
        bad.labels,
    )
    image = _common_image(settled.both)
    bones = settled.skeleton.bones if config.repair == "joints" else None
    inspected = _inspected(settled, config.persons, image, bones, bad, callback)
    bad.check(total)
    if inspected.settled is not settled:
        # Once more without bad clips: the fingerprint and the notes are of those that remain.
        settled = inspected.settled
        image = _common_image(settled.both)
        inspected = _inspected(settled, config.persons, image, bones, bad, None)
    train = replace(train, annotations=settled.train)
    test = replace(test, annotations=settled.test)
    annotations = settled.both
    coordinates = annotations[0].keypoint.shape[3]
    classes = unsaid.classes(settled, config.classes, bad.labels)
    labels = [annotation.label for annotation in annotations]
    channels = coordinates + (1 if annotations[0].score is not None else 0)
    return Dataset(
        "pyskl",
        *inspected.splits,
        classes,
        settled.skeleton,
        config.persons,
        channels,
        inspected.report.digest.hexdigest(),
        (
            *bad.notes(labels, classes, settled.first),
            *inspected.report.notes(),
            *settled.notes,
            *_notes(train, test, unused),
        ),
        INPUT,
        coordinates=coordinates,
        image=image,
        as_recorded=True,
        repair_bones=bones,
        skipped=bad.skipped,
    )


@dataclass(frozen=True)
class _Inspected:
    """What one look at every clip found; `settled` is without clips that cannot be used."""

    settled: Settled
    splits: tuple[Split, Split]
    report: DataReport


def _inspected(
    settled: Settled,
    persons: int,
    image: tuple[int, int] | None,
    bones: Bones | None,
    bad: BadClips,
    callback: Callback | None,
) -> _Inspected:
    # Both change the clips; benchmark and scores show in what is digested below.
    report = DataReport(repr((persons, image)).encode())
    done = 0
    total = len(settled.both)
    splits = []
    good = []
    for part in (settled.train, settled.test):
        clips = AnnotationClips(part, persons, image, bones)
        labels = np.array([annotation.label for annotation in part], np.int64)
        # Corrected labels of the same clips are another data set.
        report.digest.update(labels.tobytes())
        kept = []
        for index, annotation in enumerate(part):
            done += 1
            # A line or a bar for every clip would take longer than the clip.
            if callback and (done % 100 == 0 or done == total):
                callback(done, total, "checking PYSKL clips")
            # As the file has it, like those of annotations that were refused before.
            label = annotation.label + settled.first
            mended = bad.attempt(annotation.name, partial(clips.mended, index), label)
            if mended is None:
                continue
            kept.append(annotation)
            clip, broken = mended
            report.add_clip(clip)
            if broken:
                what = REPAIRED if bones is None else REPAIRED_JOINTS
                report.add_case(what, f"{annotation.name}: {counted(broken, 'frame')}")
            for what, example in _cases(annotation, clip, persons, image):
                report.add_case(what, example)
        names = tuple(annotation.name for annotation in part)
        splits.append(Split(names, clips, labels))
        good.append(tuple(kept))
    if len(good[0]) + len(good[1]) < total:
        settled = replace(settled, train=good[0], test=good[1])
    return _Inspected(settled, (splits[0], splits[1]), report)


def _common_image(annotations: Sequence[Annotation]) -> tuple[int, int] | None:
    """The most common (width, height), of equally common ones the largest; None where the file has
    no sizes."""
    sizes = Counter(annotation.image for annotation in annotations if annotation.image)
    if not sizes:
        return None
    # A tie must not be left to the order of the file: the size goes into deployed.json.
    return max(sizes, key=lambda size: (sizes[size], size))


def _cases(
    annotation: Annotation,
    clip: np.ndarray,
    persons: int,
    image: tuple[int, int] | None,
) -> Iterator[tuple[str, str]]:
    """(what, example) of all that a reader of the result should know of one clip.

    Args:
        clip: what was made of the annotation.
    """
    name = annotation.name
    # Without the score, which an estimator may give for joints at (0, 0).
    if not clip[: annotation.keypoint.shape[3]].any():
        yield EMPTY, name
    if len(annotation.keypoint) > persons:
        yield f"clip of more than {counted(persons, 'person')} (those in most frames stay)", name
    if image and annotation.image != image:
        width, height = image
        yield (
            f"clip of images of another size, scaled to {width} x {height}, the most common",
            name,
        )
    if annotation.miscounted:
        yield (
            "clip whose total_frames is not the number of frames in keypoint (the latter is used)",
            name,
        )


def _notes(train: Part, test: Part, unused: int) -> list[str]:
    """What the splits say of each other, and what they leave out."""
    notes = []
    train_names = {annotation.name for annotation in train.annotations}
    test_names = {annotation.name for annotation in test.annotations}
    # Such clips are kept, as the published accuracy is of the splits as they are.
    both = sorted(train_names & test_names)
    if both:
        notes.append(
            f"{counted(len(both), 'clip')} named in both splits, so accuracy is flattered:"
            f" {', '.join(both[:EXAMPLES])}"
        )
    if not split_names.is_usual(train.name) or not split_names.is_usual(test.name):
        notes.append(f"split {train.name} is trained on, {test.name} validated with")
    for part in (train, test):
        if part.repeated:
            notes.append(
                f"split {part.name} names {counted(part.repeated, 'clip')} more than once; each"
                " counts once"
            )
    if unused:
        notes.append(
            f"{counted(unused, 'annotation')} in neither {train.name} nor {test.name}, not used"
        )
    first = train.annotations[0]
    if first.keypoint.shape[3] == 2 and first.image is None:
        notes.append(
            "no img_shape: every clip is scaled by its own extent, unless input.image is given"
            " (PYSKL assumes [1920, 1080])"
        )
    return notes
