"""PYSKL's annotation pickles: the same clips from every form, PYSKL's numbers from pixels, what is
wrong is named."""

from __future__ import annotations

import pickle
import types

import numpy as np
import pytest

from compress.data import pyskl
from compress.data.bad_clips import BadClips
from compress.data.ntu.naming import NTU_120
from compress.data.pyskl import files
from compress.inputs import loop, uniform, view
from compress.recipe.types import Choice
from compress.task import task_for
from export import serving
from export.deployed.record import FORMAT, VERSION, Description, Input, Output, Recorded
from teachers.errors import DataError, RecipeError
from teachers.skeleton import COCO_17, NTU_25, OPENPOSE_18, OPENPOSE_25, UCLA_20, Skeleton

GUESS = (
    "{} joints of {} coordinates are taken for {}, as PYSKL's and mmaction2's files have them; the"
    " file does not say so: describe `skeleton` in the recipe if they are others"
)
NTU, COCO = GUESS.format(25, 3, "ntu_25"), GUESS.format(17, 2, "coco_17")
NAMES = {"train": ("a", "b", "c"), "val": ("d", "e")}


def solid(name="a", label=0, frames=9, persons=1, V=25, dtype="float16", **changes) -> dict:
    """An annotation of x y z."""
    keypoint = (
        np.random.default_rng(sum(map(ord, name)))
        .normal(size=(persons, frames, V, 3))
        .astype(dtype)
    )
    return {
        "frame_dir": name,
        "label": label,
        "total_frames": frames,
        "keypoint": keypoint,
    } | changes


def flat(
    name="a", label=0, frames=9, persons=1, V=17, size=(1080, 1920), dtype="float16", **changes
) -> dict:
    """An annotation of pixels; `size` is (height, width)."""
    rng = np.random.default_rng(sum(map(ord, name)))
    keypoint = (rng.uniform(0.1, 0.9, (persons, frames, V, 2)) * size[::-1]).astype(dtype)
    score = rng.uniform(0.2, 1, (persons, frames, V)).astype(dtype)
    found = {
        "frame_dir": name,
        "label": label,
        "total_frames": frames,
        "keypoint": keypoint,
        "keypoint_score": score,
        "img_shape": size,
        "original_shape": size,
    }
    return {key: value for key, value in (found | changes).items() if value is not None}


def five(make=solid, **keys) -> list[dict]:
    return [
        make(name, label=index % 3, frames=9 + index, **keys) for index, name in enumerate("abcde")
    ]


def write(path, annotations, protocol=4, split=None):
    names = split or {f"xsub_{part}": list(chosen) for part, chosen in NAMES.items()}
    path.write_bytes(pickle.dumps({"split": names, "annotations": annotations}, protocol))
    return path


def load(root, **keys):
    return pyskl.load(pyskl.Config(str(root), **keys), seed=1)


def failure(root, **keys) -> str:
    with pytest.raises(DataError) as caught:
        load(root, **keys)
    return str(caught.value)


def seen(dataset, pipeline=uniform, **keys):
    return view.build(pipeline.__name__.rpartition(".")[2], pipeline.Config(**keys), dataset)


@pytest.mark.parametrize("protocol", [2, 4])
def test_clips_are_what_was_written(tmp_path, protocol):
    annotations = five(persons=2)
    dataset = load(write(tmp_path / "ntu.pkl", annotations, protocol))
    assert (dataset.train.names, dataset.val.names) == (NAMES["train"], NAMES["val"])
    assert dataset.train.labels.tolist() == [0, 1, 2] and dataset.val.labels.dtype == np.int64
    for clip, one in zip([*dataset.train.clips, *dataset.val.clips], annotations, strict=True):
        assert clip.dtype == np.float32 and clip.flags.c_contiguous
        np.testing.assert_array_equal(clip, one["keypoint"].transpose(3, 1, 2, 0))
    assert (
        dataset.skeleton,
        dataset.persons,
        dataset.channels,
        dataset.coordinates,
        dataset.notes,
    ) == (NTU_25, 2, 3, 3, (NTU,))
    assert (
        dataset.classes == ("class 0", "class 1", "class 2")
        and dataset.input == "uniform"
        and dataset.base_ops == ()
    )


