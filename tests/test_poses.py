"""Files of pose estimators: each form is recognised by its content and gives the persons that were
written; scores, tracks and missing joints are the same rule for all."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from benchmarks import fuzz_poses
from compress.data import clip_list, clips, own
from compress.data.own.dataset_yaml import Description
from compress.data.poses import scores, table, tracks
from compress.data.poses.contract import Wanted
from compress.data.poses.frame_numbers import ORDERED, numbered
from teachers.errors import DataError, RecipeError
from teachers.skeleton import JOINT_NAMES, OPENPOSE_25

V = 17
# (M, T, V, 2), whole pixels, so that float32 and JSON say the same; nobody at (0, 0).
PIXELS = np.random.default_rng(0).integers(1, 900, (2, 3, V, 2)).astype(np.float32)
# (M, T, V), the first person the surer one.
SCORES = np.stack([np.full((3, V), 0.75), np.full((3, V), 0.25)]).astype(np.float32)
WANTED = Wanted(V, 2, persons=2)
KEPT = Wanted(V, 2, persons=2, score_columns=True, keep_score=True)
EXPECTED = np.concatenate([PIXELS, SCORES[..., None]], axis=3)


def flat(m, t):
    return EXPECTED[m, t].ravel().tolist()


def people(t, tracked):
    return [
        {"person_id": [m if tracked else -1], "pose_keypoints_2d": flat(m, t)} for m in range(2)
    ]


def openpose_frames(tracked=True):
    return {"frames": [{"people": people(t, tracked)} for t in range(3)]}


def alphapose(tracked=True):
    track = {"idx": 0} if tracked else {}
    return [
        # Not in the order of time, and numbers that are no texts in order.
        {"image_id": f"{9 + t}.jpg", "category_id": 1, "keypoints": flat(m, t)}
        | {"score": 3 - m}
        | {key: value + m for key, value in track.items()}
        for t in (2, 0, 1)
        for m in range(2)
    ]


def alphapose_cmu():
    return {
        f"v_{t}.jpg": {"version": 0.3, "bodies": [{"joints": flat(m, t)} for m in range(2)]}
        for t in range(3)
    }


def coco():
    return [
        {"image_id": 139 + t, "category_id": 1, "keypoints": flat(m, t), "score": 0.9 - m / 2}
        for t in range(3)
        for m in range(2)
    ]


def kinetics():
    return {
        "data": [
            {
                "frame_index": t + 1,
                "skeleton": [
                    {"pose": PIXELS[m, t].ravel().tolist(), "score": SCORES[m, t].tolist()}
                    for m in range(2)
                ],
            }
            for t in range(3)
        ],
        "label": "riding a bike",
        "label_index": 2,
    }


def instances(t):
    return [
        {"keypoints": PIXELS[m, t].tolist(), "keypoint_scores": SCORES[m, t].tolist()}
        | {"bbox_score": 0.9 - m / 2}
        for m in range(2)
    ]


def mmpose_demo():
    return {
        "meta_info": {"dataset_name": "coco"},
        "instance_info": [{"frame_id": t + 1, "instances": instances(t)} for t in range(3)],
    }


def mmpose_video():
    return [{"frame_id": t, "instances": instances(t)} for t in range(3)]


def yolo():
    return [
        [
            {
                "name": "person",
                "confidence": 0.9 - m / 2,
                "track_id": 4 - m,
                "keypoints": {
                    "x": PIXELS[m, t, :, 0].tolist(),
                    "y": PIXELS[m, t, :, 1].tolist(),
                    "visible": SCORES[m, t].tolist(),
                },
            }
            for m in range(2)
        ]
        for t in range(3)
    ]


def mediapipe_of_several():
    return {
        "frames": [
            {
                "pose_landmarks": [
                    [
                        {"x": float(x), "y": float(y), "z": 0.5, "visibility": float(score)}
                        for x, y, score in EXPECTED[m, t]
                    ]
                    for m in range(2)
                ]
            }
            for t in range(3)
        ]
    }


FORMS = {
    "openpose_frames": (openpose_frames, None),
    "alphapose": (alphapose, "coco_17"),
    "alphapose_cmu": (alphapose_cmu, None),
    "coco": (coco, "coco_17"),
    "kinetics": (kinetics, None),
    "mmpose_demo": (mmpose_demo, "coco_17"),
    "mmpose_video": (mmpose_video, "coco_17"),
    "yolo": (yolo, "coco_17"),
    "mediapipe_of_several": (mediapipe_of_several, None),
}


def read(content, wanted=WANTED):
    data = json.dumps(content).encode()
    return scores.fitted(table.parse_json(data, "x.json", wanted), wanted, "x.json")


@pytest.mark.parametrize("name", FORMS)
def test_each_form_gives_who_was_written_with_the_score_behind(name):
    write, skeleton = FORMS[name]
    poses = read(write(), KEPT)
    np.testing.assert_array_equal(poses.values, EXPECTED)
    assert (poses.skeleton, poses.left_out) == (skeleton, 0)
    without = read(write())
    np.testing.assert_array_equal(without.values, PIXELS)
    assert scores.DROPPED in without.notes


@pytest.mark.parametrize("name", FORMS)
def test_no_form_is_taken_for_another(name):
    content = json.loads(json.dumps(FORMS[name][0]()))
    takers = [kind for kind in table.FORMATS if kind.frames(content) is not None]
    assert len(takers) == 1


@pytest.mark.parametrize(
    "joints, write, skeleton",
    [
        (25, lambda points: {"people": [{"pose_keypoints_2d": points}]}, "openpose_25"),
        (18, lambda points: {"people": [{"pose_keypoints_2d": points}]}, "openpose_18"),
        (26, lambda points: [{"image_id": "0.jpg", "keypoints": points}], "halpe_26"),
        (133, lambda points: [{"image_id": 1, "keypoints": points}], "coco_wholebody_133"),
    ],
)
def test_format_and_number_together_say_the_skeleton(joints, write, skeleton):
    points = [float(number + 1) for number in range(3 * joints)]
    assert read(write(points), Wanted(joints, 2)).skeleton == skeleton


def test_a_folder_of_frames_is_one_clip_to_predict_and_one_of_clips_is_many(tmp_path):
    place = tmp_path / "all"
    for name in ("walk", "sit"):
        (place / name).mkdir(parents=True)
        for number, frame in enumerate(openpose_frames()["frames"]):
            (place / name / f"{name}_{number:03d}_keypoints.json").write_text(json.dumps(frame))
    (place / "coco.json").write_text(json.dumps(coco()))
    own_clips = tmp_path / "own"
    own_clips.mkdir()
    (own_clips / "a.json").write_text(json.dumps({"frames": [[[1, 2]] * V]}))
    assert clip_list.files_of([place / "sit"]) == [place / "sit"]
    assert clip_list.files_of([place]) == [place / "coco.json", place / "sit", place / "walk"]
    assert clip_list.files_of([own_clips]) == [own_clips / "a.json"]
    recorded = {"channels": 2, "joints": V, "persons": 2}
    for clip in clip_list.read(clip_list.files_of([place]), recorded):
        np.testing.assert_array_equal(clip.raw, PIXELS.transpose(3, 1, 2, 0))
        # What was taken for granted is told, for predict to say it.
        assert scores.DROPPED in clip.notes


def test_a_file_of_other_joints_than_described_is_said_and_the_description_used():
    kinect = ((2, 1), *((joint, joint - 1) for joint in range(3, 26)))
    content = {"people": [{"pose_keypoints_2d": [1.0] * 75}]}
    poses = read(content, Wanted(25, 2, edges=kinect))
    assert "joints are openpose_25, while dataset.yaml describes other edges" in poses.notes[0]
    right = read(content, Wanted(25, 2, edges=OPENPOSE_25.bones))
    assert right.notes == (scores.DROPPED,)
    with pytest.raises(
        DataError, match=r"has 25 joints \(openpose_25\), expected 17.*`skeleton: o"
    ):
        read(content, Wanted(17, 2))


def test_tracks_say_who_is_who_and_without_them_the_surest_come_first():
    crossed = alphapose()
    for entry in crossed:
        # The second person becomes the surer one, in one frame.
        if entry["image_id"] == "10.jpg":
            entry["score"] = 3 if entry["idx"] else 1
    np.testing.assert_array_equal(read(crossed).values, PIXELS)
    assert tracks.UNTRACKED not in read(crossed).notes
    for entry in crossed:
        del entry["idx"]
    poses = read(crossed)
    np.testing.assert_array_equal(poses.values[:, 1], PIXELS[::-1, 1])
    np.testing.assert_array_equal(poses.values[:, [0, 2]], PIXELS[:, [0, 2]])
    assert tracks.UNTRACKED in poses.notes
    # No more than are wanted: a third of the crowd is nobody's second half.
    assert read(openpose_frames(tracked=False), Wanted(V, 2)).values.shape == (1, 3, V, 2)


def test_a_track_that_is_there_twice_keeps_the_surer_one():
    content = openpose_frames()
    twice = {"person_id": [0], "pose_keypoints_2d": [5.0, 5.0, 0.01] * V}
    content["frames"][1]["people"].append(twice)
    poses = read(content)
    np.testing.assert_array_equal(poses.values, PIXELS)
    assert tracks.REPEATED in poses.notes


@pytest.mark.parametrize("everybody", [0, [0.0]])
def test_one_track_id_for_everybody_is_none(everybody):
    content = alphapose()
    for entry in content:
        entry["idx"] = everybody
    poses = read(content)
    np.testing.assert_array_equal(poses.values, PIXELS)
    assert tracks.UNTRACKED in poses.notes and tracks.REPEATED not in poses.notes
    first_frame = [entry for entry in content if entry["image_id"] == "9.jpg"]
    found = table.one_frame(first_frame, WANTED, "x")
    assert [person.track for person in found] == [None, None]
    # Of one person it is an id as any other.
    alone = [entry for entry in content if entry["score"] == content[0]["score"]]
    assert tracks.UNTRACKED not in read(alone).notes


def test_frames_that_nobody_is_in_are_zeros_and_missing_numbers_are_counted():
    content = alphapose()
    content = [entry for entry in content if entry["image_id"] != "10.jpg"]
    poses = read(content)
    assert poses.values.shape[1] == 2 and poses.left_out == 1
    frames = openpose_frames()
    frames["frames"][1]["people"] = []
    assert not read(frames).values[:, 1].any()


def test_joints_that_were_not_seen_are_missing_unless_scores_are_a_channel():
    content = openpose_frames()
    content["frames"][0]["people"][0]["pose_keypoints_2d"][:3] = [0, 0, 0]
    values = read(content).values
    assert np.isnan(values[0, 0, 0]).all() and np.isfinite(values[0, 0, 1:]).all()
    assert not read(content, KEPT).values[0, 0, 0].any()


def test_a_lowest_score_makes_joints_missing_and_needs_scores():
    wanted = Wanted(V, 2, persons=2, score_columns=True, min_score=0.5)
    values = read(kinetics(), wanted).values
    assert values.shape[3] == 2
    # Of the second person nothing is ever to be trusted: nobody is there.
    assert not values[1].any() and np.isfinite(values[0]).all()
    sure = kinetics()
    sure["data"][1]["skeleton"][1]["score"][:9] = [0.5] * 9
    values = read(sure, wanted).values[1]
    assert np.isfinite(values[1, :9]).all()
    assert np.isnan(values[1, 9:]).all() and np.isnan(values[[0, 2]]).all()
    kept = Wanted(V, 2, persons=2, score_columns=True, keep_score=True, min_score=0.5)
    np.testing.assert_array_equal(read(kinetics(), kept).values[..., 2], SCORES)
    plain = yolo()
    for result in plain[0] + plain[1] + plain[2]:
        del result["keypoints"]["visible"]
    np.testing.assert_array_equal(read(plain).values, PIXELS)
    with pytest.raises(DataError, match="x.json: has no scores, and the description needs them"):
        read(plain, wanted)


def landmarks(values, **more):
    return [dict(zip("xyz", point, strict=True)) | more for point in values.tolist()]


def test_mediapipe_world_landmarks_are_for_space_and_those_of_the_image_for_the_plane():
    world, image = np.random.default_rng(1).normal(size=(2, 4, 33, 3)).astype(np.float32)
    frames = [
        {
            "pose_landmarks": landmarks(image[t], visibility=0.5),
            "pose_world_landmarks": landmarks(world[t], visibility=0.5),
        }
        for t in range(4)
    ]
    space, plane = Wanted(33, 3), Wanted(33, 2)
    np.testing.assert_array_equal(read({"frames": frames}, space).values[0], world)
    np.testing.assert_array_equal(read({"frames": frames}, plane).values[0], image[..., :2])
    assert read(frames, space).skeleton == "mediapipe_33"
    # A frame without the world's: metres and fractions would be one clip.
    del frames[2]["pose_world_landmarks"]
    poses = read(frames, space)
    np.testing.assert_array_equal(poses.values[0], image)
    assert "MediaPipe's landmarks of the image" in " ".join(poses.notes)
    # Lists as people dump them, protobuf's, and a frame that nobody is in.
    plain = [landmarks(world[0]), [], None, {"landmark": landmarks(world[3], presence=1)}]
    values = read(plain, space).values
    np.testing.assert_array_equal(values[0, [0, 3]], world[[0, 3]])
    assert not values[0, 1:3].any()


def test_a_folder_is_a_clip_in_the_order_of_its_numbers(tmp_path):
    for t in range(3):
        # 9, 10, 11: as texts they would be in another order.
        name = f"v_{9 + t}_keypoints.json"
        (tmp_path / name).write_text(json.dumps({"people": people(t, True)}))
    (tmp_path / ".DS_Store").write_bytes(b"x")
    assert table.is_clip_folder(tmp_path)
    np.testing.assert_array_equal(table.read(tmp_path, WANTED).values, PIXELS)
    (tmp_path / "v_12_keypoints.json").write_text(json.dumps(instances(0)))
    with pytest.raises(DataError, match="files of OpenPose .* and of mmpose"):
        table.read(tmp_path, WANTED)
    (tmp_path / "v_12_keypoints.json").write_text(json.dumps(openpose_frames()))
    with pytest.raises(DataError, match="v_12_keypoints.json: has 3 frames, but a folder"):
        table.read(tmp_path, WANTED)
    (tmp_path / "notes.txt").write_text("")
    assert not table.is_clip_folder(tmp_path)


def test_frames_of_names_without_numbers_are_in_their_order():
    assert numbered(["b.jpg", "a.jpg"]) == ({"b.jpg": 0, "a.jpg": 1}, None)
    # One number in two folders says no order.
    assert numbered(["a/3.jpg", "b/3.jpg"]) == ({"a/3.jpg": 0, "b/3.jpg": 1}, None)


@pytest.mark.parametrize(
    "form", ["v_{}_keypoints.json", "{}.jpg", "frame_{}_cam1.json", "s2.mp4_{}", "a/{}"]
)
def test_the_one_number_that_differs_is_the_frame(form):
    names = [form.format(number) for number in (10, 9, 12)]
    assert numbered(names) == (dict(zip(names, (10, 9, 12), strict=True)), None)
    assert numbered(["v_2_keypoints.json", 7])[0] == {"v_2_keypoints.json": 2, 7: 7}
    assert numbered(["cam1_12.jpg"])[0] == {"cam1_12.jpg": 12}


@pytest.mark.parametrize(
    "names",
    [
        ["t_0.50.json", "t_0.95.json", "t_1.00.json", "t_10.05.json"],
        ["8.0", "8.5", "9.0", "11.5"],
        ["cam1_f2_v1.json", "cam1_f10_v1.json", "cam2_f1_v1.json"],
    ],
)
def test_names_with_several_numbers_are_in_the_order_of_all_of_them(names):
    places = {name: place for place, name in enumerate(names)}
    assert numbered(sorted(names)) == (places, ORDERED)


def test_the_order_of_names_is_said(tmp_path):
    content = alphapose()
    for entry in content:
        entry["image_id"] = {"9": "8.5", "10": "9.0", "11": "11.5"}[entry["image_id"][:-4]]
    poses = read(content)
    np.testing.assert_array_equal(poses.values, PIXELS)
    assert ORDERED in poses.notes and poses.left_out == 0
    for t, seconds in enumerate(("8.5", "9.0", "11.5")):
        (tmp_path / f"{seconds}.json").write_text(json.dumps({"people": people(t, True)}))
    poses = table.read(tmp_path, WANTED)
    np.testing.assert_array_equal(poses.values, PIXELS)
    assert ORDERED in poses.notes


@pytest.mark.parametrize(
    "content, message",
    [
        ([1, 2], "is of no known format of poses with one frame or more; known: "),
        ([{"image_id": True, "keypoints": [1, 2, 3]}], "is of no known format of poses"),
        ([{"image_id": 1, "keypoints": [1, 2]}], r"frames\[0\]: expected keypoints: \[x, y, sc"),
        ({"people": [{}]}, r"frames\[0\]: expected pose_keypoints_2d"),
        ({"data": [{"skeleton": 3}]}, r'frames\[0\]: expected {"pose"'),
        (
            [{"image_id": 1, "keypoints": [1] * 51}, {"image_id": 2, "keypoints": [1] * 54}],
            "has persons of 17 joints of 2 numbers and of 18 joints of 2; a clip is of one",
        ),
        ({"people": [{"pose_keypoints_2d": ["1"] * 51}]}, r"frames\[0\]: expected pose_keypoints"),
        ([[{"x": 1, "y": True}]], r"frames\[0\]: expected a list of {x, y, z}"),
    ],
)
def test_what_is_no_clip_is_named_with_its_place(content, message):
    with pytest.raises(DataError, match=f"^x.json: {message}"):
        read(content)


def test_landmarks_nested_without_end_are_refused():
    with pytest.raises(DataError, match="is of no known format"):
        table.parse_json(b"[" * 900 + b"1" + b"]" * 900, "x.json", WANTED)


JUNK = [None, True, -1, 1e308, 10**400, "1", "x", [], {}, [[]], [{}], [1, 2], {"x": 1}]
SEEDS = [data for files in fuzz_poses.seeds(PIXELS[:, :, :3]).values() for data in files]


def places(content, place=()):
    """Where something stands in a parsed JSON text: the keys and indexes that lead there."""
    yield place
    entries = content.items() if isinstance(content, dict) else ()
    entries = enumerate(content) if isinstance(content, list) else entries
    for key, value in entries:
        yield from places(value, (*place, key))


def changed(content, place, junk):
    """The content with `junk` at a place, or without what is there if that is a key of itself."""
    if not place:
        return junk
    content = content.copy()
    if junk is JUNK:
        del content[place[0]]
    else:
        content[place[0]] = changed(content[place[0]], place[1:], junk)
    return content


@settings(deadline=None, database=None, derandomize=True, max_examples=150)
@given(
    st.sampled_from(SEEDS),
    st.lists(st.tuples(st.floats(0, 1), st.sampled_from([*JUNK, JUNK])), min_size=1, max_size=3),
    st.sampled_from([Wanted(3, 2, persons=2), Wanted(3, 3, score_columns=True, min_score=0.5)]),
)
def test_any_content_of_any_form_is_read_or_refused(data, changes, wanted):
    content = json.loads(data)
    for share, junk in changes:
        known = list(places(content))
        content = changed(content, known[int(share * (len(known) - 1))], junk)
    try:
        poses = read(content, wanted)
    except DataError as error:
        assert "x.json" in str(error)
        return
    channels = wanted.coordinates + wanted.keep_score
    assert poses.values.dtype == np.float32 and poses.values.shape[2:] == (3, channels)


def test_poses_in_the_plane_are_no_poses_in_space():
    with pytest.raises(DataError, match="has 2 coordinates, expected 3; write `coordinates: 2`"):
        read(coco(), Wanted(V, 3))


ARRAY = np.random.default_rng(2).uniform(1, 9, (5, 3, 3)).astype(np.float32)
SCORED = Wanted(3, 2, score_columns=True, keep_score=True)


@pytest.mark.parametrize(
    "members",
    [
        {"clip": ARRAY},
        {"keypoints": ARRAY[..., :2], "keypoint_scores": ARRAY[..., 2], "label": 3},
        {"data": ARRAY[..., :2].transpose(2, 0, 1)[..., None], "score": ARRAY[..., 2, None]},
        {"x": ARRAY.reshape(5, 9), "fps": np.array([30])},
    ],
)
def test_npz_of_one_array_or_of_points_and_scores(tmp_path, members):
    np.savez(tmp_path / "c.npz", **members)
    np.testing.assert_array_equal(table.read(tmp_path / "c.npz", SCORED).values[0], ARRAY)


@pytest.mark.parametrize("persons", [1, 2, 3])
def test_npz_of_pyskl_has_persons_before_frames(tmp_path, persons):
    wanted = Wanted(3, 2, score_columns=True, keep_score=True, persons=persons)
    points = np.random.default_rng(4).uniform(1, 9, (persons, 3, 3, 3)).astype(np.float32)
    np.savez(tmp_path / "c.npz", keypoint=points[..., :2], keypoint_score=points[..., 2])
    np.testing.assert_array_equal(table.read(tmp_path / "c.npz", wanted).values, points)
    np.savez(tmp_path / "c.npz", keypoint=points, label=1)
    np.testing.assert_array_equal(table.read(tmp_path / "c.npz", wanted).values, points)
    # Under another name it is as everywhere else.
    other = points.transpose(1, 0, 2, 3)
    np.savez(tmp_path / "c.npz", keypoints=other[..., :2], keypoint_scores=other[..., 2])
    if persons < 3:
        np.testing.assert_array_equal(table.read(tmp_path / "c.npz", wanted).values, points)


def test_npz_of_pyskl_whose_axes_cannot_be_its_own_is_read_otherwise_or_refused(tmp_path):
    points = np.random.default_rng(4).uniform(1, 9, (30, 2, 3, 2)).astype(np.float32)
    wanted = Wanted(3, 2, persons=2)
    np.savez(tmp_path / "c.npz", keypoint=points)
    # Nobody has thirty persons in two frames.
    np.testing.assert_array_equal(
        table.read(tmp_path / "c.npz", wanted).values, points.transpose(1, 0, 2, 3)
    )
    np.savez(tmp_path / "c.npz", keypoint=points[:9])
    with pytest.raises(
        DataError,
        match=r"c.npz: keypoint has shape \(9, 2, 3, 2\), which could be \(M, T, V, C\).*keypoints$",
    ):
        table.read(tmp_path / "c.npz", wanted)


def test_an_array_of_more_persons_than_there_can_be_is_no_clip(tmp_path):
    np.save(tmp_path / "c.npy", ARRAY[None].repeat(4, axis=1))
    with pytest.raises(
        DataError, match=r"at most 16 persons: transpose \(M, T, V, C\), PYSKL's order, or call it"
    ):
        table.read(tmp_path / "c.npy", SCORED)


def test_npz_of_several_arrays_is_a_question(tmp_path):
    np.savez(tmp_path / "c.npz", a=ARRAY, b=ARRAY)
    with pytest.raises(DataError, match=r"c.npz: holds a, b; expected one array of points"):
        table.read(tmp_path / "c.npz", SCORED)
    np.savez(tmp_path / "c.npz", a=ARRAY[..., :2], scores=ARRAY[:3, :, 2])
    with pytest.raises(
        DataError, match=r"points of shape \(5, 3, 2\) and scores of shape \(3, 3\)"
    ):
        table.read(tmp_path / "c.npz", SCORED)


def test_flat_arrays_are_joint_after_joint_and_person_after_person(tmp_path):
    np.save(tmp_path / "one.npy", ARRAY.reshape(5, 9))
    np.testing.assert_array_equal(
        table.read(tmp_path / "one.npy", Wanted(3, 3, persons=2)).values[0], ARRAY
    )
    two = np.stack([ARRAY, -ARRAY])
    np.save(tmp_path / "two.npy", two.transpose(1, 0, 2, 3).reshape(5, 18))
    np.testing.assert_array_equal(
        table.read(tmp_path / "two.npy", Wanted(3, 3, persons=2)).values, two
    )
    with pytest.raises(DataError, match=r"has shape \(5, 18\).*or flat, \(T, M \* V \* C\)"):
        table.read(tmp_path / "two.npy", Wanted(3, 3))


CSV = "Index,X0,Y0,conf0,x1,y1,conf1,TimeStamp\n0,1,2,0.9,3,4,0.1,12:00:01\n1,5,6,0.8,7,8,0.7,\n"


def test_columns_that_are_no_joints_are_passed_over_and_scores_recognised(tmp_path):
    path = tmp_path / "c.csv"
    path.write_text(CSV)
    points = [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]
    poses = table.read(path, Wanted(2, 2))
    np.testing.assert_array_equal(poses.values[0], points)
    assert poses.notes == (
        "clip with columns that are not read (Index, TimeStamp)",
        scores.DROPPED,
    )
    kept = table.read(path, Wanted(2, 2, score_columns=True, keep_score=True))
    np.testing.assert_allclose(kept.values[0, :, :, 2], [[0.9, 0.1], [0.8, 0.7]])
    low = table.read(path, Wanted(2, 2, min_score=0.5)).values
    assert np.isnan(low[0, 0, 1]).all() and np.isfinite(low[0, 1]).all()


def test_a_score_of_some_joints_is_passed_over_or_missed(tmp_path):
    path = tmp_path / "c.csv"
    path.write_text("track_id,frame_id,x_0,y_0,x_1,y_1,conf_0\n3,7,1,2,3,4,0.9\n")
    poses = table.read(path, Wanted(2, 2))
    np.testing.assert_array_equal(poses.values[0, 0], [[1, 2], [3, 4]])
    assert poses.notes == ("clip with columns that are not read (conf_0)",)
    with pytest.raises(DataError, match="line 1: .*visibility0 or score0, ... to the last joint"):
        table.read(path, Wanted(2, 2, score_columns=True))


def describe(**keys):
    return Description(**{"joints": 2, "edges": ((2, 1),), "coordinates": 2} | keys)


@pytest.mark.parametrize(
    "score, coordinates, channels, numbers, lowest",
    [
        (False, 2, 2, 2, None),
        (True, 2, 3, 3, None),
        (True, 3, 3, 4, None),
        ("keep", 2, 3, 3, None),
        ("drop", 3, 3, 4, None),
        ("repair", 3, 3, 4, 0.3),
    ],
)
def test_what_becomes_of_a_score(score, coordinates, channels, numbers, lowest):
    description = describe(score=score, coordinates=coordinates)
    wanted = description.wanted
    assert (description.channels, wanted.numbers, wanted.min_score) == (channels, numbers, lowest)
    assert describe(score=score, coordinates=coordinates, min_score=0.1).wanted.min_score == 0.1


def test_the_fingerprint_of_folders_of_before_is_the_same_and_new_keys_change_it():
    assert describe().settings() == repr(describe())
    assert describe(score=True).settings() == repr(describe()) + " score"
    variants = [describe(score=score).settings() for score in (False, True, "keep", "repair")]
    variants.append(describe(score="repair", min_score=0.5).settings())
    assert len(set(variants)) == 5


YAML = "skeleton: {}\npersons: 2\ncoordinates: 2\n{}"


def write_folder(root, yaml):
    (root / "dataset.yaml").write_text(yaml)
    (root / "labels.csv").write_text("file,label,split\nc0,a,train\nc1,b,val\nk.json,b,train\n")
    for name in ("c0", "c1"):
        (root / name).mkdir()
        for t in range(3):
            content = {"people": people(t, True)}
            (root / name / f"{name}_{t}_keypoints.json").write_text(json.dumps(content))
    (root / "k.json").write_text(json.dumps(coco()))
    return own.Config(str(root))


@pytest.mark.parametrize("score, channels", [("", 2), ("score: keep", 3), ("score: repair", 2)])
def test_own_folders_train_on_any_form_and_predict_reads_the_same(tmp_path, score, channels):
    dataset = own.load(write_folder(tmp_path, YAML.format("coco_17", score)), seed=1)
    assert dataset.skeleton.name == "coco_17"
    assert dataset.joint_names == JOINT_NAMES["coco_17"]
    assert [clip.shape for clip in dataset.train.clips] == [(channels, 3, V, 2)] * 2
    assert not any("without a line" in note for note in dataset.notes)
    recorded = {"channels": dataset.channels, "joints": V, "persons": 2}
    recorded |= {"coordinates": 2, "score": dataset.score_columns, "min_score": dataset.min_score}
    recorded |= {"repair_bones": dataset.repair_bones}
    for name, clip in zip(("c0", "k.json"), dataset.train.clips, strict=True):
        ((stem, fed),) = clips.read_clip(tmp_path / name, recorded)
        assert stem == name.removesuffix(".json")
        np.testing.assert_array_equal(fed, clip)


@pytest.mark.parametrize(
    "yaml, message",
    [
        (YAML.format("coco_71", ""), "skeleton: unknown skeleton 'coco_71' .*coco_17"),
        (YAML.format("coco_17", "joints: 17\n"), "skeleton: says joints, edges, centre and names"),
        ("joints: 17\ncoordinates: 2\n", "missing edges, or `skeleton: NAME` in place of them"),
        (YAML.format("coco_17", "score: keeps\n"), "score: expected one of False, True, keep, dr"),
        ("skeleton: ntu_25\nscore: keep\n", "score: keep needs `coordinates: 2`"),
        (YAML.format("coco_17", "min_score: 0\n"), "min_score: must be above 0"),
    ],
)
def test_a_description_that_says_two_things_is_refused(tmp_path, yaml, message):
    with pytest.raises((DataError, RecipeError), match=message):
        own.load(write_folder(tmp_path, yaml), seed=1)


def test_a_frame_that_leads_out_of_the_folder_is_refused(tmp_path):
    root = tmp_path / "set"
    root.mkdir()
    config = write_folder(root, YAML.format("coco_17", ""))
    (tmp_path / "out.json").write_text(json.dumps({"people": people(0, True)}))
    (root / "c0" / "c0_9_keypoints.json").symlink_to(tmp_path / "out.json")
    with pytest.raises(DataError, match="line 2: file 'c0' leads out of the folder"):
        own.load(config, seed=1)


def write_kinetics(root, **labels):
    """ST-GCN's folders of 18 joints, two clips each."""
    (root / "dataset.yaml").write_text("skeleton: openpose_18\ncoordinates: 2\nscore: keep\n")
    points = np.random.default_rng(3).uniform(0.1, 0.9, (2, 18, 2)).round(3)
    frames = [
        {"frame_index": t + 1, "skeleton": [{"pose": p.ravel().tolist(), "score": [0.5] * 18}]}
        for t, p in enumerate(points)
    ]
    for split in ("train", "val"):
        (root / f"kinetics_{split}").mkdir()
        content = {}
        for number, label in ((0, "juggling"), (2, "abseiling")):
            clip = f"{split}{number}"
            content[clip] = {"has_skeleton": True, "label": label, "label_index": number}
            text = json.dumps({"data": frames, "label": label, "label_index": number})
            (root / f"kinetics_{split}" / f"{clip}.json").write_text(text)
        content |= labels.get(split, {})
        (root / f"kinetics_{split}_label.json").write_text(json.dumps(content))
    return own.Config(str(root))


