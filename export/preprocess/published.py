"""How the authors of known networks feed them, for checkpoints that come without their data set: the
steps from a recording to the input, and the names of the classes.

A checkpoint holds tensors alone. What it was trained on is guessed, from its network, classes and
joints and from the statistics of its first BatchNorm, which saw the clips; every guess is said. The
same steps are made of data by `compress/inputs`, and a test holds both to each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from export.preprocess import streams
from export.preprocess.normalise import UNSEEN, frame_of, is_ntu
from export.preprocess.streams import Stream
from teachers.networks import Spec
from teachers.skeleton import COCO_17, NTU_25_PYSKL, UCLA_20
from teachers.weights.benchmarks import NTU_120, NW_UCLA

Step = dict[str, Any]
State = Mapping[str, np.ndarray]

# CTR-GCN: the share of the valid frames that is tested.
TEST_CROP = 0.95
# 0-based: NW-UCLA's spine.
UCLA_CENTRE = 1
# CTR-GCN's preparation of NTU: joint 2 of the first person's first frame at the origin.
NTU_CENTRED: Step = {"op": "centre", "joint": 1, "frame": 0}
# Of the videos that NTU's key points were estimated in; PYSKL divides by half of it.
NTU_IMAGE = [1920, 1080]
# EfficientGCN: the published 288 frames are the first of 300, which are what was prepared.
EXTRA = 12
# EfficientGCN's own pairs of joint and parent: its tree grows from joint 2, CTR-GCN's from 21.
NTU_BONES = (
    (1, 2),
    (3, 21),
    (4, 3),
    (5, 21),
    (6, 5),
    (7, 6),
    (8, 7),
    (9, 21),
    (10, 9),
    (11, 10),
    (12, 11),
    (13, 1),
    (14, 13),
    (15, 14),
    (16, 15),
    (17, 1),
    (18, 17),
    (19, 18),
    (20, 19),
    (21, 2),
    (22, 23),
    (23, 8),
    (24, 25),
    (25, 12),
)
# Metres between where people stand and where they would stand if every frame were centred: NTU's
# cameras see them three metres away, and padding halves that. Measured 0.56 and 0.55 of X-Sub
# weights, 0.01 of X-View ones.
RECORDED = 0.2
CENTRED = 0.05
# Of a coordinate that never changed: a running variance starts at 1 and loses a tenth each batch.
DIED_AWAY = 1e-7


@dataclass(frozen=True)
class Feed:
    """How a family is fed.

    Attributes:
        title: in words, for notes and `deployed.json`.
        coordinates: of a joint in a recording, a score behind them not counted.
    """

    title: str
    steps: tuple[Step, ...]
    coordinates: int = 3


def complete(
    spec: Spec, state: State, about: Mapping[str, Any], source: str
) -> tuple[dict[str, Any], list[str]]:
    """(what a weights file says of its data, completed; what was guessed, in words).

    Args:
        about: as in `export.deployed.describe`; what it has stays.
        source: the file, for notes; a benchmark in its name is a hint.
    """
    if about.get("preprocessing"):
        return dict(about), []
    decides = (
        "if that is wrong, say what is right with --recipe NAME -o input.KEY=VALUE and --classes"
    )
    data, classes = _benchmark(spec)
    feed = _feed(spec, state, source)
    if isinstance(feed, str):
        return dict(about), [f"{source}: {feed}"]
    guessed = f"{data}, fed as {feed.title} (guessed from network, classes and joints)"
    channels = spec.channels // 6 if _has_branches(spec) else spec.channels
    recorded: dict[str, Any] = {
        "channels": channels,
        "joints": spec.skeleton.joints,
        "persons": spec.input_shape[3],
    }
    if channels > feed.coordinates:
        recorded |= {"score": True, "coordinates": feed.coordinates}
    content = {
        "data": guessed,
        "classes": list(classes),
        "preprocessing": list(feed.steps),
        "views": 1,
        "recorded": recorded,
    }
    said = {key: value for key, value in about.items() if value}
    note = f"{source}: says nothing of its data; taken for {guessed}; {decides}"
    notes = [note, *_contradiction(feed, source)]
    if not classes and not about.get("classes"):
        notes.append(
            f"{source}: nothing names its {spec.classes} classes, so answers are numbers; name them"
            " with --classes a,b,c or --classes FILE"
        )
    return content | said, notes


def _benchmark(spec: Spec) -> tuple[str, tuple[str, ...]]:
    """(the public benchmark of such a checkpoint, its classes); no names where it is none."""
    joints = spec.skeleton
    persons = spec.input_shape[3]
    if joints.name == UCLA_20.name and spec.classes == len(NW_UCLA):
        return "NW-UCLA", NW_UCLA
    # One person of as many classes is BABEL, whose names are not NTU's.
    if (is_ntu(joints) or joints.name == COCO_17.name) and persons > 1:
        if spec.classes == 60:
            return "NTU RGB+D 60", NTU_120[:60]
        if spec.classes == 120:
            return "NTU RGB+D 120", NTU_120
    return f"data of {spec.classes} classes", ()


def _has_branches(spec: Spec) -> bool:
    return spec.network == "efficientgcn" and getattr(spec, "branches", 1) == 3


def _feed(spec: Spec, state: State, source: str) -> Feed | str:
    """How such a checkpoint is fed, or why nobody knows."""
    frames = spec.input_shape[1]
    joints = spec.skeleton
    if spec.network == "efficientgcn":
        if not _has_branches(spec) or not is_ntu(joints):
            return _unknown(spec)
        return _branches(spec, state, frames, source)
    kind = stream_of(spec, state)
    shown = f"{kind.replace('_', ' ')} stream, {frames} frames"
    pyskl = spec.network in ("stgcn", "stgcnpp") or joints.name == NTU_25_PYSKL.name
    if pyskl and is_ntu(joints) and spec.channels == 3:
        normalise: Step = {"op": "normalise_3d", **frame_of(joints, None, None)}
        made = streams.steps(kind, joints, absent=True)
        return Feed(f"PYSKL publishes it ({shown})", (normalise, *made, _uniform(frames)))
    if joints.name == COCO_17.name and spec.channels in (2, 3):
        scored = spec.channels == 3
        flat: Step = {"op": "normalise_2d", "image": NTU_IMAGE}
        if scored:
            flat["threshold"] = UNSEEN
        made = streams.steps(kind, joints, absent=True, score=scored)
        title = f"PYSKL publishes it ({shown}, key points of 1920 x 1080 images)"
        return Feed(title, ({"op": "trim"}, flat, *made, _uniform(frames)), coordinates=2)
    made = streams.steps(kind, joints)
    if joints.name == UCLA_20.name and spec.channels == 3:
        sampled = ({"op": "min_max", "low": -1.0, "high": 1.0}, {"op": "sample", "frames": frames})
        centred = {"op": "centre", "joint": UCLA_CENTRE, "frame": 0}
        return Feed(f"CTR-GCN publishes it ({shown})", (centred, *sampled, *made))
    if is_ntu(joints) and spec.channels == 3 and spec.network.startswith("ctrgcn"):
        resized = {"op": "crop_resize", "ratio": TEST_CROP, "frames": frames}
        return Feed(f"CTR-GCN publishes it ({shown})", (dict(NTU_CENTRED), resized, *made))
    return _unknown(spec)


def _unknown(spec: Spec) -> str:
    C, T, V, M = spec.input_shape
    return (
        f"nothing says how clips become its input (C={C}, T={T}, V={V}, M={M}), and no published"
        f" {spec.network} has one like it; say it with --recipe NAME -o input.KEY=VALUE, or the"
        " folder answers prepared clips alone"
    )


def _uniform(frames: int) -> Step:
    return {"op": "uniform", "frames": frames, "clip": 0, "clips": 1}


def _branches(spec: Spec, state: State, frames: int, source: str) -> Feed | str:
    """EfficientGCN's three branches, of X-Sub as the camera saw people, of X-View turned."""
    turned = _is_centred(state)
    if turned is None:
        named = [name for name in ("xsub", "xview") if name in _plain(source)]
        if len(named) != 1:
            return (
                "its statistics tell neither X-Sub (people as the camera saw them) nor X-View"
                " (turned to face one way), and each takes the other's clips for other actions; say"
                " it with --recipe efficientgcn_b0 -o input.view_transform=false, or true for X-View"
            )
        turned = named == ["xview"]
    around = frame_of(spec.skeleton, None, None)
    steps: tuple[Step, ...] = ({"op": "fit", "frames": frames},)
    title = f"EfficientGCN publishes X-Sub (clips as recorded, {frames} frames)"
    if turned:
        longer = {"op": "fit", "frames": frames + EXTRA}
        steps = (longer, {"op": "view_transform", **around}, *steps)
        title = f"EfficientGCN publishes X-View (view transform, {frames} frames)"
    bones = [list(pair) for pair in NTU_BONES]
    return Feed(title, (*steps, {"op": "branches", "centre": around["centre"], "bones": bones}))


