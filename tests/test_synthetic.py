"""The synthetic data set: deterministic, plausible bodies, and not solvable by a linear model."""

from __future__ import annotations

import numpy as np
import pytest

from compress.data import synthetic
from compress.data.synthetic import kinematics
from compress.data.synthetic.actions import ACTIONS, Action
from compress.data.synthetic.load import Config
from compress.inputs import crop_resize, view
from export.preprocess import ops
from teachers.skeleton import NTU_25

CLEAN = Config(noise=0.0, missing=0.0)


@pytest.fixture(scope="module")
def dataset():
    return synthetic.load(Config(), seed=1)


@pytest.fixture(scope="module")
def through(dataset):
    """The clips as networks usually see them."""
    return view.build(dataset.input, crop_resize.Config(**synthetic.INPUT_DEFAULTS), dataset)


def prepared(through, split) -> np.ndarray:
    return np.stack([through.prepare(clip) for clip in split.clips])


def test_shapes_names_and_counts(dataset, through):
    assert (dataset.name, dataset.skeleton, dataset.persons) == ("synthetic", NTU_25, 1)
    assert (
        dataset.classes == tuple(action.name for action in ACTIONS)
        and len(set(dataset.classes)) == 12
    )
    assert (len(dataset.train), len(dataset.val)) == (480, 240)
    assert through.shape == (3, 16, 25, 1)
    lengths = set()
    for split in (dataset.train, dataset.val):
        assert (
            len(set(split.names)) == len(split.clips) == len(split.labels)
            and split.labels.dtype == np.int64
        )
        for clip in split.clips:
            assert clip.dtype == np.float32 and (clip.shape[0], *clip.shape[2:]) == (3, 25, 1)
            lengths.add(clip.shape[1])
    assert len(lengths) > 20 and min(lengths) >= 30 and max(lengths) <= 240


def test_both_views_of_a_clip_are_finite_network_inputs(dataset, through):
    x = prepared(through, dataset.val)
    assert x.shape == (240, 3, 16, 25, 1) and x.dtype == np.float32 and np.isfinite(x).all()
    assert np.abs(x).max() < 3  # metres from the base of the spine
    for index, clip in enumerate(dataset.train.clips[:50]):
        seen = through.augment(clip, np.random.default_rng(index))
        assert seen.shape == through.shape and seen.dtype == np.float32 and np.isfinite(seen).all()


