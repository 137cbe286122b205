"""What a stranger's file may not do: run code, write files, fill memory, take for ever, or send a
terminal anything but text."""

from __future__ import annotations

import json
import math
import pickle
import struct
import time
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from benchmarks import fuzz_models
from compress.budget.measure import measure
from compress.data import arrays
from compress.data.dataset import Dataset, Split
from compress.predict import main as predict
from compress.schema import yaml_tree
from export import deployed
from export.formats import paddle_version
from export.runtimes import inference, onnx_graph, ort, paddle_program, trial
from teachers import storage
from teachers.errors import (
    CheckpointError,
    DataError,
    ExportMismatch,
    RecipeError,
    printable,
)
from teachers.skeleton import NTU_25
from teachers.storage import json_text, seal
from teachers.weights import paddle_files, safe_pickle, torch_zip


# Every test below that asks for files needs them of Paddle 2, which Paddle 3 does not write; programs
# of Paddle 3 are in test_paddle_version.py.
@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """(.pdmodel, .pdiparams, .onnx) of networks that are as small as can be."""
    if paddle_version.major() >= 3:
        pytest.skip("needs Paddle 2, to write a .pdmodel")
    folder = tmp_path_factory.mktemp("models")
    return (*fuzz_models.paddle_model(folder), fuzz_models.onnx_model())


@pytest.fixture
def folder(models, tmp_path):
    """A deployed folder without a seal."""
    place = tmp_path / "deploy"
    place.mkdir()
    for name, content in zip(
        ("model.pdmodel", "model.pdiparams", "model.onnx"), models, strict=True
    ):
        (place / name).write_bytes(content)
    (place / "deployed.json").write_bytes(fuzz_models.description(sealed=False))
    return place


def changed(folder: Path, **changes) -> None:
    path = folder / "deployed.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


# deployed.json


@pytest.mark.parametrize(
    "change, said",
    [
        ({"views": 10**9}, "views: must be 1 to 1000, is 1000000000"),
        ({"views": True}, "views: expected a whole number, got 'True'"),
        ({"classes": ["a", "\x1b[31mred"]}, r"the text '\x1b[31mred' holds control characters"),
        ({"classes": ["a"]}, "classes: are 1, but output.shape is [None, 2]"),
        ({"classes": ["a", 5]}, "classes[1]: expected text, got '5'"),
        ({"surprise": 1}, "unknown key 'surprise'"),
        ({"version": 3}, "format: is 'featherbone-deployed', version 3"),
        ({"version": 2}, "counted_from: must be 0 from version 2 on"),
        ({"counted_from": 0}, "counted_from: must be 0 from version 2 on, and not there before"),
        ({"version": 2, "counted_from": 1}, "counted_from: must be 0 from version 2 on"),
        ({"requires": {"onnx": {"opset": 15}}}, "requires.onnx.opset: expected text"),
        ({"steps": {"centre": ["x"]}}, "steps.centre: expected text"),
        ({"files": {"onnx": ["../model.onnx"]}}, "'../model.onnx' is no plain name"),
        ({"files": {"onnx": ["..\\model.onnx"]}}, "is no plain name"),
        ({"files": {"paddle": ["a.pdmodel", "a.pdmodel"]}}, "names a file twice"),
        ({"files": {}}, "names no model"),
        (
            {"input": {"name": "x", "shape": [None, 3, 10**6, 25, 1000]}},
            "at most 100000000 numbers",
        ),
        ({"input": {"name": "x", "shape": [None, 3, -1, 25, 2]}}, "must be [null, C, T, V, M]"),
        ({"recorded": {"channels": 3, "joints": 10**9}}, "joints: must be 1 to 10000"),
        ({"preprocessing": [{"op": "sample", "frames": 10**9}]}, "numbers must be within 100000"),
        ({"preprocessing": [{"op": "centre", "joint": float("nan")}]}, "numbers must be within"),
        ({"preprocessing": [{"op": "x", "a": [[[[[[[1]]]]]]]}]}, "nested too deeply"),
        ({"preprocessing": [{"op": "x", "a": [1] * 20_000}]}, "at most 10000 values"),
        ({"preprocessing": [{"frames": 1}]}, "op: must name a step"),
    ],
)
def test_a_description_beyond_its_schema_is_refused(folder, change, said):
    changed(folder, **change)
    with pytest.raises(CheckpointError) as caught:
        deployed.read(folder)
    message = str(caught.value)
    assert said in message and "export it again" in message
    assert message.startswith(str(folder / "deployed.json")) and "\n" not in message


