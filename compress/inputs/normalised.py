"""Normalisation of an input's clips as steps: what `normalise: auto | 3d | 2d | none` comes to for
a data set."""

from __future__ import annotations

from typing import Any, Literal

from compress.data.dataset import Dataset
from export.preprocess.normalise import UNSEEN, frame_of
from teachers.errors import RecipeError
from teachers.skeleton import Skeleton

Normalise = Literal["auto", "3d", "2d", "none"]


def steps(config: Any, skeleton: Skeleton, dataset: Dataset) -> tuple[dict, ...]:
    """The steps, as data, of an input whose `config` has normalise, spine, shoulders and image.

    "auto" is "3d" for clips of x y z and "2d" for key points of images. The image is the recipe's,
    else the data set's.

    Raises:
        RecipeError: clips of two coordinates cannot be normalised as three, nor three as two; a key
            of the other kind.
    """
    kind = _kind(config, dataset)
    if kind != "none":
        _check_kind(config, kind, dataset)
    if kind == "3d":
        return ({"op": "normalise_3d", **frame_of(skeleton, config.spine, config.shoulders)},)
    if kind == "none":
        return ({"op": "trim"},)
    step: dict[str, Any] = {"op": "normalise_2d"}
    image = config.image or dataset.image
    if image:
        step["image"] = list(image)
    if dataset.scored:
        # A joint of a low score lies anywhere; PYSKL's threshold calls it absent.
        step["threshold"] = UNSEEN
    # normalise_3d drops the padding by itself; here it has to go first, or sampling would take
    # frames of it.
    return {"op": "trim"}, step


def notes(config: Any, skeleton: Skeleton, dataset: Dataset) -> list[str]:
    """What the normalisation leaves undone, in words."""
    if _kind(config, dataset) != "3d":
        return []
    return unturned("input.normalise", frame_of(skeleton, config.spine, config.shoulders), skeleton)


def unturned(key: str, around: dict[str, Any], skeleton: Skeleton) -> list[str]:
    """The note on a step that `key` asks for and that cannot turn clips, as `around`
    (`export.preprocess.normalise.frame_of`) lacks joints to turn by."""
    lacking = [key for key in ("spine", "shoulders") if key not in around]
    if not lacking:
        return []
    note = (
        f"{key}: centres clips and does not turn them by {' and '.join(lacking)}, for nothing says"
        f" which joints of {skeleton.name!r} these are; give input.spine: [bottom, top] and"
        " input.shoulders: [right, left], joints counted from 1"
    )
    return [note]


def _kind(config: Any, dataset: Dataset) -> str:
    if config.normalise == "auto":
        return f"{dataset.coordinates}d"
    return str(config.normalise)


def _check_kind(config: Any, kind: str, dataset: Dataset) -> None:
    have = "x y z" if dataset.coordinates == 3 else "x y of an image"
    if kind != f"{dataset.coordinates}d":
        needs = "x y z" if kind == "3d" else "x y of an image"
        raise RecipeError(
            f"input.normalise: {kind} needs {needs}, the clips of {dataset.name!r} have {have}; set"
            " it to auto or none"
        )
    # A key without effect is an error, lest somebody believes that it had one.
    foreign = ("image",) if kind == "3d" else ("spine", "shoulders")
    for key in foreign:
        if getattr(config, key) is not None:
            raise RecipeError(
                f"input.{key}: the clips of {dataset.name!r} have {have}, and so are not normalised"
                " by it; leave it out"
            )
    # Dividing fractions by pixels would bring every joint to one corner.
    if dataset.image == (1, 1) and config.image not in (None, (1, 1)):
        raise RecipeError(
            f"input.image: is {list(config.image)}, but the key points of {dataset.name!r} are"
            " fractions of their image already, from 0 to 1; leave it out"
        )