def test_arrays_stay_as_the_file_has_them(tmp_path):
    part, _, _ = files.read(
        write(tmp_path / "ntu.pkl", five()), "xsub", True, BadClips(tmp_path, skip=False)
    )
    assert [one.keypoint.dtype for one in part.annotations] == [np.float16] * 3


def test_every_form_is_the_same_data(tmp_path):
    half, single = five(), [one | {"keypoint": one["keypoint"].astype("float32")} for one in five()]
    fingerprints = {
        load(write(tmp_path / "a.pkl", half)).fingerprint,
        load(write(tmp_path / "a.pkl", single, protocol=2)).fingerprint,
        load(
            write(
                tmp_path / "a.pkl", half, split={"train": set("abc"), "test": np.array(["e", "d"])}
            )
        ).fingerprint,
    }
    (tmp_path / "list").mkdir()
    for part, names in NAMES.items():
        chosen = [one for one in half if one["frame_dir"] in names]
        (tmp_path / "list" / f"{part}.pkl").write_bytes(pickle.dumps(chosen, 2))
    assert fingerprints == {load(tmp_path / "list").fingerprint}
    assert load(tmp_path / "list", benchmark="train").val.names == NAMES["val"]
    others = [
        load(tmp_path / "list", persons=1),
        load(write(tmp_path / "a.pkl", [half[0] | {"label": 1}, *half[1:]])),
    ]
    assert len(fingerprints | {one.fingerprint for one in others}) == 3


@pytest.mark.parametrize(
    "names, benchmark, chosen",
    [
        (
            ["xview_val", "xsub_train", "xsub_val", "xview_train"],
            "xview",
            ("xview_train", "xview_val"),
        ),
        (["train", "val"], None, ("train", "val")),
        (["train", "val", "test"], "train", ("train", "val")),
        (["train", "test"], "train", ("train", "test")),
        (["train1", "test1", "train2", "test2"], "train2", ("train2", "test2")),
        (["xset_train", "xset_val"], None, ("xset_train", "xset_val")),
    ],
)
def test_a_benchmark_is_a_pair_of_splits(names, benchmark, chosen):
    assert files.pair(benchmark, names, "") == chosen


def test_what_splits_there_are_is_told(tmp_path):
    both = {f"{name}_{part}": list(NAMES[part]) for name in ("xsub", "xview") for part in NAMES}
    path = write(tmp_path / "ntu.pkl", five(), split=both)
    there = f"{path}: has splits xsub_train, xsub_val, xview_train, xview_val"
    assert failure(path) == f"{there}; choose with data.benchmark: xsub, xview"
    assert (
        failure(path, benchmark="xset")
        == f"{there}, nothing for benchmark 'xset'; data.benchmark can be xsub, xview"
    )
    path = write(tmp_path / "ntu.pkl", five(), split={"all": list("abcde")})
    assert (
        failure(path)
        == f"{path}: has splits all, but not one to train on and its test, such as xsub_train and"
        " xsub_val, or train and val; name them so, or give data.root a .pkl file that has"
        " splits"
    )
    path.rename(tmp_path / "val.pkl")
    assert failure(tmp_path).startswith(
        f"{tmp_path}: holds the .pkl files val, but not one to train on"
    )
    assert (
        failure(tmp_path / "no.pkl")
        == f"{tmp_path}/no.pkl: no such file; give data.root a .pkl file with splits, or a folder"
        " with train.pkl and val.pkl"
    )


