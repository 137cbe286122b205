"""Weights carried over to other data: to other classes, persons, joints and frames.

Which tensors depend on these is said by each network (`AXES`, see `teachers.networks`); everything
else is copied as it is. Frames are in no tensor. What the data have and the weights lack starts
fresh: the classifier of other classes, and joints that the weights never saw.

A fresh classifier is zero (as in Big Transfer, arXiv 1912.11370, section 3.3). Published
initialisations are made for fresh features: CTR-GCN's sqrt(2 / K) gives logits of +-11 for five
classes on trained ones, and a first loss of 6.6 instead of 1.6 that the blocks are bent to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any, Literal

import numpy as np
from paddle import nn

from teachers import networks
from teachers.errors import CheckpointError
from teachers.skeleton import Skeleton

# "auto": kept where the classes are the same.
Head = Literal["auto", "keep", "fresh"]
# For each joint here, the number of it there, both from 0; None: there is none.
Joints = tuple[int | None, ...]


@dataclass(frozen=True)
class Source:
    """Weights as a file has them.

    Attributes:
        path: of the file, for messages.
        state: without a classifier, if the file has none.
        classes: their names; () where the file does not say.
    """

    path: str
    spec: Any
    state: dict[str, np.ndarray]
    classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Target:
    """What the network is to fit.

    Attributes:
        classes: their names.
        skeleton: the graph, as the network takes it.
        joints: where another skeleton than the weights' has its joints; None: it is the same.
    """

    classes: tuple[str, ...]
    frames: int
    persons: int
    skeleton: Skeleton
    joints: Joints | None = None


def carry(source: Source, target: Target, head: Head = "auto") -> tuple[nn.Layer, list[str]]:
    """(the network for `target` in evaluation mode, what is different from the file, in words).

    Statistics of persons: surplus ones are left out, missing ones are copies of the last. A joint
    that is fresh gets the mean statistics of those carried over.

    Args:
        head: what becomes of the classifier.
    Raises:
        CheckpointError: a classifier that cannot be kept, no joint in common, or a network that does
            not say which of its tensors depend on the data.
    """
    spec = source.spec
    rows = _classifier_rows(source, target.classes, head)
    after = _spec_after(source, target)
    network = networks.build(after)
    network.eval()
    moved = _Moved(spec, after, rows, target.joints)
    fresh = networks.state_of(network)
    state = moved.state(source, fresh)
    networks.load_state(network, state, source.path)
    return network, _notes(source, target, rows)


def _spec_after(source: Source, target: Target) -> Any:
    spec = source.spec
    changed: dict[str, Any] = {}
    if spec.classes != len(target.classes):
        changed["classes"] = len(target.classes)
    if spec.input_shape[1] != target.frames:
        changed["frames"] = target.frames
    if spec.input_shape[3] != target.persons:
        changed["persons"] = target.persons
    if target.joints is not None:
        changed["skeleton"] = target.skeleton
        if not any(joint is not None for joint in target.joints):
            raise CheckpointError(
                f"{source.path}: its skeleton {spec.skeleton.name!r} and that of the data,"
                f" {target.skeleton.name!r}, have no joint of the same name; map the clips to"
                f" {spec.skeleton.name!r}, or train from nothing"
            )
    if changed and not networks.axes(spec):
        raise CheckpointError(
            f"{source.path}: {spec.network} does not say which tensors depend on the data (AXES),"
            f" so that its {', '.join(changed)} cannot be changed; give weights trained on this data"
        )
    return replace(spec, **changed)


def _classifier_rows(source: Source, classes: tuple[str, ...], head: Head) -> Joints:
    """For each class here its number there; None: it starts fresh."""
    count = source.spec.classes
    fresh = (None,) * len(classes)
    if head == "fresh":
        return fresh
    if count == len(classes) and sorted(source.classes or classes) == sorted(classes):
        # By name: a data set read from folders has its classes in another order than a list.
        names = source.classes or classes
        return tuple(names.index(name) for name in classes)
    if head == "auto":
        return fresh
    if count == len(classes):
        return tuple(range(count))
    there = f"{count} classes" if count else "no classifier"
    raise CheckpointError(
        f"{source.path}: head: keep, but it has {there} and the data {len(classes)} classes; leave"
        " `head` out for a fresh classifier"
    )


class _Moved:
    """Tensors of one spec as those of another that differs in classes, persons and joints."""

    def __init__(self, before: Any, after: Any, rows: Joints, joints: Joints | None):
        self.axes = networks.axes(before)
        self.network = before.network
        # Of a skeleton of its own: what the graph was before training changed it.
        self.initial: dict[str, np.ndarray] = {}
        if joints is not None:
            self.initial = networks.state_of(networks.build(replace(before, classes=after.classes)))
        everyone = range(before.skeleton.joints)
        persons = getattr(before, "persons", 1)
        wanted: dict[str, Sequence[int | None]] = {
            "class": rows,
            "person": [min(number, persons - 1) for number in range(getattr(after, "persons", 1))],
            "joint": everyone if joints is None else joints,
        }
        # -1: there is none.
        self.wanted = {
            part: np.array([-1 if number is None else number for number in numbers], "int64")
            for part, numbers in wanted.items()
        }
        self.sizes = {
            "class": before.classes,
            "person": persons,
            "joint": before.skeleton.joints,
            # All there are: members of an ensemble may see several streams of the coordinates.
            "channel": -1,
        }

    def state(self, source: Source, fresh: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The source's state, with what it lacks from `fresh`."""
        state = {}
        for name, value in source.state.items():
            parts = self._parts(name)
            if parts is None or name not in fresh:
                # Of another shape or name, loading refuses it.
                state[name] = value
            else:
                state[name] = self._tensor(name, value, fresh[name], parts)
        for name, value in fresh.items():
            parts = self._parts(name)
            # A file without its classifier; whatever else is missing, loading refuses.
            if name not in state and parts is not None and ("class",) in parts:
                state[name] = np.zeros_like(value)
        return state

    def _parts(self, name: str) -> tuple[tuple[str, ...], ...] | None:
        for pattern, axes in self.axes.items():
            if fnmatchcase(name, pattern):
                return axes
        return None

    def _tensor(
        self, name: str, value: np.ndarray, fresh: np.ndarray, axes: tuple[tuple[str, ...], ...]
    ) -> np.ndarray:
        parts = [part for axis in axes for part in (axis or ("",))]
        if "class" in parts:
            fresh = np.zeros_like(fresh)
        # One axis for each part: (M * V * C) as (M, V, C).
        taken, known = self._take(self._apart(value, axes), parts)
        start = fresh.reshape(taken.shape)
        graph = parts.count("joint") == 2
        if graph and name in self.initial:
            before, _ = self._take(self._apart(self.initial[name], axes), parts)
            # Where both graphs agree about a pair of joints, what was learnt; else the graph of
            # these data, and on top of it how training had changed the other: a bone that leads
            # through a joint which is not there must not be lost.
            taken = np.where(start == before, taken, start + (taken - before))
        elif not graph and "joint" in parts and not known.all():
            axis = parts.index("joint")
            mean = np.compress(self.wanted["joint"] >= 0, taken, axis).mean(axis, keepdims=True)
            # A joint nobody saw in training: with statistics of 0 and 1, coordinates in metres
            # would hardly count where the statistics stay frozen.
            start = np.broadcast_to(mean, taken.shape)
        return np.where(known, taken, start).reshape(fresh.shape).astype("float32")

    def _apart(self, value: np.ndarray, axes: tuple[tuple[str, ...], ...]) -> np.ndarray:
        shape: list[int] = []
        for size, axis in zip(value.shape, axes, strict=True):
            shape += [self.sizes[part] for part in axis] or [size]
        return value.reshape(shape)

    def _take(self, value: np.ndarray, parts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """(the entries that are wanted, whether they are there)."""
        known = np.ones((1,) * value.ndim, bool)
        for axis, part in enumerate(parts):
            # Coordinates stay: of others, no network is carried over.
            if part not in self.wanted:
                continue
            numbers = self.wanted[part]
            value = np.take(value, np.maximum(numbers, 0), axis)
            shape = [1] * value.ndim
            shape[axis] = len(numbers)
            known = known & (numbers >= 0).reshape(shape)
        return value, np.broadcast_to(known, value.shape)


def _notes(source: Source, target: Target, rows: Joints) -> list[str]:
    spec = source.spec
    notes = [_of_classifier(source, target, rows)]
    if target.joints is not None:
        count = sum(joint is not None for joint in target.joints)
        notes.append(
            f"its skeleton is {spec.skeleton.name}, that of the data {target.skeleton.name}:"
            f" {count} of {len(target.joints)} joints are carried over by name, the others start"
            " from the graph"
        )
    persons = spec.input_shape[3]
    if persons > target.persons:
        notes.append(f"is for {persons} persons, the data for {target.persons}: the others are cut")
    if persons < target.persons:
        notes.append(
            f"is for {persons} persons, the data for {target.persons}: the statistics of the last"
            " one are copied"
        )
    if spec.input_shape[1] != target.frames:
        notes.append(f"is for {spec.input_shape[1]} frames, the input gives {target.frames}")
    return [f"{source.path}: {note}" for note in notes if note]


def _of_classifier(source: Source, target: Target, rows: Joints) -> str:
    count = source.spec.classes
    if not count:
        return f"has no classifier: a fresh one for {len(target.classes)} classes"
    if rows[0] is None:
        named = " others" if count == len(target.classes) else ""
        return (
            f"has {count} classes, the data {len(target.classes)}{named}: a fresh classifier takes"
            " the place of its own"
        )
    if rows != tuple(range(count)):
        return "has the same classes in another order: its classifier follows the names"
    return ""
