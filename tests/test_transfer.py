"""Weights carried over to other classes, persons, joints and frames, for every network."""

from dataclasses import replace
from fnmatch import fnmatchcase

import numpy as np
import paddle
import pytest

from teachers import networks
from teachers.errors import CheckpointError
from teachers.skeleton import COCO_17, JOINT_NAMES, NTU_25, Skeleton, matching
from teachers.weights import checkpoints
from teachers.weights.published import Hints
from teachers.weights.transfer import Source, Target, carry

SMALL = {
    "ctrgcn": {"width": 8},
    "ctrgcn_light_v1": {"width": 8},
    "ctrgcn_light_v2": {"width": 8},
    "efficientgcn": {"width": 16},
    "ensemble": {"width": 8, "streams": ("joint", "bone"), "drop": ("l2", "l3", "l4", "l6", "l7")},
    "stgcn": {"width": 4, "stages": 3},
    "stgcnpp": {"width": 6, "stages": 3},
}
THREE = Skeleton("three", 3, ((1, 2), (3, 2)), 2)
# Without the middle joint of THREE, and with one that it has not; the outer two are joined directly.
OTHER = Skeleton("other", 3, ((1, 3), (2, 3)), 3)


def spec_of(network: str, classes=4, skeleton=THREE, persons=2):
    module = networks.module(network)
    channels = 18 if network == "efficientgcn" else 3
    return module.default_spec(
        classes, skeleton, 16, persons, channels, module.Config(**SMALL[network])
    )


def source_of(network: str, classes=("a", "b", "c", "d"), names=True, **keys) -> Source:
    """A network in which every number is another one."""
    spec = spec_of(network, len(classes), **keys)
    paddle.seed(7)
    state = networks.state_of(networks.build(spec))
    rng = np.random.default_rng(1)
    state = {
        name: (value + rng.uniform(0.1, 1, value.shape)).astype("float32")
        for name, value in state.items()
    }
    return Source("net.pt", spec, state, tuple(classes) if names else ())


def target(source: Source, **changes) -> Target:
    """What the source itself fits, with changes."""
    spec = source.spec
    same = Target(source.classes or ("a", "b", "c", "d"), spec.frames, spec.persons, spec.skeleton)
    return replace(same, **changes)


def test_the_table_has_every_network():
    assert sorted(SMALL) == networks.names()


@pytest.mark.parametrize("network", SMALL)
def test_every_tensor_that_depends_on_the_data_has_its_axes(network):
    """Two specs that differ in classes, persons and joints differ in shape exactly there."""
    before = networks.state_of(networks.build(spec_of(network)))
    larger = Skeleton("five", 5, ((1, 2), (3, 2), (4, 2), (5, 2)), 2)
    after = networks.state_of(networks.build(spec_of(network, 7, larger, 3)))
    axes = networks.axes(spec_of(network))
    differing = {name for name in before if before[name].shape != after[name].shape}
    covered = {name for name in before if any(fnmatchcase(name, pattern) for pattern in axes)}
    assert differing == covered
    for name in covered:
        parts = next(value for pattern, value in axes.items() if fnmatchcase(name, pattern))
        sizes = {"class": 4, "person": 2, "joint": 3, "channel": 3}
        for size, axis in zip(before[name].shape, parts, strict=True):
            assert not axis or size == np.prod([sizes[part] for part in axis])


@pytest.mark.parametrize("network", SMALL)
def test_the_same_data_carry_every_byte_over(network):
    source = source_of(network)
    carried, notes = carry(source, target(source))
    assert notes == []
    state = networks.state_of(carried)
    for name, value in source.state.items():
        assert state[name].tobytes() == value.tobytes(), name
    assert not carried.training


@pytest.mark.parametrize("network", SMALL)
def test_other_classes_get_a_fresh_classifier_and_all_else_is_kept(network):
    source = source_of(network)
    carried, notes = carry(source, target(source, classes=("x", "y")))
    state = networks.state_of(carried)
    assert carried.spec.classes == 2
    # Zeros: whatever the features are, no class has the better start.
    assert not state["fc.bias"].any() and not state["fc.weight"].any()
    assert notes == [
        "net.pt: has 4 classes, the data 2: a fresh classifier takes the place of its own"
    ]
    for name, value in source.state.items():
        if not name.startswith("fc."):
            assert state[name].tobytes() == value.tobytes(), name