def test_pixels_become_pysklS_numbers(tmp_path):
    """PreNormalize2D written out: every clip by its own image, joints that are hardly seen at the
    middle."""
    sizes = [(1080, 1920), (480, 640), (1080, 1920), (720, 1280), (480, 640)]
    annotations = [
        flat(name, size=size, dtype="float32") for name, size in zip("abcde", sizes, strict=True)
    ]
    annotations[1]["keypoint_score"][0, 3, 5:7] = [0.01, 0.0100001]
    dataset = load(write(tmp_path / "hrnet.pkl", annotations), persons=1)
    assert (dataset.channels, dataset.coordinates, dataset.skeleton, dataset.image) == (
        3,
        2,
        COCO_17,
        (1920, 1080),
    )
    for clip, one in zip([*dataset.train.clips, *dataset.val.clips], annotations, strict=True):
        height, width = one["img_shape"]
        expected = (
            np.concatenate([one["keypoint"], one["keypoint_score"][..., None]], axis=3)
            .transpose(3, 1, 2, 0)
            .astype(float)
        )
        expected[0], expected[1] = expected[0] / (width / 2) - 1, expected[1] / (height / 2) - 1
        expected[:2, expected[2] <= np.float32(0.01)] = 0
        np.testing.assert_allclose(seen(dataset, loop, frames=9).prepare(clip), expected, atol=2e-7)
    assert not seen(dataset, loop, frames=9).prepare(dataset.train.clips[1])[:2, 3, 5].any()
    assert dataset.notes == (
        "3 clips of images of another size, scaled to 1920 x 1080, the most common: b; d; e",
        COCO,
    )


def test_a_deployed_network_is_fed_pixels(tmp_path):
    annotations = five(flat, dtype="float32")
    dataset = load(write(tmp_path / "hrnet.pkl", annotations), persons=2)
    through = seen(dataset, frames=8)
    assert through.eval_ops[1] == {"op": "normalise_2d", "image": [1920, 1080], "threshold": 0.01}
    description = Description(
        format=FORMAT,
        version=VERSION,
        counted_from=0,
        network="stgcn",
        classes=("a", "b"),
        input=Input("clip", (None, *through.shape)),
        output=Output("logits", (None, 2)),
        skeleton=dataset.skeleton,
        files={"onnx": ("model.onnx",)},
        recorded=Recorded(channels=3, joints=17),
        preprocessing=through.eval_ops,
    )
    one = annotations[3]
    pixels = np.concatenate([one["keypoint"], one["keypoint_score"][..., None]], axis=3).transpose(
        3, 1, 2, 0
    )  # one person
    np.testing.assert_array_equal(
        serving.prepare(pixels, description, "clip"), through.prepare(dataset.val.clips[0])
    )


def test_x_and_y_alone_and_images_that_nobody_measured(tmp_path):
    path = write(tmp_path / "hrnet.pkl", five(flat, img_shape=None, keypoint_score=None))
    dataset = load(path, scores=False)
    assert (dataset.channels, dataset.coordinates, dataset.image) == (
        2,
        2,
        None,
    ) and dataset.train.clips[0].shape == (2, 9, 17, 2)
    assert (
        seen(dataset).eval_ops[1] == {"op": "normalise_2d"}
        and np.abs(seen(dataset).prepare(dataset.train.clips[0])).max() == 1
    )
    assert seen(dataset, image=(640, 480)).eval_ops[1] == {
        "op": "normalise_2d",
        "image": [640, 480],
    }
    assert dataset.notes == (
        COCO,
        (
            "no img_shape: every clip is scaled by its own extent, unless input.image is given"
            " (PYSKL assumes [1920, 1080])"
        ),
    )
    # All for one reason: said once, and none is advised to be left out: nothing would remain.
    assert failure(path) == (
        f"{path}: none of 5 clips can be used; the first: annotation 0 ('a'): its keypoint_score is"
        " missing, expected an array of numbers (1, 9, 17); set data.scores to false to use x and y"
        " only"
    )


def test_of_many_persons_those_in_most_frames_stay_in_their_order(tmp_path):
    annotations = five(persons=1)
    annotations[0] = solid(persons=4)
    points = annotations[0]["keypoint"]
    points[0, 4:], points[1, 1:], points[2, 2:3] = 0, 0, 0
    dataset = load(write(tmp_path / "ntu.pkl", annotations))
    np.testing.assert_array_equal(dataset.train.clips[0], points[[2, 3]].transpose(3, 1, 2, 0))
    assert dataset.notes == ("1 clip of more than 2 persons (those in most frames stay): a", NTU)
    assert not dataset.train.clips[1][..., 1].any() and dataset.train.clips[1][..., 0].all()
    np.testing.assert_array_equal(pyskl.longest(np.ones((3, 2, 5, 2)), 2), [0, 1])
    assert load(tmp_path / "ntu.pkl", persons=1).train.clips[0].shape == (3, 9, 25, 1)


