"""Streams that an ensemble makes of joints itself (`teachers.ensemble`), where its members were
trained on streams that inputs made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from compress.inputs.view import View
from export.preprocess import streams
from teachers.errors import RecipeError
from teachers.skeleton import Skeleton

PLACE = "student.from: ensemble"


def kinds(configs: Sequence[Any]) -> tuple[str, ...]:
    """The stream of each input.

    Raises:
        RecipeError: inputs that differ in more than their stream, or a stream twice.
    """
    found = tuple(str(getattr(config, "stream", "")) for config in configs)
    if "" in found or any(of_joints(config) != of_joints(configs[0]) for config in configs):
        raise RecipeError(
            f"{PLACE}: the teacher's networks see clips through inputs that differ in more than"
            " `stream`; one network can make streams of joints, and nothing else; give them one"
            " input with a `stream` each"
        )
    if len(set(found)) < len(found):
        raise RecipeError(f"{PLACE}: two of the teacher's networks see the same stream")
    return found


def of_joints(config: Any) -> Any:
    """The input with the joints as they are."""
    return replace(config, stream="joint") if hasattr(config, "stream") else config


def require(joints: View, seen: Sequence[View], made: Sequence[str], skeleton: Skeleton) -> None:
    """
    Args:
        joints: the view that the whole network has.
        seen, made: the view of each member, and its stream.
    Raises:
        RecipeError: a stream that is made otherwise than of a clip's joints alone.
    """
    for view, kind in zip(seen, made, strict=True):
        step = streams.steps(kind, skeleton)  # type: ignore[arg-type]
        if view.shape != joints.shape or view.eval_ops != (*joints.eval_ops, *step):
            raise RecipeError(
                f"{PLACE}: input {view.name!r} makes the stream {kind!r} with scores, or with persons"
                " who are missing, which a network cannot tell from joints; leave `student` a copy of"
                " one network"
            )
