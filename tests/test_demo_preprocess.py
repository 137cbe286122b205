"""The page's preprocessing and readers of clips, step by step, against those of Python."""

from __future__ import annotations

import base64
import io
import json

import demo_node
import numpy as np
import pytest

from compress.data import clips as clip_files
from export.deployed import counting
from export.preprocess import ops, repair

C, T, V, M = 3, 23, 5, 2
BONES = [[2, 1], [3, 1], [4, 1], [5, 4]]
# Of every step, parameters as in memory: bones count from 1.
STEPS = (
    {"op": "centre", "joint": 1},
    {"op": "centre", "joint": 2, "frame": 3, "person": 1},
    {"op": "centre_seen", "joint": 0},
    {"op": "centre_seen", "joint": 4, "coordinates": 2},
    {"op": "trim"},
    {"op": "drop_empty"},
    {"op": "min_max"},
    {"op": "min_max", "low": 0.0, "high": 0.3},
    {"op": "sample", "frames": 52},
    {"op": "sample", "frames": 7},
    {"op": "sample", "frames": 1},
    {"op": "crop_resize", "ratio": 0.95, "frames": 16},
    {"op": "crop_resize", "ratio": 0.7, "frames": 64},
    {"op": "window", "frames": 9, "least": 4},
    {"op": "window", "frames": 8, "pad": "hold"},
    {"op": "window", "frames": 50, "pad": "hold"},
    {"op": "window", "frames": 50, "pad": "loop"},
    {"op": "loop", "frames": 60},
    {"op": "fit", "frames": 9},
    {"op": "fit", "frames": 40},
    {"op": "uniform", "frames": 8, "clip": 1, "clips": 3},
    {"op": "uniform", "frames": 100, "clip": 2, "clips": 10},
    {"op": "uniform", "frames": 100, "clip": 7, "clips": 30},
    {"op": "normalise_3d", "centre": 1, "spine": [0, 1], "shoulders": [3, 2]},
    {"op": "normalise_3d", "centre": 0},
    {"op": "normalise_2d", "image": [1920, 1080]},
    {"op": "normalise_2d", "threshold": 0.01},
    {"op": "view_transform", "centre": 1, "spine": [0, 1], "shoulders": [3, 2]},
    {"op": "view_transform", "centre": 1, "once": True},
    {"op": "stream", "kind": "joint"},
    {"op": "stream", "kind": "bone", "bones": BONES},
    {"op": "stream", "kind": "bone", "bones": BONES, "score": True},
    {"op": "stream", "kind": "joint_motion", "absent": True},
    {"op": "stream", "kind": "bone_motion", "bones": BONES, "absent": True, "score": True},
    {"op": "branches", "centre": 2, "bones": BONES},
    {"op": "map_joints", "joints": [[[1.0, [0]]], [[0.3, [1, 2]], [0.7, [3]]], []]},
    {
        "op": "map_joints",
        "joints": [[[1.0, [4, 0]]], [[2.0, [1]], [-1.0, [3]]]],
        "axes": ["-x", "y"],
        "score": True,
    },
)


def clips() -> list[np.ndarray]:
    """Clips with what recordings have: persons, frames and joints missing, idle ends, flat axes."""
    generator = np.random.default_rng(4)
    usual = generator.normal(0, 1, (C, T, V, M)).astype("float32")
    gaps = usual.copy()
    gaps[:, 20:] = 0
    gaps[:, :3, :, 0] = 0
    gaps[:, 9, :, 1] = 0
    gaps[:, 5:8, 2] = 0
    gaps[:, 12] = 0
    alone = gaps.copy()
    alone[..., 1] = 0
    alone[2] = 0
    still = np.repeat(usual[:, :1], T, axis=1)
    return [usual, gaps, alone, still, np.zeros_like(usual), usual[:, :1]]


def test_every_step_does_what_python_does(tmp_path):
    jobs = []
    expected = []
    for step in STEPS:
        (given,) = counting.from_zero({"preprocessing": [step]})["preprocessing"]
        for clip in clips():
            if step.get("frame", 0) >= clip.shape[1]:
                continue
            jobs.append({"job": "preprocess", "clip": demo_node.clip_job(clip), "given": [given]})
            expected.append((step, ops.apply(clip, [step])))
    for told, (step, theirs) in zip(demo_node.run(tmp_path, *jobs), expected, strict=True):
        ours = demo_node.clip_of(told)
        assert ours.shape == theirs.shape, step
        # Turns are sums of three products, which numpy may take in another order.
        assert np.allclose(ours, theirs, rtol=2e-6, atol=2e-6), (step, np.abs(ours - theirs).max())


def test_no_step_is_left_out(tmp_path):
    (names,) = demo_node.run(tmp_path, {"job": "steps"})
    assert set(names) == set(ops.STEPS) == {step["op"] for step in STEPS}