def test_a_description_with_a_key_twice_is_refused(folder):
    path = folder / "deployed.json"
    path.write_text(path.read_text().replace('"views": 2', '"views": 2, "views": 1'))
    with pytest.raises(CheckpointError, match="the key 'views' is there twice"):
        deployed.read(folder)


def test_files_of_another_kind_never_reach_a_runtime(folder, tmp_path, capsys):
    """Paddle crashes on deployed.json as a program."""
    changed(folder, files={"paddle": ["deployed.json", "x.json"]})
    np.save(tmp_path / "clip.npy", np.ones((2, 3, 3, 2), "f4"))
    assert predict([str(folder), str(tmp_path / "clip.npy")]) == 1
    assert "files: paddle must be model.pdmodel, model.pdiparams" in capsys.readouterr().err


@pytest.fixture
def sealed(folder):
    """The folder as this project would have written it."""
    deployed.write(folder, deployed.read(folder))
    return folder


def test_a_sealed_folder_is_read_and_any_change_is_noticed(sealed):
    assert set(deployed.read(sealed).sha256) == {
        "model.pdmodel",
        "model.pdiparams",
        "model.onnx",
        "deployed.json",
    }
    whole = (sealed / "deployed.json").read_text()
    (sealed / "deployed.json").write_text(json.dumps(json.loads(whole), indent=2))
    assert deployed.unsealed_note(sealed, deployed.read(sealed)) == ""
    changed(sealed, classes=["sit", "walk"])
    with pytest.raises(CheckpointError, match=r"deployed\.json changed since the folder was"):
        deployed.read(sealed)
    (sealed / "deployed.json").write_text(whole)
    (sealed / "model.onnx").write_bytes((sealed / "model.onnx").read_bytes() + b"\0")
    with pytest.raises(CheckpointError, match=r"model\.onnx changed since the folder was"):
        deployed.read(sealed)
    assert "model.onnx: changed since deployed.json was written" in measure(sealed, 10**7)["advice"]
    (sealed / "model.onnx").unlink()
    assert deployed.read(sealed).views == 2


def test_a_seal_names_no_file_elsewhere(folder, tmp_path):
    (tmp_path / "secret").write_text("x")
    description = {"sha256": {"../secret": "0", str(tmp_path / "secret"): "0"}}
    assert seal.broken(description, folder) == []


def test_predict_serves_a_folder_of_before_there_were_seals_with_a_note(folder, tmp_path, capsys):
    np.save(tmp_path / "clip.npy", np.ones((2, 5, 3, 2), "f4"))
    for kind, code in (("onnx", 0), ("paddle", 0)):
        assert predict([str(folder), str(tmp_path / "clip.npy"), "--runtime", kind]) == code
        out, err = capsys.readouterr()
        assert "has no 'sha256'" in err
        assert json.loads(out.splitlines()[-1])["clips"][0]["class"] in ("walk", "sit")


def test_a_model_of_other_classes_is_refused_when_it_answers(folder, tmp_path, capsys):
    changed(folder, classes=list("abc"), output={"name": "logits", "shape": [None, 3]})
    np.save(tmp_path / "clip.npy", np.ones((2, 5, 3, 2), "f4"))
    assert predict([str(folder), str(tmp_path / "clip.npy")]) == 4
    assert "returns float32 of shape (2, 2), expected" in capsys.readouterr().err


# Model files


def test_a_program_that_writes_files_is_refused_and_not_run(folder, tmp_path, capsys):
    marker = tmp_path / "written"
    np.save(tmp_path / "clip.npy", np.ones((2, 5, 3, 2), "f4"))
    program = (folder / "model.pdmodel").read_bytes()
    for hostile in fuzz_models.hostile_programs(program, marker):
        (folder / "model.pdmodel").write_bytes(hostile)
        assert predict([str(folder), str(tmp_path / "clip.npy"), "--runtime", "paddle"]) == 4
        err = capsys.readouterr().err
        assert "not known to do nothing but compute" in err and len(err.splitlines()) == 2
        with pytest.raises(ExportMismatch, match="has an operator '(save|save_combine|print)'"):
            inference.load([folder / "model.pdmodel", folder / "model.pdiparams"])
    assert not marker.exists()


def programs(models):
    return paddle_files.program_of(models[0])


def test_operators_of_every_block_are_looked_at(folder, models):
    program = programs(models)
    program.blocks.add(idx=1, parent_idx=0).ops.add(type="load")
    (folder / "model.pdmodel").write_bytes(program.SerializeToString())
    with pytest.raises(ExportMismatch, match="has an operator 'load'"):
        paddle_program.check(folder / "model.pdmodel", folder / "model.pdiparams")


