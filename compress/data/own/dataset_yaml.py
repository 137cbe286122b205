"""`dataset.yaml`, the description of a folder of own clips: its joints, classes and split."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from compress.data.text_files import declared_encoding, is_encoding, read_text
from compress.schema import strict, yaml_tree
from teachers.errors import DataError
from teachers.skeleton import Skeleton

NAME = "dataset.yaml"
ENCODING_FIX = (
    "save it as UTF-8, or name its encoding in dataset.yaml: `encoding: gbk` (big5, shift_jis,"
    " cp1252, latin-1, ...)"
)
# Bytes.
LARGEST_FILE = 64 * 1024
# Far above any skeleton or data set; a slip of the keyboard should be an error, not a network that
# fills the memory.
MOST_JOINTS = 1000
MOST_PERSONS = 16
MOST_CLASSES = 10_000


@dataclass(frozen=True)
class Holdout:
    """Which clips validate: `fraction` of every class, drawn with `seed`; or `val`, those whose
    file name, without folders, begins so (`*` stands for any text, `?` for any character), for
    example all of a person who is not trained on.
    """

    fraction: float | None = None
    seed: int = 1
    val: tuple[str, ...] = ()

    def __post_init__(self):
        # Both absent or both given.
        if (self.fraction is None) == (not self.val):
            raise ValueError(
                "give either fraction (and seed) or val, a list of how file names begin"
            )
        if self.fraction is not None and not 0 < self.fraction < 1:
            raise ValueError("fraction: must be above 0 and below 1")
        if self.seed < 0:
            raise ValueError("seed: must not be negative")
        if not all(self.val):
            raise ValueError("val: an empty text is how every name begins")


@dataclass(frozen=True)
class Description:
    """The keys of `dataset.yaml`.

    Attributes:
        edges: (child, parent), joints counted from 1.
        persons: M of the clips. Of more persons those of most energy stay; missing ones are zeros.
        frame_rate: frames a second, to be read by people only.
        split: None where `labels.csv` has a column `split`.
        classes: the classes in their order. Default: sorted, or numbers from 0 where all labels are
            such.
        names: of the joints; CSV columns may then be called `hip_x`.
        score: files have a score or visibility behind the coordinates of every joint. It is a
            channel of clips of x and y, as PYSKL trains them, and left out of x y z.
        encoding: of this file and `labels.csv`, where they are neither UTF-8 nor say what they are
            by a mark at their start.
    """

    joints: int
    edges: tuple[tuple[int, int], ...]
    centre: int = 1
    persons: int = 1
    coordinates: Literal[2, 3] = 3
    frame_rate: float | None = None
    split: Holdout | None = None
    classes: tuple[str, ...] | None = None
    names: tuple[str, ...] | None = None
    # Not in `repr`, of which the fingerprint is made: folders of before the key stay what they are.
    score: bool = field(default=False, repr=False)
    # Nor this: how names are written is no part of them.
    encoding: str | None = field(default=None, repr=False)

    def __post_init__(self):
        for key, highest in (("joints", MOST_JOINTS), ("persons", MOST_PERSONS)):
            if not 1 <= getattr(self, key) <= highest:
                raise ValueError(f"{key}: must be 1 to {highest}")
        if self.frame_rate is not None and self.frame_rate <= 0:
            raise ValueError("frame_rate: must be above 0 (frames a second)")
        if self.encoding is not None and not is_encoding(self.encoding):
            raise ValueError(
                f"encoding: {self.encoding[:40]!r} is none that Python knows; gbk, big5, shift_jis,"
                " cp1252, latin-1 and utf-16-le are"
            )
        # A set: two joints of one name would make one column of two.
        if self.names is not None and len(set(self.names)) != self.joints:
            raise ValueError(f"names: must be {self.joints} different ones, one for each joint")
        if (
            self.classes is not None
            and not 0 < len(set(self.classes)) == len(self.classes) <= MOST_CLASSES
        ):
            raise ValueError(f"classes: must be 1 to {MOST_CLASSES} different names")

    @property
    def numbers(self) -> int:
        """How many numbers a joint has in a file."""
        return self.coordinates + self.score

    @property
    def described(self) -> str:
        """What these numbers are, in words."""
        return f"{self.coordinates} coordinates{' and a score' if self.score else ''}"

    @property
    def channels(self) -> int:
        """C of the clips."""
        return self.numbers if self.coordinates == 2 else self.coordinates

    def skeleton(self) -> Skeleton:
        """The skeleton that the keys describe; its edges are checked by `read`."""
        return Skeleton(f"own_{self.joints}", self.joints, self.edges, self.centre)


def read(root: Path) -> Description:
    """The `dataset.yaml` of a folder.

    Raises:
        DataError: there is none, or it is no text.
        RecipeError: a key that does not exist, a value that cannot be; line, key and fix are named.
    """
    path = root / NAME
    if not path.is_file():
        raise DataError(
            f"{path}: no such file; give data.root a folder with {NAME} (joints, edges, centre,"
            " persons, split), labels.csv and the clips that it names"
        )
    # Its own key names its encoding: what is around the key need not be read for that.
    encoding = declared_encoding(path, LARGEST_FILE)
    if encoding is not None and not is_encoding(encoding):
        encoding = None
    text = read_text(path, LARGEST_FILE, encoding, ENCODING_FIX)
    tree = yaml_tree.parse(text, lambda line: f"{path}:{line}")
    # An empty file is valid YAML.
    if tree is None:
        raise DataError(f"{path}: is empty; it needs joints, edges, centre, persons and split")
    description: Description = strict.build(Description, tree, "")
    # Types alone let an edge name a joint that the skeleton does not have.
    description.skeleton().checked()
    return description


def of_recording(recorded: dict[str, Any]) -> Description:
    """What the clips of a deployed network are, by `recorded` of its `deployed.json`.

    Raises:
        DataError: it says something impossible.
    """
    try:
        # Edges are there for missing joints alone: the network has its graph already.
        return Description(
            recorded["joints"],
            tuple(tuple(bone) for bone in recorded.get("repair_bones") or ()),
            persons=recorded["persons"],
            coordinates=recorded.get("coordinates") or recorded["channels"],
            names=tuple(recorded["names"]) if recorded.get("names") else None,
            score=bool(recorded.get("score")),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"deployed.json: recorded: {error}; export the network again") from error
