"""The latency benchmark on a tiny network: every file runs, ratios are to the default file,
failures of other tools are named."""

import csv
import json

import pytest

from benchmarks import latency, rivals
from teachers import ctrgcn, networks


@pytest.fixture()
def tiny(monkeypatch, tiny_spec, randomised):
    # Other tools take their time over every node: the first block and the last are enough.
    inner = tuple(block.id for block in tiny_spec.blocks[1:-1])
    spec = ctrgcn.drop_blocks(tiny_spec, inner)
    monkeypatch.setattr(latency, "fresh", lambda *_: randomised(networks.build(spec)))

    def broken(*_):
        raise RuntimeError("this tool\ncannot do that")

    monkeypatch.setattr(rivals, "OTHERS", {"a broken tool": broken})
    monkeypatch.setattr(
        rivals,
        "ONNX",
        {
            "ONNX Runtime quantize_static, defaults": rivals.quantize_static,
            "ONNX Runtime quantize_dynamic": rivals.quantize_dynamic,
        },
    )


def test_every_file_is_timed_against_the_default_one(tiny, tmp_path, capsys):
    code = latency.main(
        [
            "--network",
            "ctrgcn",
            "--batches",
            "1,2",
            "--threads",
            "1",
            "--rounds",
            "3",
            "--csv",
            str(tmp_path / "t.csv"),
        ]
    )
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert code == 0 and said["failed"] == ["a broken tool: RuntimeError: cannot do that"]
    rows = {(row["file"], row["batch"]): row for row in said["rows"]}
    assert len(rows) == 2 * 11 and rows["paddle2onnx default", 2]["times_faster"] == 1.0
    for name in ("ours, float32", "ours, Paddle float32"):
        assert rows[name, 1]["agreement"] == 1.0 and rows[name, 1]["max_rel_diff"] <= 1e-5
    assert rows["ours, int8", 1]["bytes"] < rows["ours, float32", 1]["bytes"]
    assert all(
        row["load_ms"] > 0 and row["median_ms"] <= row["p95_ms"]
        for row in said["rows"]
        if row["load_ms"] is not None
    )
    with open(tmp_path / "t.csv", newline="") as file:
        assert [(row["file"], int(row["batch"])) for row in csv.DictReader(file)] == list(rows)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--network", "ctrgcn", "--weights", "x.npz"],
        ["--network", "ctrgcn", "--recipe", "ctrgcn_lite_dml"],
    ],
)
def test_it_says_what_it_needs(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        latency.main(arguments)
    assert stopped.value.code != 0 and "give --weights" in capsys.readouterr().err
