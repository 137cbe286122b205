"""The 24 kinds of torch files that people have: 22 are read, two are refused for what they are; and
what is no checkpoint at all is called by its name."""

import argparse
import datetime
import enum
import io
import json
import pathlib
import pickle
import struct
import sys
import types
import zipfile
from collections import OrderedDict, defaultdict

import numpy as np
import paddle
import pytest

from export.formats import paddle_version
from teachers import ctrgcn, networks
from teachers.ctrgcn import keys
from teachers.errors import CheckpointError
from teachers.skeleton import UCLA_20
from teachers.weights import bfloat16, checkpoints, kinds, unknown_networks
from tests.test_torch_files import Call, Global, Reference, written

SPEC = ctrgcn.default_spec(4, UCLA_20, 64, 1, config=ctrgcn.Config(8))


@pytest.fixture(scope="module")
def state():
    """A narrow CTR-GCN under the names and in the layout of its authors' torch code."""
    network = networks.build(SPEC)
    names = {"_mean": "running_mean", "_variance": "running_var"}
    arrays = {}
    for name, value in keys.to_published(network.spec, networks.state_of(network)).items():
        stem, _, last = name.rpartition(".")
        linear = last == "weight" and value.ndim == 2
        torch_name = f"{stem}.{names.get(last, last)}" if stem else name
        # Few bits, so that half precision and bfloat16 hold them as well.
        rounded = np.round(value * 8) / 8 if last != "_variance" else np.ones_like(value)
        arrays[torch_name] = np.array(rounded.T if linear else rounded, "float32", order="C")
    arrays["data_bn.num_batches_tracked"] = np.array(7)
    return arrays


def renamed(state, prefix):
    return OrderedDict((prefix + name, value) for name, value in state.items())


def doubled(state):
    """Another network of the same names: a moving average, or a teacher."""
    return {
        name: value * 2 if value.dtype.kind == "f" and value.ndim > 1 else value
        for name, value in state.items()
    }


def foreign(monkeypatch, module, name, base=object):
    """A class of a package that is not here, as long as it is pickled."""
    parts = module.split(".")
    for length in range(1, len(parts) + 1):
        path = ".".join(parts[:length])
        monkeypatch.setitem(sys.modules, path, sys.modules.get(path) or types.ModuleType(path))
    made = type(name, (base,), {"__module__": module})
    setattr(sys.modules[module], name, made)
    return made


class Reduction(enum.Enum):
    MEAN = "mean"


def mmengine(state, monkeypatch):
    history = foreign(monkeypatch, "mmengine.logging.history_buffer", "HistoryBuffer")()
    history._log_history = [np.float64(1.5), np.float64(0.5)]
    history._statistics_methods = OrderedDict(
        mean=Call(Global("__builtin__", "getattr"), 1, "mean")
    )
    meta = {"epoch": 16, "cfg": "model = dict()", "dataset_meta": {}, "mmengine_version": "0.10"}
    return {
        "meta": meta,
        "message_hub": {"log_scalars": {"loss": history}, "runtime_info": {"iter": 3}},
        "state_dict": renamed(state, "backbone."),
        "optimizer": {"state": {0: {"momentum_buffer": np.ones(3, "f4")}}, "param_groups": []},
        "param_schedulers": [{"milestones": [30]}],
    }


def lightning(state, monkeypatch):
    attributes = foreign(monkeypatch, "pytorch_lightning.utilities.parsing", "AttributeDict", dict)
    stage = Call(Global("lightning.pytorch.trainer.states", "RunningStage"), "train")
    return {
        "epoch": 3,
        "state_dict": renamed(state, "model.") | {"criterion.weight": np.ones(4, "f4")},
        "hyper_parameters": attributes({"lr": 0.1}),
        "callbacks": {stage: {"best_model_path": pathlib.PurePosixPath("/x")}},
    }


def omegaconf(state, monkeypatch):
    config = foreign(monkeypatch, "omegaconf.dictconfig", "DictConfig")()
    config._content = {"lr": config}
    return {"model": state, "cfg": config, "scaler": defaultdict(list, {"a": [1]})}


def mmcv_averaged(state, _):
    plain = renamed(state, "backbone.")
    averages = {f"ema_backbone_{name.replace('.', '_')}": doubled(state)[name] for name in state}
    return {"meta": {"mmcv_version": "1.7"}, "state_dict": plain | averages}


def namespace(state, _):
    arguments = argparse.Namespace(lr=0.1, save=pathlib.PurePosixPath("/x"))
    arguments.nested = argparse.Namespace(me=arguments)
    return {"weights": state, "args": arguments}


