"""Normalisation: where the body stands and looks, whose frames are kept, and what a missing person
or joint becomes."""

from __future__ import annotations

import numpy as np
import pytest

from export.preprocess import normalise
from export.preprocess.normalise import (
    align,
    frame_of,
    normalise_2d,
    normalise_3d,
    onto,
    view_transform,
)
from teachers.errors import RecipeError
from teachers.skeleton import COCO_17, NTU_25, NTU_25_PYSKL, UCLA_20

NTU = {"centre": 1, "spine": (0, 1), "shoulders": (8, 4)}


def people(frames: int = 6, persons: int = 2, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(3, frames, 25, persons)).astype(np.float32)


def test_first_frame_stands_on_z_and_faces_along_y():
    clip = normalise_3d(people(), **NTU)
    spine, left, right = (clip[:, 0, joint, 0] for joint in (1, 4, 8))
    assert not spine.any()
    across = right - left
    assert across[0] > 0 and np.abs(across[1:]).max() < 1e-5  # exactly along x: it is turned last
    turned = align(people() - people()[:, :1, 1:2, :1], NTU["spine"], None)[:, 0, :, 0]
    assert (
        np.abs((turned[:, 1] - turned[:, 0])[:2]).max() < 1e-6
        and (turned[:, 1] - turned[:, 0])[2] > 0
    )


def test_turning_keeps_every_distance():
    clip = people()
    for found in (normalise_3d(clip, **NTU), view_transform(clip, **NTU)):
        for pair in ((3, 20), (7, 24)):
            expected = np.linalg.norm(clip[:, :, pair[0]] - clip[:, :, pair[1]], axis=0)
            np.testing.assert_allclose(
                np.linalg.norm(found[:, :, pair[0]] - found[:, :, pair[1]], axis=0),
                expected,
                rtol=1e-5,
            )


def test_a_clip_seen_from_elsewhere_is_normalised_alike():
    clip = people(persons=1)
    turned = np.einsum(
        "dc,ctvm->dtvm", np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]], np.float32), clip
    ) + np.float32(2)
    spine_only = {"centre": 1, "spine": (0, 1)}
    first, second = (normalise_3d(one, **spine_only) for one in (clip, turned))
    np.testing.assert_allclose(first[2], second[2], atol=1e-5)  # height along the spine
    np.testing.assert_allclose(
        np.linalg.norm(first[:2], axis=0), np.linalg.norm(second[:2], axis=0), atol=1e-5
    )


def test_whoever_is_there_longest_comes_first_and_decides_the_frames():
    clip = people()
    clip[:, 3:, :, 0] = 0
    clip[:, 0, :, 1] = 0
    found = normalise_3d(clip, centre=1)
    assert found.shape == (3, 5, 25, 2)
    np.testing.assert_allclose(found[..., 0], clip[:, 1:, :, 1] - clip[:, 1:2, 1:2, 1], atol=1e-6)
    assert not found[:, 2:, :, 1].any() and found[:, :2, :, 1].all()
    even = people()
    np.testing.assert_array_equal(
        normalise_3d(even, centre=1)[..., 1], even[..., 1] - even[:, :1, 1:2, 0]
    )


def test_missing_joints_and_persons_stay_zero():
    clip = people()
    clip[:, 2, 7, 0] = 0
    clip[..., 1] = 0
    for found in (normalise_3d(clip, **NTU), view_transform(clip, **NTU)):
        assert not found[:, 2, 7, 0].any() and not found[..., 1].any()
        assert found[:, 3, 7, 0].any()


