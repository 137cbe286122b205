"""Raw NTU-like `.skeleton` recordings, with every defect that the world has, and what must come of
them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from compress.data import synthetic
from compress.data.ntu.shards import NO_BODY, NO_NUMBERS

# Constant, for no reader here looks at it; only its size in bytes matters to the speed of a parser.
# Of a joint's line, behind x y z
REST = " 277.419 191.8218 1036.233 519.1677 -0.2059419 0 0.9692109 0 2\r\n"
INFO = " 0 1 1 1 1 0 0.02764709 0.05745083 2\r\n"  # of a body's line, behind its id
MISSING = "NTU_RGBD_samples_with_missing_skeletons.txt"
# One clip of so many has a defect, each kind in turn; few enough that a network still learns.
EVERY = 10

Bodies = list[tuple[int, np.ndarray]]  # of a frame: id, joints (25, 3)


def text(frames: list[Bodies]) -> bytes:
    """A recording as the set's publishers write it."""
    found = [f"{len(frames)}\r\n"]
    for bodies in frames:
        found.append(f"{len(bodies)}\r\n")
        for name, joints in bodies:
            found.append(f"{name}{INFO}{len(joints)}\r\n")
            # Seven significant digits, as many as the published coordinates have.
            found += [f"{x:.7g} {y:.7g} {z:.7g}{REST}" for x, y, z in joints.tolist()]
    return "".join(found).encode()


def frames_of(index: int, seed: int = 0) -> list[Bodies]:
    """A generated recording: one person; every fourth has a second one beside him, every seventh a
    frame with nobody, every fifth a ghost of a few frames that the published filters drop."""
    clip = synthetic.clip(synthetic.Config(), seed, "train", index)[..., 0].transpose(
        1, 2, 0
    )  # (T, 25, 3)
    frames: list[Bodies] = [[(72057594037900000 + 10 * index, joints)] for joints in clip]
    if index % 4 == 0:
        beside = np.array([0.9, 0, 0.1], np.float32)
        for bodies, joints in zip(frames, clip[::-1], strict=True):
            bodies.append((72057594037900001 + 10 * index, joints + beside))
    if index % 5 == 0:
        wide = np.array([2, 0.3, 1], np.float32)
        for bodies in frames[3:10]:
            bodies.append((72057594037900002 + 10 * index, bodies[0][1][::-1] * wide))
    # Kinect loses everybody now and then; published code drops such frames.
    if index % 7 == 0:
        frames[len(frames) // 2] = []
    return frames


def with_nan(frames: list[Bodies]) -> bytes:
    """Two frames of everybody hold NaN."""
    return text(
        [
            [
                (name, np.full_like(joints, np.nan) if 2 <= at < 4 else joints)
                for name, joints in bodies
            ]
            for at, bodies in enumerate(frames)
        ]
    )


def all_nan(frames: list[Bodies]) -> bytes:
    """Nothing but NaN."""
    return text(
        [[(name, np.full_like(joints, np.nan)) for name, joints in bodies] for bodies in frames]
    )


def letters(frames: list[Bodies]) -> bytes:
    """A word where a number should be."""
    return text(frames).replace(b" 277.419", b" banana ", 1)


DEFECTS: dict[str, Callable[[list[Bodies]], bytes]] = {
    # The header still promises all frames: the reader has to notice that they are not there.
    "truncated": lambda frames: text(frames)[: len(text(frames)) // 2],
    "wrong joint count": lambda frames: text(
        [[(name, joints[:20]) for name, joints in bodies] for bodies in frames]
    ),
    "unreadable": letters,
    NO_BODY: lambda frames: text([[] for _ in frames]),
    NO_NUMBERS: all_nan,
    "repaired": with_nan,
    "one frame": lambda frames: text([bodies[:1] for bodies in frames if bodies][:1]),
    "missing-skeleton list": text,
    "duplicate name": text,
    "unknown name": text,
}


def name_of(index: int, classes: int = 12) -> str:
    """A name of its own for each of 4,080 clips a class: class `index % classes`; cameras and
    subjects vary first, which are unique together up to 120, then replications and setups of NTU
    RGB+D 60."""
    group = index // classes
    # The official splits go by subject, camera and setup, so all three have to vary even in small
    # sets.
    setup, replication = divmod(group // 120, 2)
    return f"S{1 + setup % 17:03d}C{1 + group % 3:03d}P{1 + group % 40:03d}R{1 + replication:03d}A{1 + index % classes:03d}"


def write(folder: Path, count: int, seed: int = 0, defects: bool = True) -> dict[str, int]:
    """Write `count` recordings, one in `EVERY` with a defect, all of `DEFECTS` in turn; returns how
    many there are of each, and under "found" the number of files."""
    folder.mkdir(parents=True, exist_ok=True)
    planted = dict.fromkeys(DEFECTS, 0)
    listed = []
    found = count
    kinds = list(DEFECTS)
    for index in range(count):
        frames = frames_of(index, seed)
        name = name_of(index)
        kind = (
            kinds[index // EVERY % len(kinds)] if defects and index % EVERY == EVERY - 1 else None
        )
        if kind:
            planted[kind] += 1
        if kind == "missing-skeleton list":
            listed.append(name)
        # The same recording in two folders, as when two archives are unpacked: it must count once.
        if kind == "duplicate name":
            (folder / "copies").mkdir(exist_ok=True)
            (folder / "copies" / f"{name}.skeleton").write_bytes(text(frames))
            found += 1
        if kind == "unknown name":
            # There is no action 999; a name that looks right is not a class.
            name = f"{name[:-3]}999"
        (folder / f"{name}.skeleton").write_bytes(DEFECTS[kind](frames) if kind else text(frames))
    if listed:
        (folder / MISSING).write_text(
            "Samples that have missing or incomplete skeleton data.\n\n" + "\n".join(listed) + "\n"
        )
    return planted | {"found": found}
