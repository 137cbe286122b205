"""Streams and branches: exact values, what happens at padding and gaps, parity with the published
network input."""

from __future__ import annotations

import json

import numpy as np
import pytest

from export.preprocess import ops, streams
from teachers.errors import DataError
from teachers.skeleton import COCO_17, NTU_25, NTU_25_PYSKL

CHAIN = [[2, 1], [3, 2]]


def line(*frames: tuple[float, ...]) -> np.ndarray:
    """A clip (1, T, V, 1) of one coordinate: a tuple of joints for each frame."""
    return np.array(frames, np.float32)[None, :, :, None]


def values(clip: np.ndarray, channel: int = 0) -> list[list[float]]:
    return clip[channel, :, :, 0].tolist()


def test_a_bone_is_the_joint_less_its_parent_and_the_root_has_none():
    assert values(streams.stream(line((1, 3, 7), (2, 2, 0)), "bone", CHAIN)) == [
        [0, 2, 4],
        [0, 0, -2],
    ]


def test_motion_is_the_next_frame_less_this_one_and_ends_with_zero():
    assert values(streams.stream(line((1, 1), (2, 4), (5, 4)), "joint_motion")) == [
        [1, 3],
        [3, 0],
        [0, 0],
    ]
    assert values(streams.stream(line((1, 3), (1, 6), (2, 6)), "bone_motion", [[2, 1]])) == [
        [0, 3],
        [0, -1],
        [0, 0],
    ]
    assert not streams.stream(line((1, 3)), "joint_motion").any()  # one frame


@pytest.mark.parametrize("kind, jump", [("joint_motion", [-2, -4]), ("bone_motion", [0, -2])])
def test_motion_into_padding_and_out_of_a_gap_counts_only_where_clips_have_none(kind, jump):
    clip = line((1, 2), (0, 0), (1, 1), (2, 4), (0, 0), (0, 0))
    plain, still = (streams.stream(clip, kind, [[2, 1]], absent=absent) for absent in (False, True))
    assert values(plain)[3] == jump
    assert [any(frame) for frame in values(still)] == [False, False, True, False, False, False]
    np.testing.assert_array_equal(still[:, 2], plain[:, 2])


def test_one_persons_absence_does_not_stop_the_other():
    clip = np.ones((3, 4, 2, 2), np.float32) * np.arange(1, 5, dtype=np.float32).reshape(1, 4, 1, 1)
    clip[:, 2:, :, 1] = 0
    found = streams.stream(clip, "joint_motion", absent=True)
    assert found[0, :, 0, 0].tolist() == [1, 1, 1, 0] and found[0, :, 0, 1].tolist() == [1, 0, 0, 0]


def test_half_precision_is_widened_before_the_difference():
    clip = np.array([2.001, 2.0029], np.float16).reshape(1, 2, 1, 1)
    assert streams.stream(clip, "joint_motion")[0, 0, 0, 0] == np.float32(
        clip[0, 1, 0, 0]
    ) - np.float32(clip[0, 0, 0, 0])
    assert streams.stream(clip, "joint").dtype == np.float32


def test_confidence_is_averaged_not_subtracted():
    clip = np.stack([line((1, 4), (3, 4))[0], line((1, 4), (3, 4))[0], line((0.5, 1), (1, 0))[0]])
    assert values(streams.stream(clip, "bone", [[2, 1]], score=True), 2) == [[0.5, 0.75], [1, 0.5]]
    assert values(streams.stream(clip, "joint_motion", score=True), 2) == [[0.75, 0.5], [0, 0]]
    assert values(streams.stream(clip, "joint_motion", score=True)) == [[2, 0], [0, 0]]


def test_a_stream_is_a_step_that_survives_json():
    clip = np.random.default_rng(0).normal(size=(3, 9, 25, 2)).astype(np.float32)
    assert streams.steps("joint", NTU_25) == ()
    for kind in ("bone", "joint_motion", "bone_motion"):
        steps = json.loads(json.dumps(streams.steps(kind, NTU_25)))
        np.testing.assert_array_equal(
            ops.apply(clip, steps), streams.stream(clip, kind, NTU_25.bones)
        )
    with pytest.raises(DataError, match="unknown stream 'bones'"):
        ops.apply(clip, [{"op": "stream", "kind": "bones"}])


def test_bones_are_the_streams_own_where_the_graph_has_others():
    assert streams.steps("bone", NTU_25_PYSKL) == streams.steps("bone", NTU_25)
    assert [12, 1] in streams.steps("bone", COCO_17)[0]["bones"] and [12, 6] not in streams.steps(
        "bone", COCO_17
    )[0]["bones"]


def test_a_joint_that_does_not_exist_is_an_error():
    with pytest.raises(DataError, match="does not fit a clip of shape"):
        ops.apply(np.ones((3, 4, 5, 1)), streams.steps("bone", NTU_25))


def test_branches_by_hand():
    clip = np.zeros((3, 5, 2, 1), np.float32)
    clip[0, :3, 0, 0], clip[0, :3, 1, 0] = (
        (1, 2, 4),
        (4, 4, 4),
    )  # two valid joints on the x axis, then padding
    found = streams.branches(clip, centre=1, bones=[[1, 2]])
    assert found.shape == (18, 5, 2, 1) and found.dtype == np.float32
    joint, velocity, bone = np.split(found[..., 0], 3)
    assert (
        joint[0, :, 0].tolist() == [1, 2, 4, 0, 0]
        and joint[3, :, 0].tolist() == [-3, -2, 0, 0, 0]
        and not joint[3, :, 1].any()
    )
    assert velocity[0, :, 0].tolist() == [1, 2, -4, 0, 0] and velocity[3, :, 0].tolist() == [
        3,
        -2,
        -4,
        0,
        0,
    ]  # the published spike
    assert bone[0, :, 0].tolist() == [-3, -2, 0, 0, 0] and not bone[0, :, 1].any()
    assert abs(bone[3, 0, 0] - np.pi) < 0.01  # against the x axis, blurred by the published 1e-4
    np.testing.assert_allclose(bone[4, :, 0], np.pi / 2)
    np.testing.assert_allclose(bone[3:, 3:], np.pi / 2)  # padding too
