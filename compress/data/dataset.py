"""What a data set is to the rest of the project: clips as recorded, and no opinion on how a network
sees them.

That is an input's business (`compress/inputs`); a data set only names the one that is usual for it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np

from teachers.errors import printable
from teachers.skeleton import Skeleton

# callback(done, total, what): called while a data set is read.
Callback = Callable[[int, int, str], None]


class LazyClips(Sequence[np.ndarray]):
    """Clips (C, T, V, M) float32 that are made when asked for, so that a set may be larger than
    memory."""

    @abstractmethod
    def clip(self, index: int) -> np.ndarray:
        """Clip `index`."""

    @overload
    def __getitem__(self, index: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, index: slice) -> list[np.ndarray]: ...
    # Here once, so that each kind of clips has nothing but `clip` to write.
    def __getitem__(self, index: int | slice) -> np.ndarray | list[np.ndarray]:
        if isinstance(index, slice):
            return [self.clip(number) for number in range(*index.indices(len(self)))]
        return self.clip(index)


@dataclass(frozen=True)
class Split:
    """Clips of one split, in a fixed order.

    Attributes:
        names: one unique name a clip.
        clips: raw clips, each (C, T, V, M) float32, every clip with its own T; a list or a memory
            map.
        labels: (n,) int64, from 0.
        copies: (n,) bool, of a validation split: clips that are training clips again, see
            `compress.data.copies`; None where nobody looked.
    """

    names: tuple[str, ...]
    # A sequence and no array: clips differ in T, and all of them may not fit in memory.
    clips: Sequence[np.ndarray]
    labels: np.ndarray
    copies: np.ndarray | None = None

    # Here, where the names of every data set pass: they are printed, and a terminal obeys what
    # strangers may have put into them.
    def __post_init__(self):
        object.__setattr__(self, "names", tuple(map(printable, self.names)))

    def __len__(self) -> int:
        return len(self.names)

    def repeated(self, times: int) -> Split:
        """The split so many times over, as one of so many more clips."""
        if times == 1:
            return self
        clips = _Repeated(self.clips, times)
        return Split(self.names * times, clips, np.tile(self.labels, times))

    def part(self, chosen: np.ndarray) -> Split:
        """The clips `chosen` (m,) int, in that order."""
        copies = None if self.copies is None else self.copies[chosen]
        names = tuple(self.names[index] for index in chosen)
        return Split(names, _Chosen(self.clips, chosen), self.labels[chosen], copies)


class _Repeated(LazyClips):
    # By index: clips that are made when asked for would be made once for each copy of a list.
    def __init__(self, clips: Sequence[np.ndarray], times: int):
        self.clips = clips
        self.times = times

    def __len__(self) -> int:
        return len(self.clips) * self.times

    def clip(self, index: int) -> np.ndarray:
        return self.clips[index % len(self.clips)]


class _Chosen(LazyClips):
    def __init__(self, clips: Sequence[np.ndarray], indices: np.ndarray):
        self.clips = clips
        self.indices = indices

    def __len__(self) -> int:
        return len(self.indices)

    def clip(self, index: int) -> np.ndarray:
        return self.clips[int(self.indices[index])]


# Frozen: the fingerprint is of this content, and must stay true of it.
@dataclass(frozen=True)
class Unread:
    """What is known of a data set before anything of it is read.

    Attributes:
        classes: names, () where only the files say them.
        base_ops, as_recorded: as of `Dataset`.
    """

    classes: tuple[str, ...] = ()
    base_ops: tuple[dict, ...] = ()
    as_recorded: bool = True


@dataclass(frozen=True)
class Dataset:
    """A loaded data set.

    Attributes:
        persons, channels: M and C of the clips; every clip has as many.
        fingerprint: SHA-256 of the content and of the data set's own settings.
        notes: what was repaired or counted while reading, in words.
        input: the file of `compress/inputs` that clips are seen through where a recipe says nothing
            else.
        base_ops: steps (`export.preprocess.ops`) that bring a clip as recorded to what the set
            holds. Every input starts with them, so that a deployed network can be fed recordings;
            they leave the clips of the set as they are.
        coordinates: 3 for x y z, 2 for key points of images; what channels there are beyond them is
            a score.
        joint_names: of the skeleton, where the data set names its joints.
        image: (width, height) of the images that all key points are in, in the unit of the key
            points: pixels, or (1, 1) where they are fractions of it; None where it is not known.
        as_recorded: people stand where the camera saw them, not around the origin; inputs whose
            networks do not bear that centre them.
        score_columns: files have a score behind the coordinates of every joint.
        min_score: joints of a lower score are missing.
        repair_bones: the bones by which missing joints of clips are filled
            (`frames.repair_joints`); None where broken frames are replaced as a whole.
        skipped: (name, why) of every clip that is left out because it cannot be used.
        lengths: frames of the clips that `compress.data.survey` looked at, in rising order.
        holdout: clips of the training split that nothing is trained on, by which epochs are chosen;
            None: the validation split chooses.
        unknown: clips of classes that were left out, of no label; None: no class was.
    """

    name: str
    train: Split
    val: Split
    classes: tuple[str, ...]
    skeleton: Skeleton
    persons: int
    channels: int
    fingerprint: str
    notes: tuple[str, ...] = ()
    # It takes clips of any length and frame rate, so a data set that names no input has one that
    # works.
    input: str = "crop_resize"
    # Plain values, not functions: the same steps are written into deployed.json.
    base_ops: tuple[dict, ...] = ()
    coordinates: int = 3
    image: tuple[int, int] | None = None
    joint_names: tuple[str, ...] | None = None
    as_recorded: bool = False
    score_columns: bool = False
    min_score: float | None = None
    repair_bones: tuple[tuple[int, int], ...] | None = None
    skipped: tuple[tuple[str, str], ...] = ()
    lengths: tuple[int, ...] = ()
    holdout: Split | None = None
    unknown: Split | None = None

    # As in `Split`.
    def __post_init__(self):
        object.__setattr__(self, "classes", tuple(map(printable, self.classes)))
        object.__setattr__(self, "notes", tuple(map(printable, self.notes)))
        skipped = tuple((printable(name), printable(why)) for name, why in self.skipped)
        object.__setattr__(self, "skipped", skipped)

    @property
    def selection(self) -> Split:
        """The clips by which the best epoch is chosen."""
        return self.val if self.holdout is None else self.holdout

    @property
    def scored(self) -> bool:
        """Whether the last channel is how sure the pose estimator was of a joint."""
        return self.channels > self.coordinates