def objects(state, _):
    return {
        "net": state,
        "saved": datetime.datetime(2024, 5, 1, tzinfo=datetime.UTC),
        "paths": [pathlib.PurePosixPath("/x")],
        "reduction": {Reduction.MEAN: 1},
        "device": Call(Global("torch", "device"), "cuda", 0),
        "dtype": Global("torch", "float32"),
        "generator": Call(Global("numpy.random", "__RandomState_ctor"), "MT19937"),
    }


def bfloat16_of(state, _):
    """Storages of bfloat16: the upper halves of float32."""
    return {
        name: Bits((value.view("<u4") >> 16).astype("<u2")) if value.dtype.kind == "f" else value
        for name, value in state.items()
    }


class Bits(np.ndarray):
    """uint16 that the writer below saves as bfloat16."""

    def __new__(cls, values):
        return np.asarray(values).view(cls)


READ = {
    "state dict": lambda state, _: OrderedDict(state),
    "trainer's dict": lambda state, _: {"state_dict": state, "epoch": 65, "best": np.float64(0.9)},
    "module.": lambda state, _: renamed(state, "module."),
    "_orig_mod.": lambda state, _: renamed(state, "_orig_mod."),
    "_orig_mod. inside": lambda state, _: renamed(state, "backbone._orig_mod."),
    "net.": lambda state, _: {"state_dict": renamed(state, "net.")},
    "student.": lambda state, _: renamed(state, "student."),
    "model.module.": lambda state, _: {"model": renamed(state, "model.module.")},
    "any.first.part.": lambda state, _: {"checkpoint": renamed(state, "any.first.part.")},
    "Lightning": lightning,
    "mmengine, mmaction2 1.x": mmengine,
    "mmcv, mmaction2 0.x": lambda state, _: {
        "meta": {"config": "x", "CLASSES": None},
        "state_dict": renamed(state, "backbone."),
    },
    "mmcv EMA": mmcv_averaged,
    "timm EMA": lambda state, _: {"state_dict": state, "state_dict_ema": doubled(state)},
    "model_ema": lambda state, _: {"model": state, "model_ema": doubled(state)},
    "argparse.Namespace": namespace,
    "omegaconf": omegaconf,
    "paths, enums, dates": objects,
    "SWA": lambda state, _: renamed(state, "module.") | {"n_averaged": np.array(3)},
    "bfloat16": bfloat16_of,
    "float16": lambda state, _: {
        name: value.astype("<f2") if value.dtype.kind == "f" else value
        for name, value in state.items()
    },
}
AVERAGED = ("mmcv EMA", "timm EMA", "model_ema")


def same(spec_and_state, state):
    arrays = {}
    for name, value in state.items():
        if name.endswith("num_batches_tracked"):
            continue
        plain = name.replace("running_mean", "_mean").replace("running_var", "_variance")
        arrays[plain] = value.T if plain.endswith("weight") and value.ndim == 2 else value
    expected = keys.from_published(arrays)[1]
    assert spec_and_state[0].blocks == SPEC.blocks
    assert spec_and_state[1].keys() == expected.keys()
    for name, value in expected.items():
        assert spec_and_state[1][name].dtype == np.float32
        np.testing.assert_array_equal(spec_and_state[1][name], value, err_msg=name)


@pytest.mark.parametrize("kind", ["zip", "legacy"])
@pytest.mark.parametrize("name", READ)
def test_every_kind_is_read(tmp_path, monkeypatch, state, name, kind):
    if kind == "legacy" and name not in ("state dict", "argparse.Namespace", "bfloat16"):
        pytest.skip("the same pickle as in the zip")
    path = tmp_path / "net.pth"
    path.write_bytes(written(kind, READ[name](state, monkeypatch)))
    same(checkpoints.read(path), state)
    if name in AVERAGED:
        same(checkpoints.read(f"{path}#ema"), doubled(state) | _statistics(state))
    else:
        with pytest.raises(CheckpointError, match=r"has no averaged weights \(ema\)"):
            checkpoints.read(f"{path}#ema")


def _statistics(state):
    return {name: value for name, value in state.items() if value.ndim < 2}


def test_mmengine_saves_the_average_as_the_state_dict(tmp_path, monkeypatch, state):
    """Its hook swaps the two when it saves."""
    content = mmengine(doubled(state), monkeypatch)
    content["ema_state_dict"] = renamed(state, "module.backbone.") | {"steps": np.array(9)}
    path = tmp_path / "net.pth"
    path.write_bytes(written("zip", content))
    same(checkpoints.read(f"{path}#ema"), doubled(state))
    same(checkpoints.read(path), doubled(state))