def test_frames_before_persons_are_refused(tmp_path):
    annotations = five(persons=2)
    annotations[1]["keypoint"] = annotations[1]["keypoint"].transpose(1, 0, 2, 3)
    path = write(tmp_path / "ntu.pkl", annotations)
    with pytest.raises(
        DataError,
        match=r"\('b'\): its keypoint has shape \(10, 2, 25, 3\) and total_frames is 10, so frames",
    ):
        load(path)


def test_what_is_mended_or_odd_is_counted(tmp_path):
    annotations = [*five(), solid("spare", label=7)]
    annotations[0]["keypoint"][0, 3, 5] = np.nan
    annotations[1]["keypoint"][:] = 0
    annotations[2]["total_frames"] = 12
    annotations[4]["keypoint"] = np.zeros((0, 4, 25, 3), np.float16)
    path = write(
        tmp_path / "ntu.pkl",
        annotations,
        split={"train": ["a", "b", "c", "c"], "test": ["b", "d", "e"]},
    )
    dataset = load(path)
    assert dataset.notes == (
        "1 clip repaired (frames with NaN or infinity take the nearest good frame): a: 1 frame",
        "3 clips empty, nothing but zeros (kept, and counted like any other): b; b; e",
        (
            "2 clips whose total_frames is not the number of frames in keypoint (the latter is"
            " used): c; e"
        ),
        NTU,
        "1 clip named in both splits, so accuracy is flattered: b",
        "split train names 1 clip more than once; each counts once",
        "1 annotation in neither train nor test, not used",
    )
    np.testing.assert_array_equal(dataset.train.clips[0][:, 3], dataset.train.clips[0][:, 2])
    assert (
        len(dataset.train) == 3
        and dataset.val.clips[2].shape == (3, 4, 25, 2)
        and len(dataset.classes) == 3
    )
    for pipeline in (uniform, loop):
        through = seen(dataset, pipeline, frames=6)
        assert (
            through.prepare(dataset.val.clips[2]).shape == (3, 6, 25, 2)
            and not through.prepare(dataset.val.clips[2]).any()
        )


def test_differences_are_made_of_float32(tmp_path):
    """1025 and 0.5 are exact in float16, 1024.5 is not."""
    annotations = five(persons=1)
    points = annotations[0]["keypoint"]
    points[0, 4, 7], points[0, 5, 7], points[0, 4, 6] = 0.5, 1025, 1025
    dataset = load(write(tmp_path / "ntu.pkl", annotations), persons=1)
    motion, bone = (
        seen(dataset, loop, frames=9, normalise="none", stream=one).prepare(dataset.train.clips[0])
        for one in ("joint_motion", "bone")
    )
    assert (motion[:, 4, 7, 0] == 1024.5).all() and (
        bone[:, 4, 7, 0] == -1024.5
    ).all()  # joint 8 hangs on joint 7


def test_ten_views_of_a_clip(tmp_path):
    dataset = load(write(tmp_path / "ntu.pkl", five(persons=1)), persons=1)
    through = seen(dataset, frames=5, clips=10, stream="bone")
    views = [through.prepare(dataset.val.clips[0], number) for number in range(10)]
    assert (
        through.clips == 10
        and all(one.shape == (3, 5, 25, 1) for one in views)
        and len({one.tobytes() for one in views}) > 2
    )