def test_augmentation_depends_on_its_generator_alone(dataset, through):
    clip = dataset.train.clips[0]
    first, again, other = (through.augment(clip, np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_same_seed_same_clips_and_fingerprint():
    small = Config(train_clips=24, val_clips=12)
    first, again, other = (synthetic.load(small, seed) for seed in (3, 3, 4))
    assert all(
        np.array_equal(a, b) for a, b in zip(first.train.clips, again.train.clips, strict=True)
    )
    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert (
        first.fingerprint
        != synthetic.load(Config(train_clips=24, val_clips=12, noise=0.02), 3).fingerprint
    )


def test_a_clip_does_not_depend_on_how_many_there_are():
    few, many = (
        synthetic.load(Config(train_clips=count, val_clips=12), 1).train.clips[11]
        for count in (12, 36)
    )
    assert np.array_equal(few, many)


def test_classes_are_balanced(dataset):
    assert np.bincount(dataset.train.labels).tolist() == [40] * 12
    assert np.bincount(dataset.val.labels).tolist() == [20] * 12


def test_training_and_validation_share_no_person(dataset):
    people = {
        split: {synthetic.person_of(split, index) for index in range(1000)}
        for split in ("train", "val")
    }
    assert not people["train"] & people["val"]
    person = {split: synthetic.clip(CLEAN, 1, split, 0) for split in ("train", "val")}
    thigh = {
        split: bone_lengths(clip)[0, NTU_25.bones.index((14, 13))] for split, clip in person.items()
    }
    assert abs(thigh["train"] - thigh["val"]) > 1e-3


def bone_lengths(clip: np.ndarray) -> np.ndarray:
    """(T, bones) in metres."""
    child, parent = np.array(NTU_25.bones).T - 1
    return np.linalg.norm(clip[:, :, child, 0] - clip[:, :, parent, 0], axis=0)


@pytest.mark.parametrize("index", range(12), ids=[action.name for action in ACTIONS])
def test_bones_are_rigid_and_of_human_length_before_noise(index):
    lengths = bone_lengths(synthetic.clip(CLEAN, 1, "train", index))
    assert np.ptp(lengths, axis=0).max() < 1e-5
    assert lengths.min() > 0.02 and lengths.max() < 0.65


@pytest.mark.parametrize("index", range(12), ids=[action.name for action in ACTIONS])
def test_everybody_moves_at_human_speed_and_only_jumping_leaves_the_ground(index):
    positions = synthetic.clip(Config(noise=0.0, missing=0.0, view_degrees=0.0), 1, "val", index)[
        ..., 0
    ]
    speed = np.linalg.norm(np.diff(positions, axis=1), axis=0) * synthetic.RATE
    assert 0.5 < speed.max() < 15
    lowest = positions[1].min(axis=1)
    assert (np.ptp(lowest) > 0.2) == (ACTIONS[index].lift > 0)


def test_some_recordings_have_lost_frames_and_the_set_holds_none_of_them(dataset, through):
    recorded = [synthetic.clip(Config(), 1, "train", index) for index in range(480)]
    gaps = [(~(clip != 0).any(axis=(0, 2, 3))).sum() for clip in recorded]
    assert 20 < np.count_nonzero(gaps) < 90 and max(gaps) <= 5
    worst = int(np.argmax(gaps))
    held = dataset.train.clips[worst]
    assert (
        held.shape[1] == recorded[worst].shape[1] - gaps[worst]
        and (held != 0).any(axis=(0, 2, 3)).all()
    )
    assert np.array_equal(ops.apply(held, dataset.base_ops), held)
    assert np.array_equal(through.prepare(recorded[worst]), through.prepare(held))


def test_mirrored_motion_is_the_reflection():
    rng = np.random.default_rng(0)
    angles, offsets = rng.uniform(-60, 60, size=(4, 25, 3)), kinematics.OFFSETS * 1.7
    angles[:, 0] = 0
    own, mirrored = (
        kinematics.forward(angles, offsets),
        kinematics.forward(kinematics.mirror(angles), offsets),
    )
    swap = np.arange(25)
    for right, left in kinematics.LEFT_OF.items():
        swap[[right, left]] = left, right
    assert np.allclose(mirrored, own[:, swap] * (-1, 1, 1))


def test_limbs_bend_the_human_way():
    def joint(pose, number):
        angles = kinematics.pose_angles(pose)[None]
        return kinematics.forward(angles, kinematics.OFFSETS * 1.7)[
            0, number - 1
        ]  # 1-based, as in the literature

    assert joint({}, 12)[0] > 0.1 > -0.1 > joint({}, 8)[0]  # right hand at +x
    assert joint({"r.elbow": (90, 0, 0)}, 12)[2] < -0.2  # forward is -z
    assert joint({"r.knee": (-90, 0, 0)}, 19)[2] > 0.2
    assert joint({"r.shoulder": (0, 0, 90)}, 12)[0] > 0.5
    assert (
        joint({"r.shoulder": (0, 40, 0), "r.elbow": (90, 0, 0)}, 12)[0]
        < joint({"r.elbow": (90, 0, 0)}, 12)[0]
    )
    assert joint({"spine": (-40, 0, 0)}, 4)[2] < -0.2


def test_a_motion_passes_through_its_key_poses():
    up = kinematics.pose_angles({"r.elbow": (80, 0, 0)})
    elbow = kinematics.through(((0.5, up),), np.array([0.0, 0.25, 0.5, 0.75, 1.0]))[:, 9, 0]
    assert elbow.tolist() == pytest.approx([0, 40, 80, 40, 0])


def test_whoever_falls_stays_down():
    fall: Action = ACTIONS[-1]
    assert fall.name == "fall down" and not fall.returns
    for index in range(11, 120, 12):
        head = synthetic.clip(Config(noise=0.0, missing=0.0, view_degrees=0.0), 1, "train", index)[
            1, :, 3, 0
        ]
        assert head[-1] < head[0] - 0.5


@pytest.mark.parametrize(
    "field, value, message",
    [
        ("train_clips", 11, "train_clips: must be at least 12, one clip of every class"),
        ("val_clips", 0, "val_clips: must be at least 12, one clip of every class"),
        ("noise", -0.1, "noise: must not be negative"),
        ("view_degrees", 200.0, "view_degrees: must be between 0 and 180"),
        ("missing", 1.5, "missing: must be between 0 and 1"),
    ],
)
def test_impossible_settings_are_refused(field, value, message):
    with pytest.raises(ValueError) as caught:
        Config(**{field: value})
    assert str(caught.value) == message


def test_progress_reaches_the_total():
    seen = []
    synthetic.load(
        Config(train_clips=24, val_clips=12), 1, callback=lambda *report: seen.append(report)
    )
    assert seen[0] == (1, 36, "generating clips") and seen[-1] == (36, 36, "generating clips")


@pytest.mark.filterwarnings("ignore:lbfgs failed to converge")
def test_a_linear_model_stays_below_sixty_percent(dataset, through):
    linear_model = pytest.importorskip("sklearn.linear_model")
    train, val = (
        prepared(through, split).reshape(len(split), -1) for split in (dataset.train, dataset.val)
    )
    mean, spread = train.mean(0), train.std(0) + 1e-6
    model = linear_model.LogisticRegression(max_iter=100).fit(
        (train - mean) / spread, dataset.train.labels
    )
    found = model.score((val - mean) / spread, dataset.val.labels)
    assert 0.2 < found < 0.6  # poses alone say something, but not enough