@pytest.mark.parametrize("network", SMALL)
def test_weights_without_a_classifier_get_one(network):
    whole = source_of(network)
    state = {name: value for name, value in whole.state.items() if not name.startswith("fc.")}
    source = Source("net.pt", replace(whole.spec, classes=0), state)
    carried, notes = carry(source, target(whole))
    assert carried.spec == whole.spec and not carried.fc.weight.numpy().any()
    assert notes == ["net.pt: has no classifier: a fresh one for 4 classes"]
    with pytest.raises(CheckpointError, match="head: keep, but it has no classifier"):
        carry(source, target(whole), "keep")


def test_the_same_names_in_another_order_keep_their_rows():
    source = source_of("ctrgcn")
    carried, notes = carry(source, target(source, classes=("c", "a", "d", "b")))
    np.testing.assert_array_equal(carried.fc.bias, source.state["fc.bias"][[2, 0, 3, 1]])
    np.testing.assert_array_equal(carried.fc.weight, source.state["fc.weight"][:, [2, 0, 3, 1]])
    assert notes == [
        "net.pt: has the same classes in another order: its classifier follows the names"
    ]


@pytest.mark.parametrize(
    "names, head, kept",
    [
        (True, "auto", False),
        (False, "auto", True),
        (True, "keep", True),
        (False, "fresh", False),
    ],
)
def test_as_many_classes_keep_their_head_unless_names_differ_or_the_recipe_says(names, head, kept):
    source = source_of("ctrgcn", names=names)
    carried, _ = carry(source, target(source, classes=("w", "x", "y", "z")), head)
    assert np.array_equal(carried.fc.bias, source.state["fc.bias"]) == kept


def test_persons_are_cut_or_copied():
    source = source_of("ctrgcn")
    V, C = 3, 3
    before = source.state["data_bn._mean"].reshape(2, V * C)
    cut, notes = carry(source, target(source, persons=1))
    np.testing.assert_array_equal(cut.data_bn._mean, before[0])
    assert notes == ["net.pt: is for 2 persons, the data for 1: the others are cut"]
    padded, notes = carry(source, target(source, persons=3))
    np.testing.assert_array_equal(padded.data_bn._mean.numpy().reshape(3, -1), before[[0, 1, 1]])
    assert notes == [
        "net.pt: is for 2 persons, the data for 3: the statistics of the last one are copied"
    ]


@pytest.mark.parametrize("network", SMALL)
def test_frames_and_persons_differ_freely(network):
    source = source_of(network)
    carried, _ = carry(source, target(source, frames=24, persons=1))
    C, T, V, M = carried.spec.input_shape
    assert (T, M) == (24, 1)
    assert carried(paddle.rand([2, C, T, V, M])).shape == [2, 4]


def test_members_that_see_several_streams_are_carried_over_like_others(monkeypatch):
    monkeypatch.setitem(SMALL["ensemble"], "streams", ("joint+bone", "bone_motion"))
    source = source_of("ensemble")
    carried, _ = carry(source, target(source, classes=("x", "y"), persons=1))
    for name, channels in (("joint+bone", 6), ("bone_motion", 3)):
        before = source.state[f"{name}.data_bn._mean"].reshape(2, 3 * channels)
        np.testing.assert_array_equal(getattr(carried, name).data_bn._mean, before[0])


@pytest.mark.parametrize("network", SMALL)
def test_joints_are_carried_over_by_name(network):
    """Joint 0 there is joint 2 here, joint 2 there is 0 here, and joint 1 here is new."""
    source = source_of(network)
    joints = matching(("left", "middle", "right"), ("right", "nose", "left"))
    assert joints == (2, None, 0)
    carried, notes = carry(source, target(source, skeleton=OTHER, joints=joints))
    state = networks.state_of(carried)
    assert carried.spec.skeleton == OTHER
    assert "2 of 3 joints are carried over by name" in notes[0]
    fresh = networks.state_of(networks.build(carried.spec))
    initial = networks.state_of(networks.build(source.spec))
    patterns = [name for name, axes in networks.axes(carried.spec).items() if ("joint",) in axes]
    graphs = [name for name in state if any(fnmatchcase(name, each) for each in patterns)]
    assert len(graphs) >= len(carried.spec.blocks) // 2
    for name in graphs:
        learnt = source.state[name] - initial[name]
        for u, v in ((0, 0), (0, 2), (2, 0), (2, 2)):
            expected = fresh[name][:, u, v] + learnt[:, joints[u], joints[v]]
            np.testing.assert_allclose(state[name][:, u, v], expected, rtol=1e-6)
        # A pair with the new joint starts from the graph of the data.
        for u, v in ((1, 0), (1, 1), (2, 1)):
            np.testing.assert_array_equal(state[name][:, u, v], fresh[name][:, u, v])
    # EfficientGCN's BatchNorms know no joints.
    if network != "efficientgcn":
        M = 1 if network.startswith("stgcn") else 2
        norm = "bone.data_bn._mean" if network == "ensemble" else "data_bn._mean"
        before = source.state[norm].reshape(M, 3, 3)
        after = state[norm].reshape(M, 3, 3)
        np.testing.assert_array_equal(after[:, [0, 2]], before[:, [2, 0]])
        np.testing.assert_allclose(after[:, 1], before[:, [2, 0]].mean(1), rtol=1e-6)
    rest = [name for name in state if name not in graphs and "data_bn" not in name]
    for name in rest:
        np.testing.assert_array_equal(state[name], source.state[name])


