"""Moving skeletons without a download: twelve actions by people of different size, tempo,
handedness and place.

Everything is a function of (seed, index). Training and validation share no person. `kinematics.py`
is the body; this file is what people do with it, how a depth camera sees them, and the data set.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from compress.data.dataset import Callback, Dataset, Split, Unread
from compress.data.synthetic import kinematics
from compress.data.synthetic.actions import ACTIONS, ARMS, SITTING, STANDING, TRUNK, Action, Pose
from export.preprocess import ops
from teachers.skeleton import NTU_25

# Frames a second, as the Kinect's.
RATE = 30
# Seconds before and after an action.
IDLE = (0.0, 0.4)
# Nobody is in both: a network that knows people by their proportions must not gain by it.
PEOPLE = {"train": range(60), "val": range(100, 130)}
INPUT = "crop_resize"
# A repetition or two, from the front.
INPUT_DEFAULTS = {
    "frames": 16,
    "crop": 0.75,
    "rotation": 0.1,
}
# EfficientGCN's published 288 frames are nearly ten seconds; these clips last two at most.
OTHER_INPUTS = {"branches": {"frames": 64}}
BASE_OPS: tuple[dict[str, Any], ...] = (
    {"op": "drop_empty"},
    # The base of the spine, about which `forward` builds the body.
    {"op": "centre", "joint": 0, "frame": 0},
)


@dataclass(frozen=True)
class Config:
    """Recipe keys. `noise`: standard deviation of a joint in metres; `view_degrees`: the camera's
    largest angle from the front; `missing`: share of clips with frames in which the sensor lost the
    person (all zero).
    """

    train_clips: int = 480
    val_clips: int = 240
    noise: float = 0.012
    view_degrees: float = 15.0
    missing: float = 0.1

    def __post_init__(self):
        for name in ("train_clips", "val_clips"):
            if getattr(self, name) < len(ACTIONS):
                raise ValueError(
                    f"{name}: must be at least {len(ACTIONS)}, one clip of every class"
                )
        if self.noise < 0:
            raise ValueError("noise: must not be negative")
        if not 0 <= self.view_degrees <= 180:
            raise ValueError("view_degrees: must be between 0 and 180")
        if not 0 <= self.missing <= 1:
            raise ValueError("missing: must be between 0 and 1")


def load(config: Config, seed: int, callback: Callback | None = None) -> Dataset:
    """Generate the data set; the same (config, seed) gives the same clips, without lost frames and
    standing at the origin."""
    total = config.train_clips + config.val_clips
    splits = {}
    for split, count, before in (
        ("train", config.train_clips, 0),
        ("val", config.val_clips, config.train_clips),
    ):
        clips = []
        for index in range(count):
            recorded = clip(config, seed, split, index)
            clips.append(ops.apply(recorded, BASE_OPS))
            if callback:
                callback(before + index + 1, total, "generating clips")
        # In turn, so that every class has as many clips, give or take one.
        labels = np.arange(count, dtype=np.int64) % len(ACTIONS)
        names = tuple(
            f"{split}_{index:05d}_p{person_of(split, index):03d}_a{labels[index]:02d}"
            for index in range(count)
        )
        splits[split] = Split(names, clips, labels)
    return Dataset(
        "synthetic",
        splits["train"],
        splits["val"],
        tuple(action.name for action in ACTIONS),
        NTU_25,
        persons=1,
        channels=3,
        fingerprint=_fingerprint(config, seed, splits),
        input=INPUT,
        base_ops=BASE_OPS,
    )


def unread(config: Config, classes: int) -> Unread:
    """What is known before anything is generated."""
    names = tuple(action.name for action in ACTIONS)
    return Unread(names if classes == len(names) else (), BASE_OPS, as_recorded=False)


def person_of(split: str, index: int) -> int:
    """The number of the person who acts in a clip; every person does every action."""
    people = PEOPLE[split]
    return people[index // len(ACTIONS) % len(people)]


def clip(config: Config, seed: int, split: str, index: int) -> np.ndarray:
    """One clip as recorded, (3, T, 25, 1) float32 in camera coordinates (metres, z away from the
    camera), 30 frames a second."""
    person = np.random.default_rng([seed, person_of(split, index)])
    offsets = kinematics.body(person)
    handedness = person.random()
    tempo, amplitude = person.uniform(0.88, 1.12, size=2)
    # A generator for the person and one for the clip: the same person is the same in all clips, and
    # a clip does not depend on how many came before it.
    rng = np.random.default_rng([seed, 1000 + list(PEOPLE).index(split), index])
    action = ACTIONS[index % len(ACTIONS)]
    angles, lift = performance(action, rng, tempo=tempo, amplitude=amplitude)
    # Left-handers use the right hand now and then, and the other way round.
    if rng.random() < (0.85 if handedness < 0.3 else 0.15):
        angles = kinematics.mirror(angles)
    positions = kinematics.forward(angles, offsets)
    # Whoever moves stands, sits or lies on the ground; without this, a squat would hang in the air.
    lowest = positions[:, :, 1].min(axis=1)
    positions[:, :, 1] += (lift - lowest)[:, None]
    return seen(positions, config, rng)


def performance(
    action: Action, rng: np.random.Generator, tempo: float, amplitude: float
) -> tuple[np.ndarray, np.ndarray]:
    """One doing of an action with idle time around it: angles (T, 25, 3) in degrees and lift off
    the ground (T,) in metres."""
    period = rng.uniform(*action.period) / tempo
    active = period * rng.uniform(*action.reps)
    get_ready = rng.uniform(0.15, 0.3)
    before, after = rng.uniform(*IDLE, size=2)
    frames = int((before + 2 * get_ready + active + after) * RATE)
    # Seconds, 0 where the repetitions begin.
    time = np.arange(frames) / RATE - before - get_ready
    strength = amplitude * rng.uniform(0.9, 1.15)
    # 0: resting posture, 1: the action's own.
    taken = kinematics.ease(time / get_ready + 1)
    if action.returns:
        # Someone is caught anywhere in the cycle, so that phase 0 does not give the class away.
        taken = taken * kinematics.ease((active - time) / get_ready + 1)
        phase = (time / period + rng.random()) % 1.0
    else:
        # Only up to the last key: beyond it `through` goes back to the posture.
        phase = np.clip(time / period, 0, 1) * action.keys[-1][0]
    resting = posture(action, rng)
    hold = kinematics.pose_angles(action.hold)
    held = hold.any(axis=1)[:, None]  # (25, 1)
    started = np.where(held, hold + drawn(action.spread, rng), resting)
    moves = kinematics.through(
        tuple(
            (at, kinematics.pose_angles(pose) * rng.uniform(0.85, 1.15, size=(25, 1)))
            for at, pose in action.keys
        ),
        phase,
    )
    # Off the ground between phases 0.4 and 0.75.
    flight = np.sin(np.pi * np.clip((phase - 0.4) / 0.35, 0, 1))
    lift = action.lift * strength * taken * flight
    acting = started - resting + moves * strength
    angles = resting + acting * taken[:, None, None] + idle(rng, time)
    return kinematics.within_limits(angles), lift


def drawn(spread: Pose, rng: np.random.Generator) -> np.ndarray:
    """(25, 3) degrees, each uniform within its spread either way."""
    return kinematics.pose_angles(spread) * rng.uniform(-1, 1, size=(25, 3))


def idle(rng: np.random.Generator, time: np.ndarray) -> np.ndarray:
    """Nobody stands still: slow sway (T, 25, 3) in degrees of every hinge."""
    hinges = list(kinematics.HINGES.values())
    rate, shift = rng.uniform(0.2, 0.7, size=(2, len(hinges), 3)) * [[[1]], [[10]]]
    sway = np.zeros((len(time), 25, 3))
    wave = np.sin(2 * np.pi * (time[:, None, None] * rate + shift))
    sway[:, hinges] = wave * rng.uniform(0, 4, size=(len(hinges), 3))
    return sway


def posture(action: Action, rng: np.random.Generator) -> np.ndarray:
    """How someone stands or sits while not acting, (25, 3) in degrees: arms, legs and trunk drawn
    apart from the action."""
    legs = SITTING if rng.random() < action.sitting else STANDING
    angles = np.zeros((25, 3))
    for centre, spread in (ARMS, TRUNK, legs):
        angles += kinematics.pose_angles(centre) + drawn(spread, rng)
    return angles


def seen(positions: np.ndarray, config: Config, rng: np.random.Generator) -> np.ndarray:
    """Positions (T, 25, 3) of a person on the ground -> what a depth camera reports, (3, T, 25, 1)
    float32."""
    T = len(positions)
    view = np.deg2rad(rng.uniform(-config.view_degrees, config.view_degrees))
    tilt = np.deg2rad(rng.uniform(-8, 8))
    # Along the ground only: whoever drifted up would leave it.
    drift = rng.uniform(-0.1, 0.1, size=3) * (1, 0, 1) * np.linspace(0, 1, T).reshape(T, 1, 1)
    # Within the range in which a Kinect tracks people.
    place = rng.uniform((-0.6, -1.3, 2.2), (0.6, -0.8, 3.8))
    turn = ops.rotation(tilt, 0, 0) @ ops.rotation(0, view, 0)
    world = (positions + drift) @ turn.T + place
    # Drawn even where the noise is 0: a recipe without noise has the same motion.
    world += rng.normal(0, 1, size=world.shape) * config.noise
    # A sensor that loses somebody reports zeros, which NTU's recordings have too.
    # Drawn last, so that `missing` changes nothing but these frames.
    if rng.random() < config.missing:
        lost = int(rng.integers(1, 6))
        first = int(rng.integers(0, T - lost + 1))
        world[first : first + lost] = 0
    return np.ascontiguousarray(world.transpose(2, 0, 1)[..., None], dtype=np.float32)


def _fingerprint(config: Config, seed: int, splits: dict[str, Split]) -> str:
    digest = hashlib.sha256(json.dumps([asdict(config), seed], sort_keys=True).encode())
    # The clips' bytes too: numpy does not promise the same draws in every version (NEP 19).
    for split in splits.values():
        for recorded in split.clips:
            digest.update(recorded.tobytes())
    return digest.hexdigest()