def test_either_network_of_a_distillation_by_any_spelling(tmp_path, state):
    both = renamed(state, "module.student.") | renamed(doubled(state), "module.teacher.")
    path = tmp_path / "net.pth"
    path.write_bytes(written("zip", both))
    same(checkpoints.read(path), state)
    same(checkpoints.read(f"{path}#Teacher"), doubled(state))


def safetensors(arrays, dtypes=()):
    """The format by hand: the length of a JSON header, the header, the data."""
    header, data = {"__metadata__": {"format": "pt"}}, b""
    names = {"float32": "F32", "int64": "I64", "uint16": "BF16", "uint8": "F8_E4M3"}
    for name, value in arrays.items():
        end = len(data) + value.nbytes
        header[name] = {
            "dtype": names[str(value.dtype)],
            "shape": list(value.shape),
            "data_offsets": [len(data), end],
        }
        data += value.tobytes()
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def test_safetensors(tmp_path, state):
    pytest.importorskip("safetensors")
    path = tmp_path / "model.safetensors"
    path.write_bytes(safetensors(renamed(state, "backbone.")))
    same(checkpoints.read(path), state)
    path.write_bytes(safetensors(bfloat16_of(state, None)))
    same(checkpoints.read(path), state)
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    with pytest.raises(
        CheckpointError, match=r"model.safetensors: the safetensors file is damaged"
    ):
        checkpoints.read(path)
    path.write_bytes(safetensors({"fc.weight": np.ones((4, 2), "uint8")}))
    with pytest.raises(CheckpointError, match=r"fc.weight holds F8_E4M3 values"):
        checkpoints.read(path)


def test_bfloat16_is_exact():
    numbers = np.array([0, 1, -2.5, 3e38, np.inf, 1e-40, np.nan], "float32").view("<u4")
    bits = (numbers >> 16).astype("<u2")
    np.testing.assert_array_equal(bfloat16.to_float32(bits), (numbers >> 16 << 16).view("<f4"))


def test_bfloat16_of_paddle_and_unknown_objects_beside_its_weights(tmp_path, state):
    arrays = {}
    for name, value in state.items():
        plain = name.replace("running_mean", "_mean").replace("running_var", "_variance")
        value = value.T if plain.endswith("weight") and value.ndim == 2 else value
        arrays[plain] = np.ascontiguousarray(value)
        if value.dtype == np.float32:
            arrays[plain] = (arrays[plain].view("<u4") >> 16).astype("<u2")
    path = tmp_path / "net.pdparams"
    arguments = argparse.Namespace(config=pathlib.PurePosixPath("/x"))
    for protocol in range(6):
        path.write_bytes(pickle.dumps({"model": arrays, "args": arguments}, protocol))
        same(checkpoints.read(path), state)


def test_a_whole_pickled_network_is_refused(tmp_path, monkeypatch):
    network = foreign(monkeypatch, "model.ctrgcn", "Model")()
    network.training = True
    path = tmp_path / "net.pt"
    message = r"net.pt: holds a whole pickled object of class 'model.ctrgcn.Model', which only its"
    for content in (network, {"model": network, "epoch": 3}):
        path.write_bytes(written("zip", content))
        with pytest.raises(CheckpointError, match=rf"{message}.*torch.save\(model.state_dict\(\)"):
            checkpoints.read(path)


def zipped(*names):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    return file.getvalue()


def numpy_file(value):
    file = io.BytesIO()
    np.save(file, value)
    return file.getvalue()


FOREIGN = {
    b"": "is empty",
    zipped(
        "net/data.pkl", "net/constants.pkl", "net/code/__torch__.py"
    ): "is a TorchScript program",
    zipped("a.npy", "b.npy"): "is a NumPy archive of arrays",
    zipped("net.pth", "readme.txt"): r"is a zip archive that holds no torch",
    b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 5\n": "is a Git LFS pointer",
    b"\n<!DOCTYPE html><html><title>Sign in</title></html>": "is an HTML page",
    b'<?xml version="1.0"?><Error><Code>AccessDenied</Code>': "is an XML text",
    b'{"message": "Not Found"}': "is a JSON text",
    numpy_file(np.array({"fc.weight": 1}, dtype=object)): "is a NumPy array",
    b"\x89HDF\r\n\x1a\n" + bytes(80): "is an HDF5 file",
    b"\x1f\x8b\x08" + bytes(80): "is packed with gzip",
    b"net.pth".ljust(257, b"\0") + b"ustar\0" + bytes(250): "is a tar archive",
}


