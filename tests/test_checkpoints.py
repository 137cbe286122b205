"""Weights files: every known layout, strict keys, damage, and files that would run code."""

import dataclasses
import io
import pickle
import zipfile
from types import SimpleNamespace

import numpy as np
import paddle
import pytest

from compress.inputs import as_trained
from compress.recipe.types import Choice
from compress.task import Task, any_weights, as_deployed, check_fits, load_weights
from compress.training.model import Model
from export import package
from export.runtimes import in_process
from teachers import ctrgcn, networks, stgcnpp, storage
from teachers.ctrgcn import keys
from teachers.errors import CheckpointError, StorageError
from teachers.skeleton import NTU_25, UCLA_20, Skeleton
from teachers.weights import checkpoints
from teachers.weights.published import Hints, check_graph


@pytest.fixture(scope="module")
def network(randomised):
    return randomised(
        networks.build(ctrgcn.default_spec(4, UCLA_20, 52, 1, config=ctrgcn.Config(8)))
    )


def same(a, b):
    one, other = networks.state_of(a), networks.state_of(b)
    return a.spec == b.spec and all(np.array_equal(one[name], other[name]) for name in one)


def published(network):
    return keys.to_published(network.spec, networks.state_of(network))


def test_own_format_round_trips(network, tmp_path):
    checkpoints.save(tmp_path / "net.npz", network, {"classes": ["a"]})
    assert same(checkpoints.load(tmp_path / "net.npz"), network)
    assert checkpoints.read(tmp_path / "net.npz")[2] == {"classes": ["a"]}


def test_pruned_spec_with_another_stride_round_trips(tmp_path, tiny_spec, randomised):
    tiny = randomised(networks.build(tiny_spec))
    checkpoints.save(tmp_path / "tiny.npz", tiny)
    assert same(checkpoints.load(tmp_path / "tiny.npz"), tiny)


def test_paddlevideo_checkpoint(network, tmp_path):
    arrays = {
        ("head." if name.startswith("fc") else "backbone.") + name: paddle.to_tensor(value)
        for name, value in published(network).items()
    }
    paddle.save(arrays, str(tmp_path / "net.pdparams"))
    assert same(checkpoints.load(tmp_path / "net.pdparams"), network)


@pytest.mark.parametrize(
    "name", ["ctrgcn_ntu60.pt", "ctrgcn_nwucla.pt", "ctrgcn_nwucla_joint_trained.pt"]
)
def test_torch_checkpoints_without_torch(shared, name):
    spec = checkpoints.load(shared / "weights" / name).spec
    assert len(spec.blocks) == 10 and spec.classes == (60 if "ntu60" in name else 10)


def test_missing_and_extra_keys_are_named(network, tmp_path):
    arrays = published(network)
    del arrays["l3.gcn1.alpha"]
    paddle.save(
        {name: paddle.to_tensor(value) for name, value in arrays.items()},
        str(tmp_path / "a.pdparams"),
    )
    with pytest.raises(CheckpointError, match=r"a.pdparams: as ctrgcn: has no 'l3.gcn1.alpha'"):
        checkpoints.load(tmp_path / "a.pdparams")
    arrays = published(network) | {"l3.extra": np.zeros(2, "float32")}
    paddle.save(
        {name: paddle.to_tensor(value) for name, value in arrays.items()},
        str(tmp_path / "b.pdparams"),
    )
    with pytest.raises(
        CheckpointError,
        match=r"b.pdparams: as ctrgcn: holds 1 tensors that CTR-GCN does not have: l3.extra",
    ):
        checkpoints.load(tmp_path / "b.pdparams")


def test_wrong_shape_prints_both_sides(network, tmp_path):
    state = networks.state_of(network)
    state["fc.weight"] = np.zeros((32, 7), "float32")
    checkpoints.save_state(tmp_path / "net.npz", network.spec, state)
    with pytest.raises(
        CheckpointError,
        match=r"net.npz: fc.weight: the file has shape \(32, 7\), the network \(32, 4\)",
    ):
        checkpoints.load(tmp_path / "net.npz")


