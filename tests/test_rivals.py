"""What other tools make of the same weights stands beside our files, and can never cost a run."""

import json
import sys

import numpy as np
import pytest

from compress import cli, registry
from compress.cli import rivals as command
from compress.evaluation import rivals
from compress.evaluation.evaluate import EvaluationSet, logits_of, training_clips
from compress.evaluation.record import RuntimeRow
from compress.reporting import printed
from compress.reporting.record import Report
from export.formats import baseline
from export.runtimes import in_process
from teachers import networks


@pytest.fixture(scope="module")
def source(tiny_spec, randomised, tiny_dataset, tiny_view, tmp_path_factory):
    """A run's folder with the baseline export of a tiny network, and clips."""
    folder = tmp_path_factory.mktemp("run")
    network = randomised(networks.build(tiny_spec))
    baseline.save_baseline(network, folder / "baseline")
    clips = EvaluationSet(tiny_dataset.val, tiny_view)
    logits = logits_of(in_process(network), clips)
    return rivals.Source(folder, training_clips(tiny_dataset.train, tiny_view, 8), clips, logits)


def test_every_tool_has_a_title_and_a_maker():
    assert set(registry.RIVALS) == set(rivals.MAKERS)


def test_a_tool_is_judged_on_the_whole_split(source):
    row, turn = rivals.judged("onnxruntime_dynamic", source, 1)
    assert row.name == "ONNX Runtime dynamic" and row.file == "model.onnx" and not row.deployed
    files = list((source.folder / "compare" / "onnxruntime_dynamic").iterdir())
    # What would ship, and nothing that it was made with.
    assert [path.name for path in files] == ["model.onnx"]
    assert row.bytes == files[0].stat().st_size
    # It quantises the classifier and no more of so small a network, so the answers are nearly ours.
    assert row.agreement > 0.8 and row.snr_db > 10 and row.top1 is not None
    assert f"{row.snr_db:.1f} dB" in row.note and "8 training clips" in row.note
    assert turn(0).shape == (1, 3)


def test_a_tool_that_fails_is_a_row_with_the_reason(source, tmp_path):
    empty = rivals.Source(tmp_path, source.training, source.clips, source.reference)
    row, turn = rivals.judged("onnxruntime_static", empty, 1)
    assert turn is None and row.top1 is None and row.bytes is None
    assert row.note.startswith("made no file: ") and "model.onnx" in row.note


def test_a_tool_that_hangs_is_a_row_with_the_reason(source, monkeypatch):
    monkeypatch.setattr(rivals, "SECONDS", 0.01)
    row, turn = rivals.judged("paddleslim_ptq", source, 1)
    assert turn is None and row.note == "made no file: took more than 0.01 s"


def test_a_file_that_does_not_run_is_a_row_with_the_reason(source, monkeypatch):
    def make(name, exported, folder, calibration):
        (folder).mkdir(parents=True, exist_ok=True)
        (folder / "model.onnx").write_bytes(b"no model")
        return ""

    monkeypatch.setattr(rivals, "_make", make)
    row, turn = rivals.judged("onnxruntime_static", source, 1)
    assert turn is None and row.note.startswith("its file does not run: ")


def test_nothing_else_loads_paddleslim():
    assert "paddleslim" not in sys.modules


@pytest.mark.slow
@pytest.mark.parametrize("name", ["paddleslim_ptq", "onnxruntime_static"])
def test_a_calibrated_tool_makes_a_file(source, name):
    row, turn = rivals.judged(name, source, 1)
    assert turn is not None, row.note
    assert row.bytes > 0 and np.isfinite(row.snr_db)


def test_the_terminal_shows_what_came_of_each(capsys):
    rows = (
        RuntimeRow("ONNX Runtime", deployed=True, top1=90.0, agreement=1.0, p50_ms=2.0),
        RuntimeRow(
            "PaddleSlim PTQ", top1=50.0, agreement=0.5, p50_ms=4.0, snr_db=3.25, note="3.2 dB; so"
        ),
        RuntimeRow("ONNX Runtime static", note="made no file: because"),
    )
    printed.print_summary(Report(runtimes=rows))
    said = capsys.readouterr().out
    assert "PaddleSlim PTQ: 3.2 dB; so" in said
    assert "ONNX Runtime static: made no file: because" in said


def test_rivals_need_a_finished_run(tmp_path, capsys):
    assert cli.main(["rivals", str(tmp_path), "--with", "onnxruntime_static"]) == 1
    assert "compared with a run that is finished" in capsys.readouterr().err


def test_rivals_measures_each_run(tmp_path, capsys, monkeypatch):
    row = RuntimeRow("ONNX Runtime static", top1=50.0, agreement=0.5, snr_db=12.0, p50_ms=1.0)
    asked = []

    def measured(run, tools):
        asked.append((run, list(tools)))
        return [row]

    monkeypatch.setattr(command, "measured", measured)
    assert cli.main(["rivals", "one", "--with", "onnxruntime_static"]) == 0
    said = capsys.readouterr().out
    last = json.loads(said.splitlines()[-1])
    assert [path.name for path, _ in asked] == ["one"] and asked[0][1] == ["onnxruntime_static"]
    assert last["measured"]["one"][0]["snr_db"] == 12.0 and "12.0" in said
