"""The two actors of an NTU RGB+D recording as CTR-GCN (arXiv 2107.12213) prepares them, from who
was tracked.

Tracking sees people in furniture and gives one person several ids. CTR-GCN drops short bodies and
bodies wider than tall, and joins the rest by motion into two actors. Steps and thresholds are the
published ones (data/ntu of its repository, after Microsoft's SGN and VA-CNN), to the number.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from compress.data.data_report import counted
from compress.data.frames import energy
from compress.data.ntu.skeleton_text import JOINTS, Recording
from export.preprocess.ops import trim
from export.preprocess.repair import repair_frames

# EfficientGCN looks at the first four bodies of a frame, and keeps two.
PLACES = 4
PERSONS = 2

# The published filter of tracked furniture, as its program has the numbers. A body must have more
# frames than SHORTEST; a frame is noise where x spreads over more than WIDEST times what y does; a
# body with a share NOISE of such frames is dropped.
SHORTEST = 11
WIDEST = 0.8
NOISE = 0.69754
# Joint 2 counted from 1, the middle of the spine.
CENTRE = 1
PREPARATIONS = ("ctrgcn", "efficientgcn")


@dataclass(frozen=True)
class Track:
    """A body in consecutive frames from `start`: joints (n, 25, 3) float32; motion in square
    metres."""

    start: int
    joints: np.ndarray
    motion: float

    @property
    def end(self) -> int:
        return self.start + len(self.joints) - 1


def prepare(recording: Recording, preparation: str) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """(the clip (3, T, 25, 2) float32, what was repaired in words); no clip where nobody with
    finite coordinates is in it."""
    if preparation == "ctrgcn":
        return ctrgcn(recording)
    return efficientgcn(recording)


def efficientgcn(recording: Recording) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """As `efficientgcn_raw`, in camera coordinates, without the frames at the end that
    nobody is in (they are zero, as padding is); frames with NaN take the nearest good frame."""
    clip, bad = repair_frames(efficientgcn_raw(recording))
    if bad == clip.shape[1] or not clip.any():
        return None, ()
    return np.ascontiguousarray(trim(clip)), _mended_note(bad)


def ctrgcn(recording: Recording) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """CTR-GCN's two actors, the first at the origin when he first appears, T the frames with
    somebody in them.

    Beyond the published steps: a body's frames with NaN take its nearest good frame; a body without
    one is dropped; where the length filter would leave nobody (there the published program ends
    with an error), it is left out.
    """
    tracks, repairs = _tracks(recording)
    if not tracks:
        return None, ()
    if len(tracks) > 1:
        long = [track for track in tracks if len(track.joints) > SHORTEST]
        if not long:
            repairs += (f"no body is longer than {SHORTEST} frames, so all were kept",)
        # sorted() is stable: of equal motion, whoever was tracked first stays first, as published.
        tracks = sorted(_by_spread(long or tracks), key=lambda track: track.motion, reverse=True)
    frames = len(np.unique(np.concatenate([body.frames for body in recording.bodies.values()])))
    actors = _joined(tracks, frames)  # (T, 2, 25, 3)
    actors = actors[actors.any(axis=(1, 2, 3))]
    if not actors.any():
        return None, ()
    present = actors.any(axis=(2, 3))  # (T, 2)
    first = actors[:, 0][np.argmax(present[:, 0])]
    # Whoever is missing stays zero: shifted with the others they would stand at minus the origin.
    centred = np.where(present[..., None, None], actors - first[CENTRE], np.float32(0))
    return np.ascontiguousarray(centred.transpose(3, 0, 2, 1)), repairs


def _tracks(recording: Recording) -> tuple[list[Track], tuple[str, ...]]:
    """Bodies as the published program numbers their frames: frames without anybody do not count,
    and a body that comes back goes on where it was lost."""
    frames_of_bodies = [body.frames for body in recording.bodies.values()]
    # numpy cannot concatenate nothing.
    somebody = np.unique(np.concatenate(frames_of_bodies or [np.zeros(0, int)]))
    tracks = []
    mended = 0
    lost = 0
    for body in recording.bodies.values():
        joints, bad = repair_frames(body.joints.transpose(2, 0, 1)[..., None])
        if bad == len(body.frames):
            lost += 1
            continue
        mended += bad
        joints = np.ascontiguousarray(joints[..., 0].transpose(1, 2, 0))
        start = int(np.searchsorted(somebody, body.frames[0]))
        tracks.append(Track(start, joints, _motion(joints)))
    repairs = _mended_note(mended)
    if lost:
        bodies = "body" if lost == 1 else "bodies"
        repairs += (f"{lost} {bodies} of nothing but NaN left out",)
    return tracks, repairs


def _by_spread(tracks: list[Track]) -> list[Track]:
    """Without the bodies that are mostly wider than tall, as long as one remains; the others'
    motion without such frames."""
    kept = []
    left = len(tracks)
    for track in tracks:
        spread = track.joints.max(axis=1) - track.joints.min(axis=1)  # (n, 3)
        good = spread[:, 0] <= WIDEST * spread[:, 1]
        noise = int((~good).sum())
        # The last one stays however wide: somebody acts in every recording.
        if left == 1 or not noise:
            kept.append(track)
        elif noise / len(good) >= NOISE:
            left -= 1
        else:
            # The smaller of the two: a body must not gain motion by losing its noisy frames.
            kept.append(replace(track, motion=min(track.motion, _motion(track.joints[good]))))
    return kept


def _joined(tracks: list[Track], frames: int) -> np.ndarray:
    """(T, 2, 25, 3): each track, the most motion first, goes to the first actor whose interval it
    does not overlap."""
    actors = np.zeros((frames, 2, JOINTS, 3), np.float32)
    # An actor without frames has the interval [0, 0], as published.
    intervals = [[tracks[0].start, tracks[0].end], [0, 0]]
    actors[tracks[0].start : tracks[0].end + 1, 0] = tracks[0].joints
    for track in tracks[1:]:
        for person, (start, end) in enumerate(intervals):
            # Both ends are frames of the track, so 0 is one frame shared, which is no overlap yet.
            if min(end, track.end) - max(start, track.start) <= 0:
                actors[track.start : track.end + 1, person] = track.joints
                # As published, gaps in between count as taken.
                intervals[person] = [min(start, track.start), max(end, track.end)]
                break
    return actors


def _motion(joints: np.ndarray) -> float:
    # Over joints and frames at once: the body's own size counts beside its movement.
    return float(np.sum(np.var(joints.reshape(-1, 3), axis=0)))


def _mended_note(frames: int) -> tuple[str, ...]:
    if not frames:
        return ()
    return (f"{counted(frames, 'frame')} with NaN replaced by the nearest good one",)


def efficientgcn_raw(recording: Recording) -> np.ndarray:
    """The clip (3, T, 25, 2) float32 that EfficientGCN (arXiv 2106.15125), like 2s-AGCN (arXiv
    1805.07694) before it, makes of a recording: camera coordinates in metres, T all of its frames,
    also those that nobody is in.

    A person is a place in the frames' lists of bodies, whatever the id there: its first entries are
    the first person, and so on up to four; what is missing is zero. Of these the two with the
    highest energy are kept, the highest first, and of equal ones the later first: the standard
    deviations of x, of y and of z, each over all joints of the frames with somebody in that place,
    added up. Frames with NaN, which have no energy, are left out of it here.
    """
    places = np.zeros((PLACES, recording.frames, JOINTS, 3), np.float32)
    for body in recording.bodies.values():
        kept = body.places < PLACES
        places[body.places[kept], body.frames[kept]] = body.joints[kept]
    # Reversed after a stable sort, as published: of equal energies the later place comes first.
    highest = np.argsort([energy(place) for place in places], kind="stable")[::-1][:PERSONS]
    return np.ascontiguousarray(places[highest].transpose(3, 1, 2, 0))