def test_a_program_must_be_whole(folder, models):
    def refused(change, said):
        program = programs(models)
        change(program.blocks[0])
        (folder / "model.pdmodel").write_bytes(program.SerializeToString())
        with pytest.raises(ExportMismatch, match=said):
            paddle_program.check(folder / "model.pdmodel", folder / "model.pdiparams")

    def huge(block):
        attribute = block.ops[1].attrs.add(name="shape", type=3)
        attribute.ints.extend([2**30, 2**30])

    refused(huge, "at most 100000000 numbers are made")
    refused(lambda block: block.ops.add(type="feed"), "has 2 inputs")
    refused(lambda block: block.ops.__delitem__(1), "which is not there before it")
    refused(lambda block: block.ops[1].attrs.add(name="b", type=8), "runs a block of its own")
    parameter = next(v for v in programs(models).blocks[0].vars if v.name.endswith("w_0"))

    def other(block):
        variable = next(v for v in block.vars if v.name == parameter.name)
        paddle_files.tensor_of(variable).dims[0] = 10**9

    refused(other, "tensors that are not the")


def test_a_program_may_speak_of_weights_as_they_were_before_a_quantiser_wrote_them(folder, models):
    """PaddleSlim's: int8 where float32 is declared, scales with a dimension more."""
    program = programs(models)
    names = paddle_files.parameter_names(folder / "model.pdmodel")
    path = folder / "model.pdiparams"
    parts = [(tensor, bytes(values)) for tensor, values in paddle_files.contents(path.read_bytes())]
    # One of two sizes or more, or in one axis it would be no other tensor.
    number = next(
        i for i, (tensor, _) in enumerate(parts) if sum(size > 1 for size in tensor.dims) > 1
    )
    tensor, values = parts[number]
    assert len(names) == len(parts) and tensor.data_type == paddle_program.FLOAT32
    sizes = list(tensor.dims)

    def stored(kind, dims, count):
        tensor.data_type = kind
        tensor.ClearField("dims")
        tensor.dims.extend(dims)
        parts[number] = tensor, values[:count]
        path.write_bytes(paddle_files.combined(parts))

    (folder / "model.pdmodel").write_bytes(program.SerializeToString())
    stored(paddle_program.INT8, [1, *sizes], len(values) // 4)
    paddle_program.check(folder / "model.pdmodel", path)
    stored(paddle_program.FLOAT32, [math.prod(sizes)], len(values))
    with pytest.raises(ExportMismatch, match="tensors that are not the"):
        paddle_program.check(folder / "model.pdmodel", path)


def test_parameters_that_claim_more_than_there_is_are_refused(folder):
    path = folder / "model.pdiparams"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ExportMismatch, match="model.pdiparams: damaged or truncated"):
        paddle_program.check(folder / "model.pdmodel", path)


def test_a_tensor_of_a_million_dimensions_takes_no_time():
    dims = b"\x08\x05" + b"\x10\xff\xff\xff\xff\xff\xff\xff\xff\x7f" * 100_000
    data = struct.pack("<IQ", 0, 0) + struct.pack("<Ii", 0, len(dims)) + dims
    with pytest.raises(ValueError, match="unknown type or size"):
        list(paddle_files.tensors(data))


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda graph: setattr(graph.node[0], "domain", "evil"), "of the domain 'evil'"),
        (lambda graph: setattr(graph.node[0], "op_type", "Loop"), "has a loop"),
        (lambda graph: graph.node.__delitem__(slice(None)), "0 operators"),
    ],
)
def test_a_graph_beyond_the_standard_is_refused(folder, models, change, said):
    import onnx

    model = onnx.load_model_from_string(models[2])
    change(model.graph)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ExportMismatch, match=said):
        onnx_graph.check(folder / "model.onnx")


@pytest.mark.parametrize("place", ["/etc/passwd", "../secret", "nowhere", "link", ""])
def test_weights_outside_the_folder_are_refused(folder, models, place):
    import onnx

    (folder.parent / "secret").write_bytes(bytes(288))
    (folder / "link").symlink_to(folder.parent / "secret")
    model = onnx.load_model_from_string(models[2])
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = tensor.EXTERNAL
    tensor.external_data.add(key="location", value=place)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ExportMismatch, match="which is no file in its folder"):
        onnx_graph.check(folder / "model.onnx")


# A process of its own


def served(x):
    return np.zeros((len(x), 2), np.float32)


