"""The budget: every byte of a deployed folder is attributed, whatever lies in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import paddle
import paddle2onnx
import pytest
from paddle import nn

from compress.budget.attribution import block_of
from compress.budget.measure import main, measure, print_table
from compress.budget.sizes import format_size, parse_size
from export.formats import paddle_version
from teachers.errors import DataError

ROOT = Path(__file__).resolve().parents[1]


class Block(nn.Layer):
    def __init__(self, channels_in: int, channels: int):
        super().__init__()
        self.conv = nn.Conv2D(channels_in, channels, 1)
        self.bn = nn.BatchNorm2D(channels)

    def forward(self, x):
        return nn.functional.relu(self.bn(self.conv(x)))


class Network(nn.Layer):
    def __init__(self):
        super().__init__()
        self.l1, self.l2, self.fc = Block(3, 8), Block(8, 16), nn.Linear(16, 5)

    def forward(self, x):
        return self.fc(self.l2(self.l1(x)).mean([2, 3]))


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Path:
    """A small network as `paddle.jit.save` of Paddle 2 and paddle2onnx write it; for Paddle 3 see
    test_paddle_version.py."""
    if paddle_version.major() >= 3:
        pytest.skip("needs Paddle 2, to write a .pdmodel and its .info")
    folder = tmp_path_factory.mktemp("deploy")
    network = Network()
    network.eval()
    paddle.jit.save(
        network, str(folder / "model"), input_spec=[paddle.static.InputSpec([None, 3, 10, 20])]
    )
    paddle2onnx.export(
        str(folder / "model.pdmodel"),
        str(folder / "model.pdiparams"),
        str(folder / "model.onnx"),
        opset_version=13,
        verbose=False,
    )
    return folder


# What each block of that network holds, 4 bytes an element: convolution and its bias, four vectors
# of batch norm.
WEIGHT_BYTES = {
    "l1 weights": 4 * (3 * 8 + 8 + 4 * 8),
    "l2 weights": 4 * (8 * 16 + 16 + 4 * 16),
    "fc weights": 4 * (16 * 5 + 5),
}


def copy_of(exported: Path, folder: Path) -> Path:
    for file in exported.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


def parts(measured: dict, name: str) -> dict[str, int]:
    return {
        part["part"]: part["bytes"]
        for file in measured["files"]
        if file["file"] == name
        for part in file["parts"]
    }


def assert_every_byte_counted(measured: dict, folder: Path):
    on_disk = {}
    for base, folders, files in os.walk(folder):
        for name in files + [name for name in folders if os.path.islink(os.path.join(base, name))]:
            path = os.path.join(base, name)
            on_disk[os.path.relpath(path, folder)] = os.lstat(path).st_size
    assert {file["file"]: file["bytes"] for file in measured["files"]} == on_disk
    for file in measured["files"]:
        assert sum(part["bytes"] for part in file["parts"]) == file["bytes"], file
    assert measured["total_bytes"] == sum(on_disk.values())


@pytest.mark.parametrize(
    "text, size_bytes",
    [
        ("10MB", 10_000_000),
        ("9.5 MB", 9_500_000),
        ("500KB", 500_000),
        ("500kb", 500_000),
        ("1GB", 10**9),
        ("8MiB", 8 * 2**20),
        ("2 KiB", 2048),
        ("12B", 12),
        ("123456", 123456),
        (123456, 123456),
        ("1.5KB", 1500),
        ("0.1MB", 100_000),
    ],
)
def test_sizes_are_decimal_unless_they_say_otherwise(text, size_bytes):
    assert parse_size(text) == size_bytes


@pytest.mark.parametrize(
    "text", ["", "MB", "10 bananas", "-1MB", "1e3", "10M", "1_000", "10MB now", "٣MB", True, 1e-7]
)
def test_a_size_that_cannot_be_read_names_the_fix(text):
    with pytest.raises(
        ValueError,
        match="^cannot read the size .*: write a number with KB, MB, GB, KiB, MiB or GiB, "
        r"for example 10MB \(10\^6 bytes each\), or a plain number of bytes$",
    ):
        parse_size(text)


def test_a_fraction_of_a_byte_is_refused():
    with pytest.raises(
        ValueError, match="^the size '1.5B' is not a whole number of bytes: round it$"
    ):
        parse_size("1.5B")


def test_formatted_sizes():
    assert [format_size(n) for n in (0, 999, 1000, 1_234_567, 2e9)] == [
        "0 B",
        "999 B",
        "1.00 KB",
        "1.23 MB",
        "2.00 GB",
    ]


@pytest.mark.parametrize(
    "name, block",
    [
        ("l1.gcn.weight", "l1"),
        ("l10.tcn.branches.0.conv.weight", "l10"),
        ("fc.weight", "fc"),
        ("data_bn.bias", "data_bn"),
        ("model.l3.conv.weight", "l3"),
        ("conv2d_12.w_0", "conv2d"),
        ("batch_norm2d_3.w_2", "batch_norm2d"),
        ("l1.gcn.weight_scale", "l1"),
        ("/l4/conv/Constant_output_0", "l4"),
        ("onnx::Conv_417", "onnx::Conv"),
        ("v173", "unnamed"),
        ("W0", "unnamed"),
        ("kernel2", "kernel"),
        ("model", "model"),
        ("", "unnamed"),
    ],
)
def test_the_block_of_a_tensor(name, block):
    assert block_of(name) == block


def test_an_export_is_attributed_block_by_block(exported):
    measured = measure(exported, parse_size("10MB"))
    assert_every_byte_counted(measured, exported)
    assert set(measured) == {"limit_bytes", "total_bytes", "within", "advice", "files"}
    assert measured["within"] and measured["advice"] == ""
    for name in ("model.pdiparams", "model.onnx"):
        weights = {
            part: size for part, size in parts(measured, name).items() if part.endswith("weights")
        }
        assert weights == WEIGHT_BYTES, name
    assert set(parts(measured, "model.pdiparams")) == {*WEIGHT_BYTES, "tensor headers"}
    assert set(parts(measured, "model.onnx")) == {*WEIGHT_BYTES, "graph"}
    assert set(parts(measured, "model.pdmodel")) == {"graph", "op call stacks"}
    assert parts(measured, "model.pdmodel")["op call stacks"] > 1000
    assert set(parts(measured, "model.pdiparams.info")) == {"metadata"}


def test_without_structured_names_weights_group_by_layer_type(exported, tmp_path):
    copy_of(exported, tmp_path)
    (tmp_path / "model.pdiparams.info").unlink()
    measured = measure(tmp_path, 10**7)
    assert parts(measured, "model.pdiparams").keys() == {
        "conv2d weights",
        "batch_norm2d weights",
        "linear weights",
        "tensor headers",
    }
    (tmp_path / "model.pdmodel").unlink()
    assert parts(measure(tmp_path, 10**7), "model.pdiparams") == {
        "weights": sum(WEIGHT_BYTES.values()),
        "tensor headers": parts(measured, "model.pdiparams")["tensor headers"],
    }


def test_a_pickle_that_would_run_code_is_not_run(exported, tmp_path):
    import pickle

    class Payload:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    copy_of(exported, tmp_path)
    (tmp_path / "model.pdiparams.info").write_bytes(
        pickle.dumps({"conv2d_0.w_0": {"structured_name": Payload()}})
    )
    assert_every_byte_counted(measure(tmp_path, 10**7), tmp_path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["model.pdmodel", "model.pdiparams", "model.onnx"])
@pytest.mark.parametrize("kept", [1, 13, 100, 0.3, 0.5, 0.9])
def test_a_truncated_file_still_counts_in_full(exported, tmp_path, name, kept):
    content = copy_of(exported, tmp_path).joinpath(name).read_bytes()
    (tmp_path / name).write_bytes(
        content[: kept if isinstance(kept, int) else int(kept * len(content))]
    )
    assert_every_byte_counted(measure(tmp_path, 10**7), tmp_path)


def test_a_truncated_file_is_named_as_such(exported, tmp_path):
    for name in ("model.pdmodel", "model.pdiparams", "model.onnx"):
        content = exported.joinpath(name).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) // 2])
    (tmp_path / "arrays.npz").write_bytes(b"PK\x03\x04 no more")
    for file in measure(tmp_path, 10**7)["files"]:
        (part,) = file["parts"]
        assert part["kind"] == "other" and part["part"].startswith(
            f"unreadable {Path(file['file']).suffix} ("
        ), part


@pytest.mark.parametrize("seed", range(8))
def test_noise_in_any_file_counts_in_full(tmp_path, seed):
    rng = np.random.default_rng(seed)
    for suffix in ("pdmodel", "pdiparams", "pdiparams.info", "onnx", "npz", "json", "bin", "data"):
        (tmp_path / f"model.{suffix}").write_bytes(rng.bytes(int(rng.integers(0, 4000))))
    assert_every_byte_counted(measure(tmp_path, 10**7), tmp_path)


def test_nested_hidden_empty_and_odd_files(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "nothing").mkdir()
    (tmp_path / "empty.onnx").touch()
    (tmp_path / ".hidden").write_bytes(b"123")
    (tmp_path / "a" / "b" / "labels.json").write_text('["wave"]')
    (tmp_path / "a" / "program.json").write_text(
        '{"base_code": {"magic": "pir", "version": 1}, "program": {}}'
    )
    (tmp_path / "no suffix").write_bytes(b"x" * 7)
    (tmp_path / "run.log").write_bytes(b"x" * 9)
    measured = measure(tmp_path, 10**7)
    assert_every_byte_counted(measured, tmp_path)
    assert parts(measured, "a/b/labels.json") == {"metadata": 8}
    assert list(parts(measured, "a/program.json")) == ["graph"]
    assert parts(measured, "empty.onnx") == {}
    assert parts(measured, "run.log") == {".log file": 9}
    assert parts(measured, "no suffix") == {"file without a suffix": 7}


def test_a_name_that_is_not_utf8_is_shown_escaped(tmp_path, capsys):
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.bin")).write_bytes(b"1")
    assert main([str(tmp_path)]) == 0
    assert (
        json.loads(capsys.readouterr().out.splitlines()[-1])["files"][0]["file"] == "caf\\xe9.bin"
    )


def test_an_empty_folder_is_within_any_limit(tmp_path, capsys):
    assert main([str(tmp_path), "--limit", "1"]) == 0
    assert measure(tmp_path, 1) == {
        "limit_bytes": 1,
        "total_bytes": 0,
        "within": True,
        "advice": "",
        "files": [],
    }


def test_links_ship_as_links_and_are_never_followed(tmp_path):
    deploy, outside = tmp_path / "deploy", tmp_path / "outside"
    deploy.mkdir(), outside.mkdir()
    (outside / "weights.bin").write_bytes(b"x" * 5000)
    (deploy / "real.bin").write_bytes(b"x" * 100)
    for name, target in (
        ("inside", "real.bin"),
        ("away.bin", outside / "weights.bin"),
        ("folder", outside),
        ("loop", "."),
        ("gone", "nowhere"),
    ):
        (deploy / name).symlink_to(target)
    measured = measure(deploy, 10**7)
    assert_every_byte_counted(measured, deploy)
    assert measured["total_bytes"] < 1000
    assert list(parts(measured, "inside")) == list(parts(measured, "loop")) == ["link"]
    assert list(parts(measured, "gone")) == ["broken link"]
    assert sorted(measured["advice"].splitlines()) == [
        "away.bin links out of the folder, so its target does not ship: copy the target in.",
        "folder links out of the folder, so its target does not ship: copy the target in.",
        "gone links to nothing: remove the link or put its target back.",
    ]


def test_npz_arrays_are_named(tmp_path):
    np.savez(
        tmp_path / "w.npz",
        **{"l1.conv": np.zeros(100, np.int8), "l1.bn": np.zeros(4), "table": np.zeros(3)},
    )
    measured = measure(tmp_path, 10**7)
    assert_every_byte_counted(measured, tmp_path)
    assert parts(measured, "w.npz").keys() == {"l1 weights", "table weights", "zip headers"}


def test_onnx_weights_in_a_file_of_their_own(tmp_path):
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weights = numpy_helper.from_array(np.ones((64, 32), np.float32), "l1.weight")
    shape = numpy_helper.from_array(np.arange(500, dtype=np.int64), "shape")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "l1.weight"], ["y"], doc_string="d" * 300)],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 32])],
        [weights, shape],
    )
    model = helper.make_model(graph)
    onnx.save(model, tmp_path / "inside.onnx")
    onnx.save(
        model,
        tmp_path / "beside.onnx",
        save_as_external_data=True,
        location="beside.onnx.data",
        size_threshold=5000,
    )
    measured = measure(tmp_path, 10**7)
    assert_every_byte_counted(measured, tmp_path)
    for name in ("inside.onnx", "beside.onnx.data"):
        assert parts(measured, name)["l1 weights"] == 64 * 32 * 4
    assert "l1 weights" not in parts(measured, "beside.onnx")
    assert parts(measured, "inside.onnx")["documentation text"] == 300
    assert parts(measured, "inside.onnx")["graph"] > 500 * 8


def test_over_the_limit_the_advice_names_the_largest_parts(exported, tmp_path, capsys):
    copy_of(exported, tmp_path)
    (tmp_path / "checkpoint.bin").write_bytes(bytes(50_000))
    assert main([str(tmp_path), "--limit", "20KB"]) == 2
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    advice = result["advice"].splitlines()
    assert result["exit_code"] == 2 and not result["within"]
    assert advice[0] == f"{format_size(result['total_bytes'] - 20_000)} over the limit of 20.00 KB."
    assert (
        advice[1] == "checkpoint.bin, 50.00 KB (.bin file 50.00 KB): "
        "remove the file if nothing at run time reads it."
    )
    assert (
        advice[-1]
        == "2 files hold weights (model.onnx, model.pdiparams): deploy only the format that is"
        " served "
        "(`export.formats`)."
    )
    assert any("strip this text" in line for line in advice)


def test_the_limit_itself_is_within(tmp_path):
    (tmp_path / "a.bin").write_bytes(bytes(1000))
    assert measure(tmp_path, 1000)["within"] and not measure(tmp_path, 999)["within"]


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "the following arguments are required: folder"),
        ([".", "--lmit=1"], "unrecognized arguments: --lmit=1"),
        (["nowhere"], "nowhere: no such folder; give the folder that is deployed"),
        ([".", "--limit", "x"], "--limit: cannot read the size 'x': write a number with KB"),
    ],
)
def test_bad_input_exits_1_with_the_fix(arguments, message, capsys):
    try:
        assert main(arguments) == 1
    # argparse's own way out, where the arguments themselves are wrong.
    except SystemExit as stopped:
        assert stopped.code == 1
    output = capsys.readouterr()
    assert message in output.err
    assert message in json.loads(output.out.splitlines()[-1])["error"]


def test_a_file_is_not_a_folder(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="no such folder"):
        measure(tmp_path / "file", 1)


def test_the_printed_table_sums_up_what_it_leaves_out(tmp_path, capsys):
    for number in range(40):
        (tmp_path / f"[bold]{number:02}.bin").write_bytes(bytes(1000 - number))
    print_table(measure(tmp_path, 10**6))
    printed = capsys.readouterr().out
    assert "17 smaller parts" in printed and "[bold]00.bin" in printed
    assert "40 files, 39.22 KB of 1.00 MB: within the limit" in printed


def test_the_command_runs_from_any_folder(tmp_path):
    (tmp_path / "a.txt").write_text("hello")
    for command in (["-m", "compress.budget"], [str(ROOT / "compress" / "budget")]):
        done = subprocess.run(
            [sys.executable, *command, str(tmp_path), "--limit", "4"],
            capture_output=True,
            text=True,
            cwd=ROOT if "-m" in command else tmp_path,
            check=False,
        )
        assert done.returncode == 2, done.stderr
        assert json.loads(done.stdout.splitlines()[-1])["total_bytes"] == 5