def test_kinetics_label_files_stand_for_labels_csv(tmp_path):
    empty = {"nobody": {"has_skeleton": False, "label": "juggling", "label_index": 0}}
    dataset = own.load(write_kinetics(tmp_path, train=empty), seed=1)
    assert dataset.classes == ("juggling", "class 1", "abseiling")
    assert dataset.train.names == ("kinetics_train/train0.json", "kinetics_train/train2.json")
    assert (dataset.train.labels.tolist(), dataset.val.labels.tolist()) == ([0, 2], [0, 2])
    assert [clip.shape for clip in dataset.val.clips] == [(3, 2, 18, 1)] * 2
    assert "1 clip without a skeleton: nobody" in dataset.notes
    assert not any("without a line" in note for note in dataset.notes)


def test_a_class_of_kinetics_without_its_files_is_named(tmp_path):
    gone = {"gone": {"has_skeleton": True, "label": "bowling", "label_index": 3}}
    config = replace(write_kinetics(tmp_path, train=gone), skip_bad=True)
    dataset = own.load(config, seed=1)
    assert dataset.classes == ("juggling", "class 1", "abseiling", "bowling")
    assert "1 class without any clip after that: bowling" in dataset.notes


@pytest.mark.parametrize(
    "entry, message",
    [
        ({"gone": {"has_skeleton": True, "label": "x", "label_index": 3}}, "gone.json' is not in"),
        ({"../../x": {"label": "x", "label_index": 3}}, "is no path inside the folder"),
        ({"odd": {"label": "running", "label_index": 0}}, "label_index 0 is 'running', elsewhere"),
        ({"odd": 3}, "'odd': expected label and label_index"),
    ],
)
def test_a_kinetics_label_that_cannot_be_is_named(tmp_path, entry, message):
    with pytest.raises(DataError, match=message):
        own.load(write_kinetics(tmp_path, val=entry), seed=1)