@pytest.mark.parametrize(
    "behaves, said",
    [
        (lambda: served, None),
        (lambda: partial(_die), "crashes its runtime"),
        (lambda: lambda x: time.sleep(30), "takes more than 0.5 s"),
        (lambda: lambda x: np.ones(10**9, np.int8).nbytes, None),
        (lambda: lambda x: _fill(), "or more memory than there is"),
        (lambda: lambda x: Path("written").write_text("x" * 100), "crashes its runtime"),
        (lambda: _refuse(), "x: in words"),
    ],
)
def test_a_trial_survives_whatever_a_model_does(behaves, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    seconds = 0.5 if said and "0.5" in said else 60
    if said is None:
        trial.require(Path("x"), behaves, (1, 2), 0, seconds)
    else:
        with pytest.raises(ExportMismatch, match=said):
            trial.require(Path("x"), behaves, (1, 2), 0, seconds)
    assert not any(path.stat().st_size for path in tmp_path.iterdir())


def _die(x):
    import os
    import signal

    os.kill(os.getpid(), signal.SIGSEGV)


def _fill():
    kept = []
    while True:
        kept.append(np.ones(5 * 10**7, np.int8))


def _refuse():
    raise ExportMismatch("x: in words")


def test_both_runtimes_pass_their_trial(folder):
    trial.require(folder, partial(ort.load, [folder / "model.onnx"]), (2, 2, 3, 3, 2), 1000)
    files = [folder / "model.pdmodel", folder / "model.pdiparams"]
    trial.require(folder, partial(inference.load, files), (2, 2, 3, 3, 2), 1000)


# Pickles


def test_names_of_parameters_are_read_by_the_safe_unpickler(tmp_path):
    info = tmp_path / "model.pdiparams.info"
    names = {"conv2d_0.w_0": {"structured_name": "l1.conv.weight"}}
    info.write_bytes(pickle.dumps(names))
    assert paddle_files.structured_names(tmp_path / "model.pdiparams") == {
        "conv2d_0.w_0": "l1.conv.weight"
    }
    # An index of 2^31: Python's unpickler in C takes memory for as many.
    for content in (b"\x80\x02)r\xff\xff\xff\x7f.", pickle.dumps({1: 2}), b"no pickle"):
        info.write_bytes(content)
        assert paddle_files.structured_names(tmp_path / "model.pdiparams") == {}


@pytest.mark.parametrize(
    "data, said",
    [
        (b"\x80\x02" + b"]" * 200 + b"a" * 199 + b".", "nested too deeply"),
        (b"\x80\x02)" + b"\x85" * 200 + b".", "nested too deeply"),
        (b"\x80\x02" + b"(" * 200 + b"l" * 200 + b".", "nested too deeply"),
        (b"\x80\x02}\x8a\x08" + (2**61 - 1).to_bytes(8, "little") + b"K\x01s.", "beyond 60 bits"),
    ],
)
def test_a_pickle_that_takes_for_ever_is_refused(data, said):
    with pytest.raises(CheckpointError, match=said):
        safe_pickle.load(data, "x.pkl")


def test_a_pickle_of_too_many_opcodes_is_refused(monkeypatch):
    monkeypatch.setattr(safe_pickle, "WORK", 100)
    safe_pickle.load(pickle.dumps(list(range(20))), "x.pkl")
    with pytest.raises(CheckpointError, match="more opcodes than are read"):
        safe_pickle.load(pickle.dumps([[] for _ in range(50)]), "x.pkl")


def test_text_that_is_encoded_again_and_again_is_refused():
    text = "a" * 100_000
    start = b"\x80\x02c_codecs\nencode\nq\x00X" + struct.pack("<I", len(text)) + text.encode()
    again = b"h\x00h\x01U\x06latin1\x86R0" * 2_000
    with pytest.raises(CheckpointError, match="far more than the file has"):
        safe_pickle.load(start + b"q\x01" + again + b"].", "x.pkl")


# Archives


def packed(path: Path, numbers: int, name: str = "x_train.npy") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, npy(np.zeros(numbers, np.float32)))
    return path


def npy(array: np.ndarray) -> bytes:
    import io

    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