def test_weights_for_other_data_are_refused(network, tmp_path, tiny_dataset, tiny_view):
    checkpoints.save(tmp_path / "net.npz", network)
    task = Task(tiny_dataset, tiny_dataset.skeleton, tiny_view)
    with pytest.raises(
        CheckpointError,
        match=(
            r"its input \(C, T, V, M\) is \(3, 52, 20, 1\), that of data set 'tiny' through input"
            r" 'tiny' is \(3, 8, 5, 2\)"
        ),
    ):
        load_weights(str(tmp_path / "net.npz"), task)


def test_weights_for_another_number_of_classes_are_refused(
    tiny_spec, tmp_path, tiny_dataset, tiny_view
):
    checkpoints.save(
        tmp_path / "net.npz", networks.build(dataclasses.replace(tiny_spec, classes=7))
    )
    with pytest.raises(
        CheckpointError,
        match=(
            r"net.npz: its number of classes is 7, that of data set 'tiny' through input 'tiny'"
            r" is 3"
        ),
    ):
        load_weights(
            str(tmp_path / "net.npz"), Task(tiny_dataset, tiny_dataset.skeleton, tiny_view)
        )


def test_weights_of_another_network_are_refused(tiny_spec, tmp_path, tiny_dataset, tiny_view):
    checkpoints.save(tmp_path / "net.npz", networks.build(tiny_spec))
    task = Task(tiny_dataset, tiny_dataset.skeleton, tiny_view)
    with pytest.raises(
        CheckpointError,
        match=r"net.npz: holds a ctrgcn, the recipe says stgcnpp; write `name: ctrgcn` beside",
    ):
        load_weights(str(tmp_path / "net.npz"), task, Choice("stgcnpp", stgcnpp.Config()))


def test_weights_for_another_skeleton_are_refused(tmp_path, shared):
    hints = Hints(skeleton=Skeleton("hand", 21, tuple((joint, 1) for joint in range(2, 22)), 1))
    for name in ("ctrgcn_ntu60.pt", "stgcnpp_ntu60.pth", "stgcn_ntu60.pth"):
        with pytest.raises(
            CheckpointError, match=rf"{name}: as \w+: is for 25 joints, the skeleton 'hand' has 21"
        ):
            checkpoints.load(shared / "weights" / name, hints)


@pytest.mark.parametrize("kept", [10, 1000, -200])
@pytest.mark.parametrize("kind", ["npz", "pdparams", "pt"])
def test_truncated_files(network, tmp_path, shared, kind, kept):
    if kind == "npz":
        checkpoints.save(tmp_path / "full", network)
    elif kind == "pdparams":
        paddle.save(
            {name: paddle.to_tensor(value) for name, value in published(network).items()},
            str(tmp_path / "full"),
        )
    else:
        (tmp_path / "full").write_bytes((shared / "weights" / "ctrgcn_nwucla.pt").read_bytes())
    path = tmp_path / f"cut.{kind}"
    path.write_bytes((tmp_path / "full").read_bytes()[:kept])
    with pytest.raises(CheckpointError, match=rf"cut.{kind}: .*(truncated|damaged)"):
        checkpoints.load(path)


class Hostile:
    def __reduce__(self):
        return (print, ("executed",))


def test_functions_in_a_pickle_are_not_called(tmp_path, capsys):
    (tmp_path / "net.pdparams").write_bytes(pickle.dumps({"l1.gcn1.PA": Hostile()}))
    with pytest.raises(CheckpointError, match=r"net.pdparams: holds no named weights"):
        checkpoints.load(tmp_path / "net.pdparams")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("net/data.pkl", pickle.dumps({"l1.gcn1.PA": Hostile()}))
    (tmp_path / "net.pt").write_bytes(buffer.getvalue())
    with pytest.raises(CheckpointError, match=r"net.pt: holds no named weights"):
        checkpoints.load(tmp_path / "net.pt")
    assert "executed" not in capsys.readouterr().out


def test_unknown_layout_and_missing_file(tmp_path):
    paddle.save({"encoder.weight": paddle.zeros([2])}, str(tmp_path / "net.pdparams"))
    with pytest.raises(
        CheckpointError, match="an unknown layout; its keys start with encoder.weight"
    ):
        checkpoints.load(tmp_path / "net.pdparams")
    with pytest.raises(
        CheckpointError, match="none.npz: no such file; check the path of the weights"
    ):
        checkpoints.load(tmp_path / "none.npz")


