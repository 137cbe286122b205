"""Missing joints: filled in time, then along the skeleton, the same in training and in serving."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest

from compress.data import clips, own, pyskl
from compress.training.model import Model
from export.deployed.record import Recorded
from export.preprocess.repair import repair_frames, repair_joints
from export.serving import recording
from teachers.storage import typed_json

# A chain 1 - 2 - 3 - 4, and 5 that no bone leads to.
BONES = ((2, 1), (3, 2), (4, 3))
V = 5


def walking(frames: int = 6, persons: int = 1) -> np.ndarray:
    """(3, T, 5, M): every joint moves on a straight line of its own, far from the origin."""
    start = np.arange(3 * V * persons, dtype=np.float32).reshape(3, 1, V, persons) + 100
    return start + np.arange(frames, dtype=np.float32)[None, :, None, None]


def test_a_clip_that_misses_nothing_is_returned_as_it_is():
    clip = walking()
    assert repair_joints(clip, BONES).clip is clip


@pytest.mark.parametrize("hole", [np.nan, np.inf, 0])
def test_a_missing_joint_is_interpolated_and_the_others_stay(hole):
    clip = walking()
    broken = clip.copy()
    broken[:, 2:4, 1] = hole
    repaired = repair_joints(broken, BONES)
    # On straight lines, what is interpolated is what was there.
    np.testing.assert_allclose(repaired.clip, clip, rtol=1e-6)
    assert (repaired.joints, repaired.frames, repaired.unseen) == (2, 2, ())
    assert not np.isfinite(broken).all() or hole == 0  # the argument is not changed


def test_one_number_that_is_missing_makes_the_joint_missing():
    broken = walking()
    broken[1, 3, 2] = np.nan
    np.testing.assert_allclose(repair_joints(broken, BONES).clip, walking(), rtol=1e-6)


def test_the_ends_take_the_nearest():
    broken = walking()
    broken[:, :2, 1] = np.nan
    broken[:, 5, 1] = np.nan
    clip = repair_joints(broken, BONES).clip
    np.testing.assert_array_equal(clip[:, :, 1], walking()[:, [2, 2, 2, 3, 4, 4], 1])


def test_a_joint_that_is_never_seen_takes_the_place_of_its_neighbour():
    broken = walking()
    broken[:, :, 2:] = np.nan
    repaired = repair_joints(broken, BONES)
    # 3 and 4 lie where 2 is, the nearest that is seen; nothing leads to 5.
    for joint in (2, 3):
        np.testing.assert_array_equal(repaired.clip[:, :, joint], walking()[:, :, 1])
    assert not repaired.clip[:, :, 4].any()
    assert (repaired.unseen, repaired.joints, repaired.frames) == ((3, 4, 5), 18, 6)


def test_of_equally_near_neighbours_the_first_whatever_the_order_of_bones():
    broken = walking()
    broken[:, :, 1] = np.nan
    for bones in (((2, 1), (3, 2)), ((3, 2), (2, 1)), ((2, 3), (1, 2))):
        clip = repair_joints(broken, bones).clip
        np.testing.assert_array_equal(clip[:, :, 1], walking()[:, :, 0])


def test_frames_with_nobody_stay_empty_and_persons_are_told_apart():
    clip = walking(persons=3)
    clip[:, 2:4, :, 0] = 0
    clip[..., 1] = 0
    clip[..., 2] = np.nan
    clip[:, 4, 0, 0] = np.nan
    repaired = repair_joints(clip, BONES).clip
    assert not repaired[:, 2:4, :, 0].any() and not repaired[..., 1:].any()
    expected = walking(persons=3)[:, :, 0, 0]
    np.testing.assert_allclose(
        repaired[:, [0, 1, 4, 5], 0, 0], expected[:, [0, 1, 4, 5]], rtol=1e-6
    )


def test_the_root_of_centred_clips_is_no_hole():
    clip = walking() - 103
    clip[:, :, 0] = 0
    clip[:, 0, 1] = -1
    clip[:, 0, 2] = 1
    assert repair_joints(clip, BONES).clip is clip


def test_frames_without_the_person_are_no_place_to_interpolate_from():
    # Around the origin, where zero is a place.
    clip = walking(frames=5) - 103
    clip[:, 0, 1] = -1
    clip[:, 0, 2] = 1
    clip[:, 2] = 0
    clip[:, 3, 4] = np.nan
    joint = repair_joints(clip, BONES).clip[:, :, 4, 0]
    np.testing.assert_allclose(joint[:, 3], (joint[:, 1] + 2 * joint[:, 4]) / 3, rtol=1e-5)


def test_scores_are_no_coordinates():
    points = walking(persons=1)[:2]
    scores = np.full((1, 6, V, 1), 0.9, np.float32)
    broken = np.concatenate([points, scores])
    broken[:2, 3, 1] = 0
    broken[2, 3, 1] = 0.1
    broken[2, 4, 2] = np.nan
    repaired = repair_joints(broken, BONES, coordinates=2)
    np.testing.assert_allclose(repaired.clip[:2], points, rtol=1e-6)
    # The network is told that it is a guess.
    assert repaired.clip[2, 3, 1, 0] == np.float32(0.1) and repaired.clip[2, 4, 2, 0] == 0
    assert repaired.joints == 2


class _View:
    eval_ops = ()
    clips = 1


def described(dataset) -> dict:
    """What `deployed.json` says of recordings, read as a program reads it."""
    about = Model(None, _View()).about(dataset)["recorded"]
    recorded = typed_json.decode(Recorded, json.loads(json.dumps(about)), "recorded")

    class Description:
        recording = recorded

    return recording(Description())


def test_training_and_serving_mend_alike(tmp_path):
    (tmp_path / "dataset.yaml").write_text(
        "joints: 5\nedges: [[2, 1], [3, 2], [4, 3]]\nsplit: {fraction: 0.5, seed: 1}\n"
    )
    rng = np.random.default_rng(0)
    lines = ["file,label"]
    for index in range(4):
        clip = rng.normal(size=(7, V, 3)).astype(np.float32) + 50
        clip[rng.random((7, V)) < 0.3] = np.nan
        clip[:, 3] = 0
        np.save(tmp_path / f"c{index}.npy", clip)
        lines.append(f"c{index}.npy,{'ab'[index % 2]}")
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    dataset = own.load(own.Config(str(tmp_path)), seed=1)
    recorded = described(dataset)
    for split in (dataset.train, dataset.val):
        for name, trained in zip(split.names, split.clips, strict=True):
            ((_, served),) = clips.read_clip(tmp_path / name, recorded)
            np.testing.assert_array_equal(served, trained)
            # The same recording as any .npy is.
            array = np.load(tmp_path / name).transpose(2, 0, 1)[..., None]
            np.save(tmp_path / "other.npy", array)
            ((_, served),) = clips.read_clip(tmp_path / "other.npy", recorded)
            np.testing.assert_array_equal(served, trained)


def test_annotations_are_mended_by_frames_unless_the_recipe_says_joints(tmp_path):
    keypoint = np.random.default_rng(0).normal(size=(1, 6, 25, 3)).astype(np.float32) + 9
    keypoint[0, 2, 4] = np.nan
    entries = [
        {"frame_dir": name, "label": index % 2, "total_frames": 6, "keypoint": keypoint}
        for index, name in enumerate("abcd")
    ]
    content = {"split": {"train": ["a", "b"], "val": ["c", "d"]}, "annotations": entries}
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(content))
    whole = pyskl.load(pyskl.Config(str(tmp_path / "x.pkl"), persons=1), seed=1)
    joints = pyskl.load(pyskl.Config(str(tmp_path / "x.pkl"), persons=1, repair="joints"), seed=1)
    np.testing.assert_array_equal(whole.train.clips[0][:, 2], whole.train.clips[0][:, 1])
    expected = keypoint[0].transpose(2, 0, 1)
    expected[:, 2, 4] = expected[:, [1, 3], 4].mean(axis=1)
    np.testing.assert_allclose(joints.train.clips[0][..., 0], expected, rtol=1e-6)
    assert (whole.repair_bones, described(whole)["repair_bones"]) == (None, None)
    assert len(described(joints)["repair_bones"]) == 24


def test_frames_are_mended_by_the_nearest_good_one_however_many_there_are():
    clip = np.arange(1, 9, dtype=np.float32).reshape(1, 8, 1, 1)
    clip[:, [0, 2, 4, 5, 7]] = np.nan
    mended, count = repair_frames(clip)
    # Of two as near the earlier; padding only where there is nothing else.
    assert count == 5 and mended.ravel().tolist() == [2, 2, 2, 4, 4, 7, 7, 7]
    padded = np.array([np.nan, 0, 0, 3], np.float32).reshape(1, 4, 1, 1)
    assert repair_frames(padded)[0].ravel().tolist() == [3, 0, 0, 3]
    # A table of all pairs would have 1.6e9 entries.
    long = np.ones((1, 80_000, 1, 1), np.float32)
    long[:, ::2] = np.nan
    assert np.isfinite(repair_frames(long)[0]).all()