@pytest.mark.parametrize("data", FOREIGN, ids=FOREIGN.values())
def test_what_is_no_checkpoint_is_called_by_its_name(tmp_path, data):
    path = tmp_path / "net.pth"
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=f"net.pth: {FOREIGN[data]}") as caught:
        checkpoints.read(path)
    assert "damaged" not in str(caught.value) and "truncated" not in str(caught.value)


def test_models_that_a_runtime_executes_are_called_by_their_name(tmp_path):
    paddle.enable_static()
    try:
        program = paddle.static.Program()
        with paddle.static.program_guard(program, paddle.static.Program()):
            paddle.static.nn.fc(paddle.static.data("x", [None, 4]), 3)
        # A program of Paddle 3 is JSON: `test_paddle_version`.
        data = program.desc.serialize_to_string() if paddle_version.major() == 2 else None
    finally:
        paddle.disable_static()
    onnx = pytest.importorskip("onnx")
    graph = onnx.helper.make_graph([], "net", [], [])
    model = onnx.helper.make_model(graph, producer_name="pytorch").SerializeToString()
    # As SerializeToStream writes a tensor of float32 (4, 3).
    parameters = bytes(16) + struct.pack("<i", 6) + b"\x08\x05\x10\x04\x10\x03" + bytes(48)
    for content, what in (
        (data, r"a Paddle program \(.pdmodel\)"),
        (model, "an ONNX model"),
        (parameters, "the parameters of a Paddle program"),
    ):
        if content is None:
            continue
        (tmp_path / "net.pth").write_bytes(content)
        with pytest.raises(CheckpointError, match=f"net.pth: is {what}.*; .featherbone accuracy"):
            checkpoints.read(tmp_path / "net.pth")


UNKNOWN = {
    "Shift-GCN": ["l1.gcn1.Linear_weight", "l1.tcn1.shift_in.xpos", "fc.weight"],
    "2s-AGCN": ["l1.gcn1.PA", "l1.gcn1.conv_a.0.weight", "fc.weight"],
    "AAGCN": ["gcn.0.gcn.conv_a.0.weight", "gcn.0.gcn.conv_ta.weight"],
    "MS-G3D": ["gcn3d1.gcn3d.0.out_conv.weight", "sgcn1.0.A_res", "fc.weight"],
    "InfoGCN": ["to_joint_embedding.weight", "l1.tcn1.branches.0.0.bias"],
    "HD-GCN": ["l1.gcn1.aha.conv.weight", "l1.tcn1.branches.0.0.bias"],
    "TD-GCN": ["l1.gcn1.convs1.0.conv1.weight", "l1.tcn1.branches.0.0.bias"],
    "PoseC3D": ["conv1.conv.weight", "layer1.0.conv1.conv.weight"],
}


@pytest.mark.parametrize("network", UNKNOWN)
def test_a_network_that_is_not_here_is_told_by_its_keys(tmp_path, network):
    path = tmp_path / "net.pth"
    names = {f"module.backbone.{name}": np.ones((2, 2), "f4") for name in UNKNOWN[network]}
    path.write_bytes(written("zip", {"state_dict": names}))
    with pytest.raises(CheckpointError, match=rf"net.pth: holds {network}.*\(told by its '"):
        checkpoints.read(path)


def test_no_network_of_this_project_is_told_as_another(state, shared):
    assert unknown_networks.named(state) is None
    for path in sorted((shared / "weights").glob("*.p*t*")):
        checkpoints.read(path)


def test_two_tensors_of_one_name_are_an_error(tmp_path, state):
    path = tmp_path / "net.pth"
    twice = renamed(state, "backbone.") | {"head.fc.bias": np.zeros(4, "f4")}
    path.write_bytes(written("zip", twice))
    with pytest.raises(CheckpointError, match=r"two of its tensors are 'fc.bias' without their"):
        checkpoints.read(path)


def test_several_dicts_of_weights_are_named(tmp_path, state):
    path = tmp_path / "net.pth"
    path.write_bytes(written("zip", {"joint": state, "bone": state}))
    with pytest.raises(CheckpointError, match=r"holds several networks \(joint, bone\)"):
        checkpoints.read(path)


def test_tensors_of_unknown_types_are_refused(tmp_path):
    path = tmp_path / "net.pth"
    storage = Reference("storage", Global("torch", "QInt8Storage"), "0", "cpu", 4)
    call = Call(Global("torch._utils", "_rebuild_tensor_v2"), storage, 0, (4,), (1,))
    path.write_bytes(written("zip", {"fc.weight": call}))
    with pytest.raises(CheckpointError, match=r"holds tensors of torch.QInt8Storage, which are"):
        checkpoints.read(path)
    assert kinds.format_of(path, path.read_bytes()) == kinds.TORCH