def _is_centred(state: State) -> bool | None:
    """Whether an EfficientGCN was trained on clips of which every frame was centred; None where its
    statistics do not tell."""
    mean = state.get("stem.0.bn._mean")
    if mean is None or mean.shape != (6,):
        return None
    # The joint branch has positions (x y z) and the same relative to the centre joint of the frame;
    # for people in the middle of every frame the two agree.
    away = float(np.abs(mean[:3] - mean[3:]).max())
    if away >= RECORDED:
        return False
    # Statistics of a network that saw no clips agree, too: all of them are 0 or 1.
    variance = state["stem.0.bn._variance"]
    trained = float(variance.max()) < 0.5
    return True if away <= CENTRED and trained else None


def _contradiction(feed: Feed, source: str) -> list[str]:
    for name, other in (("xsub", "X-View"), ("xview", "X-Sub")):
        if name in _plain(source) and other in feed.title:
            return [f"{source}: its name says {name}, but its statistics are those of {other}"]
    return []


def _plain(source: str) -> str:
    return Path(source).name.lower().replace("-", "").replace("_", "")


def stream_of(spec: Spec, state: State) -> Stream:
    """The stream that a network's first BatchNorm saw, by its statistics for each coordinate of
    each joint; "joint" where nothing else is plain."""
    mean = state.get("data_bn._mean")
    variance = state.get("data_bn._variance")
    V, C = spec.skeleton.joints, spec.channels
    if mean is None or variance is None or mean.size < V * C:
        return "joint"
    # The first person's: the second is missing from most clips.
    mean = mean[: V * C].reshape(V, C)
    variance = variance[: V * C].reshape(V, C)
    children = {child for child, _ in spec.skeleton.bone_pairs()}
    roots = [joint for joint in range(V) if joint + 1 not in children]
    # A joint that is no child has bone zero in every frame, so its variance has died away.
    bone = bool(roots) and bool((variance[roots, :2] < DIED_AWAY).all())
    # Bodies stand upright, so joints and bones have directions; what people move up, they move down
    # again. A network that saw no clips has variances of 1.
    leaning = np.abs(mean) / np.sqrt(variance + 1e-5)
    motion = float(leaning.max()) < 0.5 and float(variance.max()) < 0.25
    if bone:
        return "bone_motion" if motion else "bone"
    return "joint_motion" if motion else "joint"