def test_classes_are_named_by_the_recipe_or_are_ntus(tmp_path):
    named = [
        make(f"S001C001P00{index}R001A0{label + 1:02d}", label)
        for make in (solid,)
        for index, label in enumerate((0, 42, 5, 3))
    ]
    split = {
        part: [one["frame_dir"] for one in chosen]
        for part, chosen in (("train", named[:2]), ("val", named[2:]))
    }
    path = write(tmp_path / "ntu.pkl", named, split=split)
    assert (
        load(path).classes == NTU_120[:60]
        and load(path, classes=tuple(map(str, range(50)))).classes[49] == "49"
    )
    assert (
        failure(path, classes=("one", "two"))
        == f"{path}: annotation 1 ('{named[1]['frame_dir']}'): its label is 42, but data.classes "
        "names 2 classes; labels count from 0, name all of them"
    )
    named[1]["label"] = 6  # NTU's clips, but labels of somebody's own
    assert load(write(path, named, split=split)).classes == tuple(
        f"class {index}" for index in range(7)
    )
    named[1] |= {"label": 119, "frame_dir": "S001C001P001R001A120"}
    assert (
        load(
            write(
                path, named, split=split | {"train": [named[0]["frame_dir"], named[1]["frame_dir"]]}
            )
        ).classes
        == NTU_120
    )


@pytest.mark.parametrize(
    "make, V, known",
    [
        (solid, 25, NTU_25),
        (flat, 17, COCO_17),
        (flat, 18, OPENPOSE_18),
        (solid, 20, UCLA_20),
        (solid, 21, None),
        (flat, 25, None),
        (solid, 17, None),
        (solid, 18, None),
    ],
)
def test_joints_and_coordinates_say_which_skeleton_and_a_guess_is_a_note(tmp_path, make, V, known):
    dataset = load(write(tmp_path / "a.pkl", five(make, V=V)))
    assert dataset.skeleton == (known or Skeleton(f"joints_{V}", V, (), 1))
    guesses = [note for note in dataset.notes if "taken for" in note]
    assert guesses == ([GUESS.format(V, dataset.coordinates, known.name)] if known else [])


def test_key_points_of_body_25_are_not_taken_for_kinects_joints(tmp_path):
    dataset = load(write(tmp_path / "a.pkl", five(flat, V=25)))
    choice = Choice("uniform", uniform.Config())
    with pytest.raises(RecipeError, match="one of 25 joints: ntu_25, ntu_25_pyskl, openpose_25$"):
        task_for(types.SimpleNamespace(skeleton=None), dataset, choice)
    chosen = types.SimpleNamespace(skeleton=OPENPOSE_25)
    assert task_for(chosen, dataset, choice).skeleton.bones == OPENPOSE_25.bones


def scored(name, **keys):
    """x, y and score as one array, as files converted from COCO's JSON have them."""
    one = flat(name, dtype="float32", **keys)
    third = one.pop("keypoint_score")[..., None]
    return one | {"keypoint": np.concatenate([one["keypoint"], third], axis=3)}


def test_a_score_behind_x_and_y_is_not_read_as_z(tmp_path):
    path = write(tmp_path / "a.pkl", five(scored))
    dataset = load(path)
    apart = load(write(tmp_path / "b.pkl", five(flat, dtype="float32")))
    assert (dataset.coordinates, dataset.channels, dataset.image) == (2, 3, (1920, 1080))
    assert dataset.skeleton == COCO_17
    np.testing.assert_array_equal(dataset.train.clips[0], apart.train.clips[0])
    assert any("a score from 0 to 1" in note for note in dataset.notes)
    assert load(path, scores=False).channels == 2
    # Metres beside a stray size of images stay what they are.
    metres = five(solid)
    for one in metres:
        one["img_shape"] = (1080, 1920)
        one["keypoint"][..., 2] = 0.5
    assert load(write(tmp_path / "c.pkl", metres)).coordinates == 3


def test_labels_from_one_make_no_class_that_no_clip_is_of(tmp_path):
    annotations = five()
    for one in annotations:
        one["label"] += 1
    path = write(tmp_path / "a.pkl", annotations)
    dataset = load(path)
    assert dataset.classes == ("class 1", "class 2", "class 3")
    assert dataset.train.labels.tolist() == [0, 1, 2]
    assert any(note.startswith("labels count from 1 (to 3)") for note in dataset.notes)
    four = ("none", "a", "b", "c")
    named = load(path, classes=four)
    assert named.classes == four and named.train.labels.tolist() == [1, 2, 3]


