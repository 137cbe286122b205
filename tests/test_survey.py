"""What trains without an error and means something else: recognised, said in a note, or refused, for
the data set of any reader."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from compress import plan, recipe
from compress.data import skeletons, survey
from compress.data.dataset import Dataset, LazyClips, Split
from teachers.errors import DataError
from teachers.skeleton import (
    COCO_17,
    JOINT_NAMES,
    NTU_25,
    NTU_25_PYSKL,
    OPENPOSE_25,
    SKELETONS,
    Skeleton,
)


def dataset(clips=None, labels=(0, 1, 0, 1), **changes) -> Dataset:
    """Half of the clips train; people in metres."""
    if clips is None:
        rng = np.random.default_rng(0)
        clips = list(rng.normal(0, 0.5, (len(labels), 3, 6, 5, 1)).astype(np.float32))
    half = len(clips) // 2
    names = tuple(f"clip{index}" for index in range(len(clips)))
    numbers = np.array(labels, np.int64)
    chain = Skeleton("own_5", 5, ((2, 1), (3, 2), (4, 3), (5, 4)), 1)
    made = Dataset(
        "own",
        Split(names[:half], clips[:half], numbers[:half]),
        Split(names[half:], clips[half:], numbers[half:]),
        ("sit", "walk"),
        chain,
        clips[0].shape[3],
        clips[0].shape[0],
        "f",
        coordinates=3,
    )
    return replace(made, **changes)


def notes(**keys) -> tuple[str, ...]:
    return survey.examine(dataset(**keys)).notes


def test_nothing_is_said_of_ordinary_data():
    plain = dataset(notes=("a note of the reader",))
    examined = survey.examine(plain)
    assert examined.notes == ("a note of the reader",)
    assert examined.lengths == (6, 6, 6, 6)
    assert replace(examined, lengths=()) == plain


def test_the_built_in_data_are_ordinary():
    loaded = recipe.load("ctrgcn_lite_dml", ["data.train_clips=24", "data.val_clips=12"])
    assert plan.load_data(loaded).notes == ()


def described(known: Skeleton) -> Skeleton:
    """The same edges as a person would describe them: other order, direction, centre and name."""
    bones = tuple((parent, child) for child, parent in reversed(known.bones))
    return Skeleton(f"own_{known.joints}", known.joints, bones, centre=1)


@pytest.mark.parametrize("known", SKELETONS.values(), ids=list(SKELETONS))
def test_a_known_skeleton_is_recognised_by_its_edges(known):
    assert skeletons.recognise(described(known)) == known
    fewer = replace(described(known), bones=described(known).bones[1:])
    assert skeletons.recognise(fewer) == fewer
    assert skeletons.recognise(replace(fewer, bones=())).bones == ()


def test_joints_that_are_named_otherwise_are_others():
    coco = described(COCO_17)
    names = list(JOINT_NAMES["coco_17"])
    assert skeletons.recognise(coco, names) == COCO_17
    camel = ["".join(word.title() for word in name.split("_")) for name in names]
    assert skeletons.recognise(coco, camel) == COCO_17
    short = [name.replace("left_", "l_").replace("right_", "R ") for name in names]
    assert skeletons.recognise(coco, short) == COCO_17
    # Left and right in the other order, as Human3.6M and COCO have them.
    mirrored = [{"l": "r", "r": "l"}.get(name[0], "") + name[1:] for name in short]
    mirrored = [name if name[1:2] == "_" else "" for name in mirrored]
    assert skeletons.recognise(coco, mirrored) == coco
    knees = [name.replace("elbow", "knee") for name in names]
    assert skeletons.recognise(coco, knees) == coco


def test_every_named_skeleton_has_a_name_for_each_joint():
    for name, joints in JOINT_NAMES.items():
        assert len(set(joints)) == SKELETONS[name].joints


@pytest.mark.parametrize(
    "one, other, same",
    [
        (NTU_25, NTU_25_PYSKL, True),
        (NTU_25, described(NTU_25), True),
        (NTU_25, OPENPOSE_25, False),
        (COCO_17, NTU_25, False),
    ],
)
def test_whether_joint_numbers_mean_the_same(one, other, same):
    assert skeletons.same_joints(one, other) is same


def test_own_data_with_ntus_edges_are_ntu():
    clips = list(np.random.default_rng(0).normal(0, 0.5, (4, 3, 6, 25, 1)).astype(np.float32))
    examined = survey.examine(dataset(clips, skeleton=described(NTU_25)))
    assert examined.skeleton == NTU_25
    assert examined.notes[0].startswith("skeleton: 25 joints with the edges of ntu_25")


def test_one_class_is_refused_before_work_starts():
    with pytest.raises(DataError, match="every clip is of one class, 'sit'"):
        notes(labels=(0, 0, 0, 0), classes=("sit",))


def test_a_split_of_one_class_is_a_note():
    lacking, alone = notes(labels=(0, 1, 1, 1))
    assert lacking == "1 class without a clip to validate with: sit"
    assert alone.startswith("all 2 clips to validate with are of one class, 'walk', so accuracy")
    assert notes(labels=(0, 1, 0, 1), classes=("sit", "walk", "jump")) == (
        "1 class without a clip to train on: jump",
        "1 class without a clip to validate with: jump",
    )


@pytest.mark.parametrize(
    "one, other",
    [("Walk", "walk"), ("caf\u00e9", "cafe\u0301"), ("sit  down", "Sit down"), ("ß", "SS")],
)
def test_two_names_that_people_read_as_one_are_pointed_out(one, other):
    (note,) = notes(classes=(one, other))
    assert note.startswith("1 class named twice but for letter case")
    assert notes(classes=("walk", "walks")) == ()


def test_persons_whom_nobody_is_are_pointed_out():
    clips = list(np.random.default_rng(0).normal(0, 0.5, (4, 3, 6, 5, 3)).astype(np.float32))
    for clip in clips:
        clip[..., 2] = 0
    assert notes(clips=clips)[0].startswith(
        "persons: 3, but nobody is ever person 3 in the 4 clips looked at; persons: 2 saves 33 %"
    )
    clips[3][0, 0, 0, 2] = 1
    assert notes(clips=clips) == ()


def moved(low, high):
    """Clips with each coordinate between its limits."""
    rng = np.random.default_rng(0)
    places = rng.uniform(0, 1, (4, 3, 6, 5, 1))
    low, high = (np.array(limit, float).reshape(3, 1, 1, 1) for limit in (low, high))
    return list((low + (high - low) * places).astype(np.float32))


def test_a_score_is_not_read_as_z():
    with pytest.raises(DataError, match="is a score, not z; write `coordinates: 2`"):
        notes(clips=moved((220, 230, 0.2), (350, 360, 1)))
    (note,) = notes(clips=moved((0, 0, 0.2), (1, 1, 1)))
    assert note.startswith("x, y and z all lie between 0 and 1; if the third is a score")
    (flat,) = notes(clips=moved((-1, -1, 0), (1, 1, 0)))
    assert flat.startswith("the third coordinate is 0 in every clip")
    # A person two metres in front of the camera.
    assert notes(clips=moved((-1, -1, 2), (1, 1, 3))) == ()


def test_units_that_are_no_metres_are_pointed_out():
    (note,) = notes(clips=moved((-900, -900, 2000), (900, 900, 3000)))
    assert note.startswith("a person measures 1")
    # Far from the camera is no large person.
    assert notes(clips=moved((50, 50, 80), (52, 52, 82))) == ()


def test_a_set_on_disk_is_not_read_as_a_whole():
    """Sets of 100,000 clips must open in seconds."""

    class Counting(LazyClips):
        read = 0

        def __len__(self):
            return 10_000

        def clip(self, index):
            Counting.read += 1
            return np.full((3, 4, 5, 1), index - 1.5, np.float32)

    clips = Counting()
    names = tuple(map(str, range(len(clips))))
    split = Split(names, clips, np.arange(len(clips)) % 2)
    survey.examine(dataset(train=split, val=split))
    assert Counting.read == 2 * survey.MOST
