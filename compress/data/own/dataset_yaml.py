"""`dataset.yaml`, the description of a folder of own clips: its joints, classes and split."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from compress.data.poses.contract import MOST_JOINTS, MOST_PERSONS, Wanted
from compress.data.text_files import declared_encoding, is_encoding, read_text
from compress.schema import strict, yaml_tree
from teachers.errors import DataError, did_you_mean
from teachers.skeleton import JOINT_NAMES, SKELETONS, Skeleton

NAME = "dataset.yaml"
ENCODING_FIX = (
    "save it as UTF-8, or name its encoding in dataset.yaml: `encoding: gbk` (big5, shift_jis,"
    " cp1252, latin-1, ...)"
)
# Bytes.
LARGEST_FILE = 64 * 1024
# Far above any data set; a slip of the keyboard should be an error, not a network that fills the
# memory.
MOST_CLASSES = 10_000
# Below it a joint is missing, where scores are for repair and nobody says from where on. mmpose and
# Ultralytics draw joints from 0.3 and 0.25 on.
USUAL_MIN_SCORE = 0.3


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
        joints, edges, centre, names: the skeleton; edges are (child, parent), joints counted from
            1, CSV columns may be called `hip_x` where names has a hip.
        skeleton_: a known skeleton by name, in place of these four.
        persons: M of the clips. Of more persons those of most energy stay; missing ones are zeros.
        frame_rate: frames a second, to be read by people only.
        split: None where `labels.csv` has a column `split`.
        classes: the classes in their order. Default: sorted, or numbers from 0 where all labels are
            such.
        score: what becomes of the score or visibility of every joint. "keep": a channel behind x
            and y, as PYSKL trains them; "drop": left out; "repair": left out, and joints below
            `min_score` are missing; true: kept with x and y, left out with x, y and z. With any of
            these, files that do not name their numbers (arrays, own JSON, CSV) have it behind the
            coordinates of every joint. False: they have none, and that of other files is left out.
        min_score: joints of a lower score are missing, whatever becomes of the score.
        encoding: of this file and `labels.csv`, where they are neither UTF-8 nor say what they are
            by a mark at their start.
    """

    joints: int = 0
    edges: tuple[tuple[int, int], ...] = ()
    centre: int = 1
    persons: int = 1
    coordinates: Literal[2, 3] = 3
    frame_rate: float | None = None
    split: Holdout | None = None
    classes: tuple[str, ...] | None = None
    names: tuple[str, ...] | None = None
    # Not in `repr`, of which the fingerprint is made: folders of before these keys stay what they
    # are.
    score: Literal[False, True, "keep", "drop", "repair"] = field(default=False, repr=False)
    min_score: float | None = field(default=None, repr=False)
    skeleton_: str | None = field(default=None, repr=False)
    # Nor this: how names are written is no part of them.
    encoding: str | None = field(default=None, repr=False)

    def __post_init__(self):
        if self.skeleton_ is not None:
            self._take_skeleton(self.skeleton_)
        missing = [key for key in ("joints", "edges") if not getattr(self, key)]
        if missing and self.skeleton_ is None and self.joints != 1:
            raise ValueError(
                f"missing {' and '.join(missing)}, or `skeleton: NAME` in place of them (known:"
                f" {', '.join(SKELETONS)})"
            )
        for key, highest in (("joints", MOST_JOINTS), ("persons", MOST_PERSONS)):
            if not 1 <= getattr(self, key) <= highest:
                raise ValueError(f"{key}: must be 1 to {highest}")
        if self.score == "keep" and self.coordinates == 3:
            raise ValueError(
                "score: keep needs `coordinates: 2`, as no input has a place for a score beside x, y"
                " and z; write drop or repair"
            )
        if self.min_score is not None and self.min_score <= 0:
            raise ValueError("min_score: must be above 0")
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
    def keeps_score(self) -> bool:
        """Whether the score is a channel of the clips."""
        return self.score == "keep" or (self.score is True and self.coordinates == 2)

    @property
    def channels(self) -> int:
        """C of the clips."""
        return self.coordinates + self.keeps_score

    @property
    def lowest_score(self) -> float | None:
        """Below it a joint is missing; None where scores decide nothing."""
        if self.min_score is None and self.score == "repair":
            return USUAL_MIN_SCORE
        return self.min_score

    @property
    def wanted(self) -> Wanted:
        """What readers of clips are told."""
        return Wanted(
            self.joints,
            self.coordinates,
            self.persons,
            self.names,
            self.edges,
            score_columns=self.score is not False,
            keep_score=self.keeps_score,
            min_score=self.lowest_score,
        )

    def settings(self) -> str:
        """All that decides the clips beside the files, for the fingerprint."""
        score = ""
        if self.score is not False:
            # As it was before there were other words than true.
            score = " score" if self.score is True else f" score {self.score}"
        if self.lowest_score is not None:
            score += f" from {self.lowest_score}"
        return repr(self) + score

    def _take_skeleton(self, name: str) -> None:
        known = SKELETONS.get(name)
        if known is None:
            raise ValueError(
                f"skeleton: unknown skeleton {name!r}{did_you_mean(name, SKELETONS, always_list=True)}"
            )
        if self.joints or self.edges or self.centre != 1 or self.names is not None:
            raise ValueError(
                "skeleton: says joints, edges, centre and names; take those keys out, or describe"
                " the skeleton by them alone"
            )
        values = {
            "joints": known.joints,
            "edges": known.bones,
            "centre": known.centre,
            "names": JOINT_NAMES.get(name),
        }
        for key, value in values.items():
            # The one way to set a field of a frozen dataclass.
            object.__setattr__(self, key, value)

    def skeleton(self) -> Skeleton:
        """The skeleton that the keys name or describe; its edges are checked by `read`."""
        if self.skeleton_ is not None:
            return SKELETONS[self.skeleton_]
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