@pytest.mark.parametrize("low, high, image", [(0, 1, (1, 1)), (-1, 1, None)])
def test_key_points_that_are_no_pixels_are_not_divided_by_them(tmp_path, low, high, image):
    """Fractions of the image, and what is normalised already: by pixels, all of either would come
    to lie in one corner."""
    annotations = five(flat, dtype="float32")
    pixels = seen(load(write(tmp_path / "a.pkl", annotations)))
    expected = [pixels.prepare(clip) for clip in load(tmp_path / "a.pkl").train.clips]
    for one in annotations:
        one["keypoint"] = low + (high - low) * one["keypoint"] / np.float32((1920, 1080))
    dataset = load(write(tmp_path / "b.pkl", annotations))
    assert dataset.image == image
    assert any(note.startswith("key points lie between") for note in dataset.notes)
    through = seen(dataset)
    for clip, pixel_clip in zip(dataset.train.clips, expected, strict=True):
        if image:
            np.testing.assert_allclose(through.prepare(clip)[:2], pixel_clip[:2], atol=1e-5)
        assert np.ptp(through.prepare(clip)[:2]) > 1.5
    if image:
        with pytest.raises(RecipeError, match="fractions of their image already"):
            seen(dataset, image=(1920, 1080))


def test_a_skeleton_that_nobody_described_is_asked_for(tmp_path):
    dataset = load(write(tmp_path / "a.pkl", five(V=21)))
    choice = Choice("uniform", uniform.Config())
    with pytest.raises(RecipeError) as caught:
        task_for(types.SimpleNamespace(skeleton=None), dataset, choice)
    assert (
        str(caught.value)
        == "skeleton: 'joints_21' has no bones, so nothing says which joints of 'pyskl' are"
        " connected; describe it (`skeleton: {name: hand, joints: 21, bones: [[child, parent],"
        " ...], centre: 1}`, joints counted from 1)"
    )
    hand = Skeleton("hand", 21, ((2, 1),), centre=1)
    assert task_for(types.SimpleNamespace(skeleton=hand), dataset, choice).skeleton == hand


@pytest.mark.parametrize(
    "changes, message",
    [
        (
            {"label": -1},
            (
                "its label is -1, expected a whole number from 0 to 99999; correct it, or take the"
                " clip out of the split"
            ),
        ),
        ({"label": 1.0}, "its label is 1.0, expected a whole number from 0 to 99999"),
        ({"label": [1, 2]}, "its label is [1, 2], expected"),
        ({"label": True}, "its label is True, expected"),
        ({"label": 10**9}, "its label is 1000000000, expected"),
        (
            {"keypoint": np.zeros((9, 25, 3))},
            (
                "its keypoint is float64 of shape (9, 25, 3), expected an array of numbers"
                " (persons, frames, joints, 2 or 3); correct it, or take the clip out of the split"
            ),
        ),
        ({"keypoint": np.zeros((1, 9, 25, 4))}, "its keypoint is float64 of shape (1, 9, 25, 4)"),
        ({"keypoint": [[1]]}, "its keypoint is a list of 1, expected"),
        ({"keypoint": np.zeros((1, 0, 25, 3))}, "its keypoint is float64 of shape (1, 0, 25, 3)"),
        ({"keypoint": np.zeros((1, 9, 25, 3), complex)}, "its keypoint is complex128 of shape"),
        (
            {"keypoint": np.zeros((1, 9, 24, 3))},
            (
                "has 24 joints of 3 coordinates, most annotations 25 of 3; all must be of one"
                " skeleton"
            ),
        ),
        (
            {"keypoint": np.full((1, 9, 25, 3), np.nan)},
            "every frame holds NaN or infinity; take the clip out of the split, or record it",
        ),
    ],
)
def test_an_annotation_that_cannot_be_used(tmp_path, changes, message):
    annotations = five()
    annotations[3] |= changes
    path = write(tmp_path / "ntu.pkl", annotations)
    assert failure(path).startswith(f"{path}: annotation 3 ('d'): {message}")


