"""Clips of one skeleton for networks of another: the step that brings them there, and what a person
should know of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from compress.data import skeletons
from compress.data.data_report import counted
from compress.data.dataset import Dataset
from export.preprocess import joints, ops
from teachers.errors import RecipeError
from teachers.skeleton import (
    JOINT_NAMES,
    MEDIAPIPE_33,
    NTU_25,
    NTU_25_PYSKL,
    UCLA_20,
    Brought,
    JointMap,
    Skeleton,
    mapping,
    named,
)

# In three coordinates MediaPipe's x points right in the image, y down and z away from the camera;
# Kinect's x points to the right of somebody who faces it, y up and z away. Half a turn around z.
_KINECT = {NTU_25.name, NTU_25_PYSKL.name, UCLA_20.name}
_HALF_TURN = ("-x", "-y", "z")
# Clips that are looked at for which way is up.
MOST = 16
# Joints in a note, of perhaps a hundred.
NAMED = 12


@dataclass(frozen=True)
class Bringing:
    """How clips come to the skeleton of the networks.

    Attributes:
        steps: of `export.preprocess.ops`, on clips of the data set; () where they have it already.
        notes: what is derived and what is lacking, in words.
    """

    skeleton: Skeleton
    steps: tuple[dict, ...] = ()
    notes: tuple[str, ...] = ()

    def seen(self, dataset: Dataset) -> Dataset:
        """What an input is built for: the data set as if it held clips of the networks' joints.

        Its clips are still as recorded: whoever takes one does `steps` first.
        """
        if not self.steps:
            return dataset
        return replace(
            dataset,
            skeleton=self.skeleton,
            joint_names=JOINT_NAMES.get(self.skeleton.name),
            base_ops=(*dataset.base_ops, *self.steps),
        )


def bring(wanted: Skeleton | Brought | None, dataset: Dataset) -> Bringing:
    """What a recipe's `skeleton` comes to for a data set.

    Raises:
        RecipeError: joints that the data set does not have or does not name, others than it says
            they are, or coordinates that cannot be turned.
    """
    if wanted is None:
        return Bringing(dataset.skeleton)
    if not isinstance(wanted, Brought):
        _check_declared(wanted, dataset)
        return Bringing(wanted)
    target = named(wanted.to)
    source = _source(wanted, dataset)
    names = JOINT_NAMES[target.name]
    joint_map = mapping(source, names, target, wanted.map)
    axes = _axes(wanted, dataset)
    if not axes and _is_identity(joint_map, len(source)):
        return Bringing(target, notes=(f"skeleton: the clips have the joints of {target.name}",))
    step = joints.step(joint_map, axes, dataset.scored)
    notes = [_made(joint_map, dataset, target), *_filled(joint_map)]
    if axes and wanted.axes is None:
        notes.append(
            f"skeleton.axes: [{', '.join(axes)}], for MediaPipe's x and y point the other way than"
            " Kinect's; say which, if the clips were turned before"
        )
    return Bringing(target, (step,), (*notes, *_not_upright(dataset, step, target)))


def _check_declared(wanted: Skeleton, dataset: Dataset) -> None:
    """
    Raises:
        RecipeError: `wanted` is a known skeleton of as many joints, and the data say that theirs are
            others.
    """
    # Files of key points often say how many joints there are and not which they are, and a reader
    # guesses: then the recipe knows better. Data that name their joints know it themselves.
    known = wanted.name in JOINT_NAMES and wanted.joints == dataset.skeleton.joints
    if not known or dataset.joint_names is None:
        return
    why = _denied_by(wanted, dataset)
    if why is not None:
        raise RecipeError(
            f"skeleton: is {wanted.name!r}, but the joints of {dataset.name!r} are"
            f" {dataset.skeleton.name!r} by their {why}; take them as they are (-o skeleton=null),"
            f" bring them to it (`skeleton: {{to: {wanted.name}}}`), or correct the data"
        )


def _denied_by(skeleton: Skeleton, dataset: Dataset) -> str | None:
    """What says that the recorded joints are not those of a known skeleton of as many: their edges
    or their names; None where nothing does."""
    recorded = dataset.skeleton
    # Edges that a person described may be any; those of a known skeleton say which joints it has.
    if recorded.name in JOINT_NAMES and not skeletons.same_joints(skeleton, recorded):
        return "edges"
    if skeletons.contradict(dataset.joint_names, JOINT_NAMES[skeleton.name]):
        return "names"
    return None


def _source(wanted: Brought, dataset: Dataset) -> Sequence[str]:
    """The names of the recorded joints."""
    recorded = dataset.skeleton
    if wanted.from_ is None:
        names = dataset.joint_names or JOINT_NAMES.get(recorded.name)
        if names is None:
            raise RecipeError(
                f"skeleton.from: nothing says what the {recorded.joints} joints of"
                f" {dataset.name!r} are; give a known skeleton, or name the joints (`names` in"
                " dataset.yaml)"
            )
        return names
    source = named(wanted.from_)
    names = JOINT_NAMES[source.name]
    if source.joints != recorded.joints:
        raise RecipeError(
            f"skeleton.from: {source.name!r} has {source.joints} joints, the clips of"
            f" {dataset.name!r} have {recorded.joints}; give the skeleton that they were recorded"
            " with"
        )
    why = _denied_by(source, dataset)
    if why is not None:
        raise RecipeError(
            f"skeleton.from: is {source.name!r}, but the joints of {dataset.name!r} are"
            f" {recorded.name!r} by their {why}; leave it out, or correct the data"
        )
    return names


def _axes(wanted: Brought, dataset: Dataset) -> tuple[str, ...] | None:
    if dataset.coordinates != 3:
        if wanted.axes is not None:
            raise RecipeError(
                f"skeleton.axes: turns x y z, the clips of {dataset.name!r} have x y of an image;"
                " leave it out"
            )
        return None
    if wanted.axes is not None:
        return None if wanted.axes == ("x", "y", "z") else wanted.axes
    # By what the recipe or the reader calls the recording: no number says where y points.
    source = wanted.from_ or dataset.skeleton.name
    turned = {source, wanted.to} & _KINECT and MEDIAPIPE_33.name in (source, wanted.to)
    return _HALF_TURN if turned else None


def _is_identity(joint_map: JointMap, count: int) -> bool:
    return joint_map.joints == tuple(((1.0, (number,)),) for number in range(count))


def _made(joint_map: JointMap, dataset: Dataset, target: Skeleton) -> str:
    selected = target.joints - len(joint_map.derived) - len(joint_map.filled)
    note = (
        f"skeleton: clips of {dataset.skeleton.joints} joints are brought to {target.name}:"
        f" {counted(selected, 'joint')} selected"
    )
    if joint_map.derived:
        note += f", {len(joint_map.derived)} derived ({_listed(joint_map.derived)})"
    return note


def _filled(joint_map: JointMap) -> Iterator[str]:
    if joint_map.filled:
        pairs = [f"{name} is where {instead} is" for name, instead in joint_map.filled]
        yield (
            f"skeleton: {counted(len(pairs), 'joint')} not recorded, and filled by the nearest on"
            f" the body: {_listed(pairs)}"
        )


def _listed(names: Sequence[str]) -> str:
    more = [f"and {len(names) - NAMED} more"] if len(names) > NAMED else []
    return ", ".join([*names[:NAMED], *more])


def _not_upright(dataset: Dataset, step: dict, target: Skeleton) -> Iterator[str]:
    """A note where people stand on their heads, or lie, for a network of Kinect's joints."""
    if dataset.coordinates != 3 or target.name not in _KINECT:
        return
    count = min(len(dataset.train), MOST)
    ups = []
    for index in np.linspace(0, len(dataset.train) - 1, count).astype(int):
        clip = ops.apply(dataset.train.clips[int(index)], (step,))[:3, ..., 0]
        # Heads of both are joint 4; the first joint is the pelvis.
        body = clip[:, :, 3] - clip[:, :, 0]
        there = clip[:, :, 3].any(axis=0) & clip[:, :, 0].any(axis=0)
        if there.any():
            ups.append(body[:, there].mean(axis=1))
    if not ups:
        return
    up = np.median(ups, axis=0)
    longest = int(np.abs(up).argmax())
    if longest != 1 or up[1] < 0:
        sign = "-" if up[longest] < 0 else ""
        yield (
            f"skeleton.axes: from pelvis to head people point along {sign}{'xyz'[longest]}, those of"
            f" {target.name} along y; weights that were trained on upright people do not fit; turn"
            " them with axes, for example [-x, -y, z] or [x, z, -y]"
        )