def test_full_disk_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    storage.write_arrays(path, {"x": np.arange(3)}, {"n": 1})

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(storage.os, "fsync", full)
    with pytest.raises(
        StorageError, match=r"a.npz: cannot write it \(No space left on device\); free some space"
    ):
        storage.write_arrays(path, {"x": np.arange(9)}, {"n": 2})
    arrays, meta = storage.read_arrays(path)
    assert meta == {"n": 1} and arrays["x"].tolist() == [0, 1, 2]
    assert [one.name for one in tmp_path.iterdir()] == ["a.npz"]


def spoiled(arrays, name, number):
    """The arrays with one value of one tensor replaced."""
    arrays = {key: np.array(value) for key, value in arrays.items()}
    arrays[name].flat[0] = number
    return arrays


SPOILED = [
    (float("nan"), r"holds NaN \(not a number\), in 1 of 32 values"),
    (float("inf"), "holds infinity, in 1 of 32 values"),
    (-0.5, r"holds a negative BatchNorm variance \(-0.5\)"),
]


@pytest.mark.parametrize("number, message", SPOILED)
def test_values_of_no_trained_network_are_refused_by_name(network, tmp_path, number, message):
    """By the tensor's name in the file, in each format that there is."""
    path = tmp_path / "net.npz"
    state = spoiled(networks.state_of(network), "l10.graph.bn._variance", number)
    checkpoints.save_state(path, network.spec, state)
    with pytest.raises(CheckpointError, match=rf"net.npz: l10.graph.bn._variance {message}"):
        checkpoints.load(path)
    with pytest.raises(CheckpointError, match=rf"net.npz: l10.graph.bn._variance {message}"):
        checkpoints.read(path)  # as `convert` does, which builds nothing first
    with pytest.raises(CheckpointError, match=rf"memory: l10.graph.bn._variance {message}"):
        networks.load_state(networks.build(network.spec), state, "memory")
    arrays = spoiled(published(network), "l10.gcn1.bn._variance", number)
    paddle.save(
        {name: paddle.to_tensor(value) for name, value in arrays.items()},
        str(tmp_path / "net.pdparams"),
    )
    with pytest.raises(CheckpointError, match=rf"net.pdparams: l10.gcn1.bn._variance {message}"):
        checkpoints.load(tmp_path / "net.pdparams")


@pytest.mark.parametrize(
    "value, message",
    [
        (np.full((32, 4), 1e300), "holds numbers too large for float32, in 128 of 128 values"),
        (np.ones((32, 4), "int8"), "holds int8 values, not floating-point weights"),
        (np.ones((32, 4), "uint16"), "holds uint16 values"),
        (np.ones((32, 4), "complex64"), "holds complex64 values"),
    ],
)
def test_numbers_that_paddle_would_cast_without_a_word_are_refused(
    network, tmp_path, value, message
):
    state = networks.state_of(network) | {"fc.weight": value}
    checkpoints.save_state(tmp_path / "net.npz", network.spec, state)
    with pytest.raises(CheckpointError, match=f"net.npz: fc.weight {message}"):
        checkpoints.load(tmp_path / "net.npz")


def test_float16_and_float64_weights_and_a_variance_of_zero_are_read(network, tmp_path):
    state = networks.state_of(network)
    state["fc.weight"] = state["fc.weight"].astype("float16")
    state["fc.bias"] = state["fc.bias"].astype("float64")
    state["l10.graph.bn._variance"][:] = 0
    checkpoints.save_state(tmp_path / "net.npz", network.spec, state)
    loaded = networks.state_of(checkpoints.load(tmp_path / "net.npz"))
    np.testing.assert_array_equal(loaded["fc.weight"], state["fc.weight"].astype("float32"))
    assert not loaded["l10.graph.bn._variance"].any()