@pytest.mark.parametrize(
    "changes, message",
    [
        (
            {"img_shape": (1080,)},
            (
                "annotation 3 ('d'): its img_shape is (1080,), expected (height, width) in pixels;"
                " correct it"
            ),
        ),
        ({"img_shape": (0, 1920)}, "annotation 3 ('d'): its img_shape is (0, 1920), expected"),
        (
            {"img_shape": None},
            "annotation 3 ('d'): has no img_shape, but 'a' has one; give all of them one, or none",
        ),
        (
            {"keypoint_score": np.zeros((1, 9, 17))},
            (
                "annotation 3 ('d'): its keypoint_score is float64 of shape (1, 9, 17), expected an"
                " array of numbers (1, 12, 17); set data.scores to false"
            ),
        ),
    ],
)
def test_an_annotation_of_pixels_that_cannot_be_used(tmp_path, changes, message):
    annotations = five(flat)
    annotations[3] |= changes
    path = write(tmp_path / "hrnet.pkl", annotations)
    assert failure(path).startswith(f"{path}: {message}")


def test_a_file_that_does_not_hold_together(tmp_path):
    path, annotations = tmp_path / "ntu.pkl", five()
    assert (
        failure(write(path, [*annotations, solid("b")]))
        == f"{path}: annotations 1 and 5 are both 'b'; a name stands for one clip, rename or remove"
        " one of them"
    )
    assert (
        failure(write(path, annotations[:3]))
        == f"{path}: 2 of 5 clips cannot be used:\n  split 'xsub_val' names 'd', which no annotation"
        " has; copy the file again, or take the name out\n  split 'xsub_val' names 'e', which no"
        " annotation has; copy the file again, or take the name out\nor leave them out, counted: -o"
        " data.skip_bad=true"
    )
    assert (
        failure(write(path, annotations, split={"train": [], "val": ["a"]}))
        == f"{path}: split 'train' is no list of names, or empty; both splits need a clip"
    )
    for key in ("label", "keypoint"):
        bare = {name: value for name, value in annotations[0].items() if name != key}
        assert (
            failure(write(path, [bare, *annotations[1:]]))
            == f"{path}: annotation 0 ('a'): has no {key!r}; an annotation needs frame_dir, label,"
            " keypoint\nor leave it out, counted: -o data.skip_bad=true"
        )
    assert (
        failure(write(path, [{"label": 1}]))
        == f"{path}: annotation 0 is a mapping with 'label', expected a mapping with frame_dir,"
        " label, keypoint, of which frame_dir is text; give a file of PYSKL or mmaction2"
    )


def test_a_file_that_is_something_else(tmp_path):
    path = tmp_path / "ntu.pkl"
    path.write_bytes(pickle.dumps(five()))
    assert (
        failure(path)
        == f"{path}: a list of annotations, without splits; give data.root a folder with one such"
        " file for each split, train.pkl and val.pkl"
    )
    path.write_bytes(pickle.dumps({"annotations": []}))
    assert (
        failure(path)
        == f"{path}: expected a mapping with 'split' (a mapping) and 'annotations' (a list), got a"
        " mapping with 'annotations'; give a file of PYSKL or mmaction2"
    )
    path.write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    assert (
        failure(path)
        == f"{path}: refuses to load 'os.system': pickles may only hold numpy arrays and plain"
        " containers"
    )
    whole = write(path, five()).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert failure(path).startswith(f"{path}: not a readable pickle, or truncated (")
    for name in ("train", "val"):
        write(tmp_path / f"{name}.pkl", five())
    assert (
        failure(tmp_path)
        == f"{tmp_path}/train.pkl: expected a list of annotations, got a mapping with 'split',"
        " 'annotations'; a file with splits in it is data.root itself"
    )


def test_progress_is_told_to_the_end(tmp_path):
    told = []
    pyskl.load(
        pyskl.Config(str(write(tmp_path / "ntu.pkl", five()))),
        1,
        lambda *progress: told.append(progress),
    )
    assert told == [(5, 5, "checking PYSKL clips")]


def test_impossible_settings_are_refused():
    with pytest.raises(ValueError, match="persons: must be at least 1"):
        pyskl.Config("x", persons=0)
