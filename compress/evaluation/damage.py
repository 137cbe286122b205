"""Clips as they come from a bad camera, or too early: joints and frames lost, jitter, a part of a clip,
another angle.

Everything is done to the clip as recorded but for lost joints, which become zero where the network's
joints are zero: behind the steps that place and scale a clip, in front of those that make streams of
it. A joint at the recording's zero would, without being seen, change the place and scale of all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from compress.evaluation.damage_settings import Config
from compress.inputs.view import View
from export.preprocess import ops

# Steps that make other channels of the joints: what is lost is lost before them.
STREAMS = ("stream", "branches")
Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Damage:
    """One kind of damage.

    Attributes:
        key, title: for programs and for people.
        draws: how often it is drawn.
        recorded: changes a clip (C, T, V, M) as recorded.
        placed: changes it after it was placed and scaled.
    """

    key: str
    title: str
    draws: int
    recorded: Change | None = None
    placed: Change | None = None

    def view(self, view: View, number: int, seed: int) -> Callable[[np.ndarray, int], np.ndarray]:
        """(clip, its place in the split) -> all views (clips, C, T, V, M) in draw `number`."""
        cut = next(
            (index for index, op in enumerate(view.eval_ops) if op["op"] in STREAMS),
            len(view.eval_ops),
        )

        def prepared(clip: np.ndarray, place: int) -> np.ndarray:
            # By the clip's place, not in a row: every network sees the same damage, whatever its
            # batches. By the key too, or a clip would lose the joints of 10 % again at 20 %.
            rng = np.random.default_rng([seed, *self.key.encode(), number, place])
            if self.recorded is not None:
                clip = self.recorded(np.asarray(clip, np.float32), rng)
            views = []
            lost = int(rng.integers(2**32))
            for each in range(view.clips):
                steps = ops.numbered(view.eval_ops, each, view.clips)
                x = ops.apply(clip, steps[:cut])
                if self.placed is not None:
                    # All views of a clip are of one recording, which lost what it lost.
                    x = self.placed(x, np.random.default_rng(lost))
                views.append(ops.apply(x, steps[cut:]))
            return np.stack(views)

        return prepared


def damages(config: Config, coordinates: int) -> tuple[Damage, ...]:
    """The rows of the table, clips as they are first; a turn only of clips with x, y and z."""
    draws = config.draws
    rows = [Damage("none", "as recorded", 1)]
    for share in config.joints_lost:
        lost = partial(lose_joints, share=share)
        name = f"{100 * share:g}"
        rows.append(Damage(f"joints_{name}", f"{name} % of joints lost", draws, placed=lost))
    if config.jitter:
        title = f"jitter, {100 * config.jitter:g} % of the body"
        shaken = partial(jitter, size=config.jitter, coordinates=coordinates)
        rows.append(Damage("jitter", title, draws, shaken))
    if config.frames_lost:
        title = f"{100 * config.frames_lost:g} % of frames lost"
        rows.append(Damage("frames", title, draws, partial(lose_frames, share=config.frames_lost)))
    if config.part:
        title = f"{100 * config.part:g} % of the clip"
        rows.append(Damage("part", title, draws, partial(part, share=config.part)))
    for share in config.first:
        cut = partial(beginning, share=share)
        name = f"{100 * share:g}"
        # Nothing is drawn.
        rows.append(Damage(f"first_{name}", f"first {name} % of the clip", 1, cut))
    if config.yaw and coordinates == 3:
        title = f"yaw within {config.yaw:g} degrees"
        rows.append(Damage("yaw", title, draws, partial(yaw, degrees=config.yaw)))
    return tuple(rows)


def lose_joints(clip: np.ndarray, rng: np.random.Generator, share: float) -> np.ndarray:
    """The same joints of all persons at zero in all frames, `share` of them, at least one."""
    joints = clip.shape[2]
    lost = rng.choice(joints, max(1, round(share * joints)), replace=False)
    changed = clip.copy()
    changed[:, :, lost] = 0
    return changed


def jitter(clip: np.ndarray, rng: np.random.Generator, size: float, coordinates: int) -> np.ndarray:
    """Normal noise on every joint that is seen, its deviation `size` of the body's largest extent
    (the median over frames)."""
    points = clip[:coordinates]
    seen = (points != 0).any(axis=0)  # (T, V, M)
    high = np.where(seen, points, -np.inf).max(axis=2)
    low = np.where(seen, points, np.inf).min(axis=2)
    extents = (high - low).max(axis=0)  # (T, M)
    extents = extents[np.isfinite(extents)]
    if not extents.size:
        return clip
    noise = rng.standard_normal(points.shape) * size * np.median(extents)
    return np.concatenate([np.where(seen, points + noise, 0), clip[coordinates:]]).astype(
        np.float32
    )


def lose_frames(clip: np.ndarray, rng: np.random.Generator, share: float) -> np.ndarray:
    """The frames that are left, in order, at least one: a camera that drops them."""
    T = ops.valid_length(clip)
    kept = max(1, T - round(share * T))
    return clip[:, np.sort(rng.choice(T, kept, replace=False))]


def part(clip: np.ndarray, rng: np.random.Generator, share: float) -> np.ndarray:
    """A stretch of `share` of the frames, anywhere."""
    T = ops.valid_length(clip)
    kept = max(1, round(share * T))
    first = int(rng.integers(T - kept + 1))
    return clip[:, first : first + kept]


def beginning(clip: np.ndarray, rng: np.random.Generator, share: float) -> np.ndarray:
    """The first `share` of the frames: what a camera has seen of an action by then."""
    return clip[:, : max(1, round(share * ops.valid_length(clip)))]


def yaw(clip: np.ndarray, rng: np.random.Generator, degrees: float) -> np.ndarray:
    """Turned about the vertical axis, y, around the origin; a score stays."""
    angle = np.deg2rad(rng.uniform(-degrees, degrees))
    turned = ops.rotate(clip[:3], ops.rotation(0, angle, 0))
    return np.concatenate([turned, clip[3:]])


def batches(
    clips: Sequence[np.ndarray],
    prepared: Callable[[np.ndarray, int], np.ndarray],
    size: int,
) -> Iterator[np.ndarray]:
    """(N, C, T, V, M) float32, the views of whole clips, in order."""
    for start in range(0, len(clips), size):
        rows = [
            prepared(clips[place], place) for place in range(start, min(start + size, len(clips)))
        ]
        yield np.concatenate(rows)