def test_a_checkpoint_of_other_edges_is_refused():
    """As many joints in another order are other joints; no shape tells."""
    chain = Skeleton("own_5", 5, ((2, 1), (3, 2), (4, 3), (5, 4)), 1)
    star = Skeleton("own_5", 5, ((2, 1), (3, 1), (4, 1), (5, 1)), 1)
    spec = SimpleNamespace(network="ctrgcn", skeleton=star, input_shape=(3, 8, 5, 1), classes=2)
    view = SimpleNamespace(shape=(3, 8, 5, 1), name="crop_resize")
    task = Task(SimpleNamespace(name="own", classes=("a", "b")), chain, view)
    with pytest.raises(CheckpointError, match="its graph is 'own_5', that of data set 'own'"):
        check_fits("net.npz", spec, task)
    turned = Skeleton("mine", 5, tuple(bone[::-1] for bone in chain.bones), 5)
    spec.skeleton = turned
    check_fits("net.npz", spec, task)


def test_a_graph_that_is_stored_must_have_the_skeletons_bones():
    chain = Skeleton("own_3", 3, ((2, 1), (3, 2)), 1)
    stored = np.zeros((2, 3, 3), np.float32)
    stored[0] = np.eye(3)
    stored[1, 0, 1] = stored[1, 1, 2] = 0.5
    check_graph(stored, chain)
    with pytest.raises(CheckpointError, match=r"1 of its 2 bones are not joined in it, \[3, 1\]"):
        check_graph(stored, Skeleton("own_3", 3, ((2, 1), (3, 1)), 1))


def test_classes_of_other_numbers_are_refused_unless_the_classifier_follows():
    """As many classes in another order fit by every shape, and nearly all answers are wrong."""
    data = SimpleNamespace(name="own", classes=("clap", "kick", "wave"))
    for same in ((), data.classes, ("clapping", "kick", "waving")):
        as_trained.check_classes("net.npz", same, data)
    about = {"classes": ["kick", "clap", "wave"], "preprocessing": [{"op": "fit", "frames": 288}]}
    with pytest.raises(
        CheckpointError, match="net.npz: its class 0 is 'kick', which is class 1 of"
    ):
        as_trained.check("net.npz", None, about, seen_as(), data, trains=False)
    assert as_trained.check("net.npz", None, about, seen_as(), data, trains=True)


def test_a_deployed_folder_and_saved_weights_are_judged_on_their_own_classes(
    tmp_path, tiny_spec, tiny_dataset, tiny_view
):
    classes = tiny_dataset.classes
    network = networks.build(tiny_spec)
    network.eval()
    task = Task(tiny_dataset, tiny_dataset.skeleton, tiny_view)
    about = Model(network, tiny_view).about(tiny_dataset)
    clips = np.zeros((2, *tiny_spec.input_shape), "float32")
    for order, fits in ((classes, True), (classes[::-1], False)):
        folder = tmp_path / order[0]
        told = about | {"classes": list(order)}
        checkpoints.save(tmp_path / "net.npz", network, told)
        package.build(network, folder, ("onnx",), told, clips, in_process(network)(clips))
        for judge, what in ((any_weights, tmp_path / "net.npz"), (as_deployed, folder)):
            if fits:
                judge(what, task)
                continue
            with pytest.raises(CheckpointError, match="every answer would be read as another"):
                judge(what, task)


def seen_as(*steps, frames=288):
    return SimpleNamespace(name="branches", shape=(18, frames, 25, 2), eval_ops=steps)


def test_weights_that_see_clips_otherwise_than_in_training_say_so():
    spec = SimpleNamespace(network="efficientgcn", branches=3, skeleton=NTU_25)
    data = SimpleNamespace(name="ntu", classes=())
    fit = {"op": "fit", "frames": 288}
    centre = {"op": "centre", "joint": 1, "frame": 0}
    turned = {"op": "view_transform", "centre": 1}

    def differences(view, about=None, trains=False):
        return as_trained.check("net.pdparams", spec, about or {}, view, data, trains)

    assert differences(seen_as(fit)) == []
    (frames,) = differences(seen_as(fit, frames=64))
    assert frames.endswith("published with 288 frames, input.frames is 64")
    with pytest.raises(CheckpointError, match="which it takes for other actions"):
        differences(seen_as(centre, fit))
    assert len(differences(seen_as(centre, fit), trains=True)) == 1
    assert differences(seen_as(centre, turned, fit)) == []
    saved = {"preprocessing": [fit]}
    assert differences(seen_as(fit), saved) == []
    (step,) = differences(seen_as(centre, fit), saved)
    assert "its step 1 was" in step