def broken(seed: int, size: float) -> np.ndarray:
    generator = np.random.default_rng(seed)
    clip = (generator.normal(0, 1, (C, T, V, M)) + size).astype("float32")
    clip[:, generator.random((T, V, M)) < 0.2] = 0
    clip[1, generator.random((T, V, M)) < 0.1] = np.nan
    clip[:, :, 3, 0] = np.inf
    clip[:, 4, :, 1] = 0
    return clip


@pytest.mark.parametrize("bones", [None, tuple(map(tuple, BONES))])
def test_broken_clips_are_mended_alike(bones, tmp_path):
    one_bad = np.ones((C, 6, V, M), "float32")
    one_bad[0, 2, 1, 0] = np.nan
    one_bad[:, 3] = 0
    given = [broken(1, 0), broken(2, 9), one_bad, np.full((C, 2, V, M), np.nan, "float32")]
    zero = None if bones is None else [[a - 1, b - 1] for a, b in bones]
    jobs = [
        {"job": "mend", "clip": demo_node.clip_job(clip), "bones": zero, "coordinates": coordinates}
        for clip in given
        for coordinates in (3, 2)
    ]
    told = iter(demo_node.run(tmp_path, *jobs))
    for clip in given:
        for coordinates in (3, 2):
            theirs = repair.mended(clip, bones, coordinates)
            ours = next(told)
            if theirs is None:
                assert ours is None
            else:
                assert np.allclose(demo_node.clip_of(ours), theirs, rtol=1e-6, atol=1e-6)


WANTED = {
    "channels": 3,
    "joints": 5,
    "persons": 2,
    "names": ["hip", "head", "left", "right", "toe"],
}


def files(clip: np.ndarray) -> dict[str, bytes]:
    """A clip (C, T, V, M) as every kind of file that the page reads."""
    found = {}
    arrays = {
        "ctvm": clip,
        "tmvc": clip.transpose(1, 3, 2, 0),
        "tvc": clip[..., 0].transpose(1, 2, 0),
    }
    arrays["double"] = clip.astype("float64")
    arrays["flat"] = clip[..., 0].transpose(1, 2, 0).reshape(T, -1)
    for name, array in arrays.items():
        stream = io.BytesIO()
        np.save(stream, np.ascontiguousarray(array))
        found[f"{name}.npy"] = stream.getvalue()
    frames = clip.transpose(1, 3, 2, 0).tolist()
    found["persons.json"] = json.dumps({"frames": frames}).encode()
    found["one.json"] = json.dumps({"frames": [frame[0] for frame in frames]}).encode()
    rows = clip[..., 0].transpose(1, 2, 0).reshape(T, -1)
    lines = [",".join(f"{a}{v}" for v in range(V) for a in "xyz")]
    lines += [",".join(f"{value!r}" for value in row.astype(float).tolist()) for row in rows]
    found["numbered.csv"] = "\n".join(lines).encode()
    named = [";".join(["frame", *(f"{n}_{a}" for n in WANTED["names"] for a in "xyz")])]
    named += [
        ";".join(
            [str(number), *(f"{value!r}".replace(".", ",") for value in row.astype(float).tolist())]
        )
        for number, row in list(enumerate(rows))[::-1]
    ]
    found["named.csv"] = "\r\n".join(named).encode()
    return found


def test_files_that_are_dropped_are_read_as_predict_reads_them(tmp_path):
    clip = np.random.default_rng(5).normal(0, 1, (C, T, V, M)).astype("float32")
    made = files(clip)
    jobs = [
        {"job": "read", "name": name, "data": base64.b64encode(data).decode(), "wanted": WANTED}
        for name, data in made.items()
    ]
    for (name, data), told in zip(made.items(), demo_node.run(tmp_path, *jobs), strict=True):
        assert isinstance(told, list), (name, told)
        (tmp_path / name).write_bytes(data)
        ((_, theirs),) = clip_files.read_clip(tmp_path / name, WANTED)
        ours = demo_node.clip_of(told[0])
        # A file of one person has one here; the network's other persons are added behind.
        there = theirs[..., : ours.shape[3]]
        assert np.array_equal(ours, there) and not theirs[..., ours.shape[3] :].any(), name


@pytest.mark.parametrize(
    "name, data, said",
    [
        ("clip.mp4", b"", "clip.mp4: drop a .csv, .json or .npy file"),
        ("clip.npy", b"not numpy", "clip.npy: is no .npy file"),
        ("clip.json", b'{"frames": [[[1, 2, 3]]]}', "clip.json: frame 0: expected 5 joints of 3"),
        ("clip.csv", b"a,b\n1,2\n", "clip.csv: expected the columns x0, y0, ... to z4"),
    ],
)
def test_a_file_that_is_no_clip_is_refused_with_the_fix(name, data, said, tmp_path):
    job = {"job": "read", "name": name, "data": base64.b64encode(data).decode(), "wanted": WANTED}
    (told,) = demo_node.run(tmp_path, job)
    assert isinstance(told, str) and told.startswith(said)