def test_view_transform_repeats_each_person_and_centres_every_frame():
    clip = people(7)
    clip[:, 3:, :, 0] = 0  # three frames, then padding
    clip[:, [0, 2, 5, 6], :, 1] = (
        0  # misses the start: starts with the first frame, without the gap
    )
    found = view_transform(clip, centre=1)
    centre = clip[:, [0, 1, 2, 0, 1, 2, 0], 1:2, :1]
    np.testing.assert_allclose(
        found[..., :1], clip[:, [0, 1, 2, 0, 1, 2, 0], :, :1] - centre, atol=1e-6
    )
    np.testing.assert_allclose(
        found[..., 1:], clip[:, [1, 3, 4, 1, 3, 4, 1], :, 1:] - centre, atol=1e-6
    )
    gap = people(5, persons=1)
    gap[:, [1, 4]] = 0  # there at the start: the gap stays, the end is repeated over
    np.testing.assert_array_equal(
        (view_transform(gap, centre=1) != 0).any(axis=(0, 2, 3)), [True, False, True, True, True]
    )


@pytest.mark.parametrize("vector", [(0, 0, 0), (0, 0, -2)])
def test_there_is_no_turn_from_nothing_or_from_the_opposite(vector):
    np.testing.assert_array_equal(onto(np.array(vector, float), np.array([0, 0, 1.0])), np.eye(3))


def test_onto_is_a_rotation_that_reaches_the_axis():
    matrix = onto(np.array([1.0, 2, 2]), np.array([1.0, 0, 0]))
    np.testing.assert_allclose(matrix @ [1, 2, 2], [3, 0, 0], atol=1e-12)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-12)
    assert abs(np.linalg.det(matrix) - 1) < 1e-12


def test_pixels_go_to_one_for_the_image_or_for_the_clips_own_extent():
    clip = np.zeros((2, 2, 2, 2), np.float32)
    clip[0, :, :, 0], clip[1, :, :, 0] = [[0, 960], [1920, 480]], [[540, 0], [1080, 270]]
    found = normalise_2d(clip, (1920, 1080))
    assert found[0, :, :, 0].tolist() == [[-1, 0], [1, -0.5]] and found[1, :, :, 0].tolist() == [
        [0, -1],
        [1, -0.5],
    ]
    assert not found[..., 1].any()  # nobody there
    own = normalise_2d(clip)
    assert (
        own[0, :, :, 0].tolist() == [[-1, 0], [1, -0.5]]
        and own[1].max() == np.float32(540 / 960) == -own[1].min()
    )
    score = np.full((1, 2, 2, 2), 0.5, np.float32)
    assert (normalise_2d(np.concatenate([clip, score]))[2] == 0.5).all()
    score[0, 0, 0, 0] = 0.01  # PYSKL's threshold
    # without an image: by the extent of what is seen, x from 480 to 1920
    for image, box in (
        ((1920, 1080), [[0, 0], [1, -0.5]]),
        (None, [[0, np.float32(-1 / 3)], [1, -1]]),
    ):
        seen = normalise_2d(np.concatenate([clip, score]), image, threshold=0.01)
        assert (
            seen[0, :, :, 0].tolist() == box
            and seen[1, 0, 0, 0] == 0
            and seen[2, 0, 0, 0] == np.float32(0.01)
        )
    nobody = normalise_2d(np.concatenate([clip, np.zeros_like(score)]), threshold=0.01)
    assert not nobody.any()


def test_ntu_joints_are_known_and_others_are_asked_for():
    for skeleton in (NTU_25, NTU_25_PYSKL):
        assert frame_of(skeleton, None, None) == {"centre": 1, "spine": [0, 1], "shoulders": [8, 4]}
    assert frame_of(UCLA_20, None, None) == {"centre": 2}
    assert frame_of(UCLA_20, (1, 2), (9, 5)) == {"centre": 2, "spine": [0, 1], "shoulders": [8, 4]}
    with pytest.raises(
        RecipeError,
        match=r"input.spine: \[1, 18\] are not two joints of 'coco_17'; they count from 1 to 17",
    ):
        frame_of(COCO_17, (1, 18), None)


def test_normalising_leaves_the_clip_it_was_given_alone():
    clip = people()
    before = clip.copy()
    normalise_3d(clip, **NTU), normalise_2d(clip), view_transform(clip, **NTU)
    np.testing.assert_array_equal(clip, before)
    assert normalise.is_ntu(NTU_25) and not normalise.is_ntu(UCLA_20)