def test_known_skeletons_share_their_limbs():
    joints = matching(JOINT_NAMES[NTU_25.name], JOINT_NAMES[COCO_17.name])
    shared = [name for name, joint in zip(JOINT_NAMES["coco_17"], joints, strict=True) if joint]
    assert len(shared) == 12 and "nose" not in shared and "left_knee" in shared


def test_no_joint_in_common_is_refused():
    source = source_of("ctrgcn")
    with pytest.raises(
        CheckpointError, match="'three' and that of the data, 'other', have no joint"
    ):
        carry(source, target(source, skeleton=OTHER, joints=(None, None, None)))


def test_a_network_without_axes_fits_its_own_data_alone(monkeypatch):
    monkeypatch.delattr(networks.module("stgcn"), "AXES")
    source = source_of("stgcn")
    carried, _ = carry(source, target(source))
    np.testing.assert_array_equal(carried.fc.bias, source.state["fc.bias"])
    with pytest.raises(CheckpointError, match="does not say which tensors .* its classes cannot"):
        carry(source, target(source, classes=("x",)))


def headless(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A published checkpoint whose classifier was taken off."""
    heads = ("fc", "fc_cls")
    return {
        name: value
        for name, value in arrays.items()
        if name.rpartition(".")[0].split(".")[-1] not in heads
    }


def test_a_published_checkpoint_without_a_classifier_is_read_for_a_fine_tuning_only():
    whole = source_of("ctrgcn")
    keys = networks.keys("ctrgcn")
    arrays = headless(keys.to_published(whole.spec, whole.state))
    hints = Hints(16, 2, THREE, transfer=True)
    spec, state = keys.from_published(arrays, hints)
    assert spec.classes == 0 and "fc.weight" not in state
    carried, _ = carry(Source("net.pt", spec, state), target(whole))
    assert carried.spec == whole.spec
    with pytest.raises(CheckpointError, match="has no 'fc.bias': its classifier was taken off"):
        keys.from_published(arrays, replace(hints, transfer=False))


@pytest.mark.parametrize(
    "file",
    [
        "ctrgcn_ntu60.pt",
        "efficientgcn_b0_sg_ntu60_xsub.pdparams",
        "efficientgcn_b0_epsep_ntu60_xsub.pth.tar",
        "stgcn_ntu60.pth",
        "stgcnpp_ntu60.pth",
    ],
)
def test_real_checkpoints_go_to_another_skeleton_without_a_classifier(shared, file, monkeypatch):
    """25 joints and two persons there; COCO's 17 and one person here."""
    understand = checkpoints._understand
    monkeypatch.setattr(
        checkpoints, "_understand", lambda arrays, *rest: understand(headless(arrays), *rest)
    )
    hints = Hints(20, 1, COCO_17, transfer=True)
    spec, state, _ = checkpoints.read(shared / "weights" / file, hints)
    assert spec.classes == 0 and spec.skeleton.joints == 25
    joints = matching(JOINT_NAMES[NTU_25.name], JOINT_NAMES[COCO_17.name])
    here = Target(("a", "b"), 20, 1, COCO_17, joints)
    carried, notes = carry(Source(file, spec, state), here)
    assert carried.spec.input_shape[1:] == (20, 17, 1)
    assert "12 of 17 joints are carried over by name" in " ".join(notes)
    x = paddle.rand([1, *carried.spec.input_shape])
    assert np.isfinite(carried(x).numpy()).all()