def test_an_archive_that_unpacks_to_far_more_is_refused_before(tmp_path, monkeypatch):
    from teachers.storage import archives

    path = packed(tmp_path / "x.npz", 1_000_000)
    assert arrays.open_npz(path, ("x_train",))["x_train"].nbytes == 4_000_000
    monkeypatch.setattr(archives, "ALLOWANCE", 1_000_000)
    with pytest.raises(DataError, match="it unpacks to 4,000,128 bytes, .*numpy.savez"):
        arrays.open_npz(path, ("x_train",))
    with pytest.raises(CheckpointError, match="it unpacks to 4,000,128 bytes"):
        storage.read_arrays(path)
    monkeypatch.setenv("FEATHERBONE_MAX_UNPACKED", "5000000")
    assert arrays.open_npz(path, ("x_train",))["x_train"].shape == (1_000_000,)
    monkeypatch.setenv("FEATHERBONE_MAX_UNPACKED", "much")
    with pytest.raises(DataError, match="'much' is no number of bytes"):
        arrays.open_npz(path, ("x_train",))


def test_what_is_not_packed_is_mapped_whatever_its_size(tmp_path, monkeypatch):
    from teachers.storage import archives

    monkeypatch.setattr(archives, "MOST_BYTES", 10)
    np.savez(tmp_path / "x.npz", x_train=np.zeros((2, 3, 150), np.float32))
    assert isinstance(arrays.open_npz(tmp_path / "x.npz", ("x",))["x_train"], np.memmap)


def test_a_header_that_claims_more_than_its_member_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x_train.npy", npy(np.zeros((9, 9))).replace(b"(9, 9)", b"(99,9)"))
    with pytest.raises(DataError, match=r"it claims a shape of \(99, 9\)"):
        arrays.open_npz(tmp_path / "x.npz", ("x_train",))


def test_an_array_of_objects_is_refused_clearly(tmp_path):
    np.savez_compressed(tmp_path / "x.npz", x_train=np.array([{}], dtype=object))
    with pytest.raises(DataError, match="not a readable .npz file of numbers"):
        arrays.open_npz(tmp_path / "x.npz", ("x_train",))


def test_a_torch_archive_that_is_packed_is_a_bomb(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(10**6))
    with pytest.raises(CheckpointError, match="more than the whole file has"):
        torch_zip.read(tmp_path / "x.pt")


# Text


@pytest.mark.parametrize("opening", ["[", "{", "- ", "? ", "a: [{"])
def test_brackets_are_not_gone_through_one_by_one(opening, monkeypatch):
    """60 KB of [ took a quarter of a minute: every token looked at every open bracket."""
    tokens = []
    fetch = yaml_tree._Loader.fetch_more_tokens
    monkeypatch.setattr(
        yaml_tree._Loader, "fetch_more_tokens", lambda self: (tokens.append(1), fetch(self))[1]
    )
    with pytest.raises(RecipeError, match="nested too deeply|not YAML"):
        yaml_tree.parse(opening * 20_000, lambda line: f"x.yaml:{line}")
    # PyYAML looks 1,024 characters ahead for the colon of a key.
    assert len(tokens) < 2000


def test_aliases_of_aliases_are_counted_each_time():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 8)]
    with pytest.raises(RecipeError, match=r"x.yaml:5: more than 100000 values"):
        yaml_tree.parse("\n".join(lines), lambda line: f"x.yaml:{line}")
    merges = ["m0: &m0 {k: 1}"]
    merges += [f"m{n}: &m{n} {{<<: *m{n - 1}, k{n}: 1}}" for n in range(1, 1000)]
    with pytest.raises(RecipeError, match="more than 100000 values"):
        yaml_tree.parse("\n".join(merges), lambda line: f"x.yaml:{line}")


@pytest.mark.parametrize(
    "data, said",
    [
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a": 1, "a": 2}', "the key 'a' is there twice"),
        (b"[" + b"[]," * 11_000_000 + b"[]]", "MB of memory"),
        (b"\xff", "not JSON, or truncated"),
    ],
)
def test_json_is_bounded(data, said):
    with pytest.raises(DataError, match=said):
        json_text.parse(data, "x.json")


def test_nothing_but_text_reaches_a_terminal():
    assert printable("a\x1b[31m\r\x9b\u202eb\tc\n") == "a\\x1b[31m\\r\\x9b\\u202eb\tc\n"
    assert printable("走 é 🚶") == "走 é 🚶"
    assert str(DataError("bad \x1b]0;title\x07")) == "bad \\x1b]0;title\\x07"
    split = Split(("a\x1b",), (), np.zeros(1, np.int64))
    names = Dataset("own", split, split, ("\x1b[2J",), NTU_25, 1, 3, "", notes=("n\x07",))
    assert (names.classes, names.notes) == (("\\x1b[2J",), ("n\\x07",))
    assert names.train.names == ("a\\x1b",)
