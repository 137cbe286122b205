"""Where onnxruntime-gpu is installed, `model.onnx` is also judged and timed by its CUDA provider."""

import numpy as np
import pytest

from compress import deliver
from compress.evaluation.evaluate import EvaluationSet
from compress.reporting.record import Report
from compress.reporting.recorder import Recorder
from export.flat.flatten import flatten
from export.formats import onnx_format
from export.runtimes import in_process, ort
from teachers import networks
from teachers.errors import ExportMismatch


@pytest.fixture(scope="module")
def exported(tiny_spec, tiny_dataset, tiny_view, randomised, tmp_path_factory):
    """(model.onnx, what a run checks its files with)."""
    network = randomised(networks.build(tiny_spec))
    (model,) = onnx_format.save(flatten(network), tiny_spec, tmp_path_factory.mktemp("deploy"))
    clips = EvaluationSet(tiny_dataset.val, tiny_view)
    logits = np.concatenate([in_process(network)(x) for x in clips.batches(4)])
    checked = deliver.Checked(clips, logits, logits[:1], logits[:1], 1, logits, {})
    return model, checked


@pytest.mark.skipif(ort.has_cuda(), reason="needs ONNX Runtime without CUDA")
def test_without_a_gpu_a_run_says_what_to_install_and_goes_on(exported, capsys):
    model, checked = exported
    recorder = Recorder(Report())
    deliver._compare_on_gpu(model, checked, recorder)
    assert recorder.report.runtimes == () and checked.turns == []
    told = capsys.readouterr().err
    assert "note: " in told and "onnxruntime-gpu[cuda,cudnn]" in told
    with pytest.raises(ExportMismatch, match="cannot use a GPU here.* nvidia-smi"):
        ort.on_gpu(model)


def test_with_one_the_file_has_a_second_row_of_its_own_logits(exported, monkeypatch):
    model, checked = exported
    right = ort.onnx_runtime(model)
    monkeypatch.setattr(ort, "on_gpu", lambda model, threads: lambda x: right(x) + 1e-3)
    recorder = Recorder(Report())
    deliver._compare_on_gpu(model, checked, recorder)
    (row,) = recorder.report.runtimes
    assert row.name == "ONNX Runtime, CUDA" and row.file == "model.onnx" and not row.deployed
    assert row.max_abs_diff == pytest.approx(1e-3, rel=0.05) and row.note == "without TF32"
    # What times it stands in the order of the rows.
    assert len(checked.turns) == 1 and row.name in checked.results
