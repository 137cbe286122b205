"""The promote step: a frozen copy of the student teaches from then on; a resumed run finds it
again."""

import json

import numpy as np
import paddle
import pytest

from compress import run
from compress.steps import promote
from compress.steps.work import State
from compress.training.model import Model
from teachers import networks

RECIPE = """\
# Two stages, small.
data: {name: synthetic, train_clips: 24, val_clips: 12}
teacher: {width: 8, train: {epochs: 1, lr: 0.05}}
steps:
  - train: {epochs: 1, lr: 0.02, dml: {weight: 1.0}}
  - promote
  - prune_layers: {drop: [l10]}
  - train: {epochs: 1, lr: 0.02, kd: {weight: 1.0}}
export: {formats: [onnx]}
budget: {max_size: 10MB, max_top1_drop: 100}
"""


def test_the_student_becomes_the_teacher(tiny_spec, tiny_view, randomised):
    student = randomised(networks.build(tiny_spec), seed=1)
    members = tuple(Model(networks.build(tiny_spec), tiny_view, weight) for weight in (2.0, 1.0))
    state = promote.apply(
        State(Model(student, tiny_view), members), promote.Config(), None, 1
    ).state
    (teacher,) = state.teacher
    assert (
        teacher.network is not student
        and teacher.view is tiny_view
        and not teacher.network.training
    )
    clip = paddle.ones([1, *tiny_spec.input_shape])
    assert np.array_equal(teacher.network(clip).numpy(), student(clip).numpy())


@pytest.mark.slow
def test_a_run_resumed_after_it_ends_the_same(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "two.yaml").write_text(RECIPE)
    assert run.main(["--recipe", "two.yaml", "--output", "whole"]) == 0
    expected = json.loads(capsys.readouterr().out.splitlines()[-1])
    state = tmp_path / "whole" / "state"
    for name in ("step4_student.npz", "step4_teacher.npz", "step4_train.npz"):
        (state / name).unlink()
    weights = (tmp_path / "whole" / "weights" / "student.npz").read_bytes()
    (tmp_path / "whole" / "weights" / "student.npz").unlink()
    assert run.main(["--recipe", "two.yaml", "--output", "whole", "--resume"]) == 0
    assert (
        json.loads(capsys.readouterr().out.splitlines()[-1])["student_top1"]
        == expected["student_top1"]
    )
    assert (tmp_path / "whole" / "weights" / "student.npz").read_bytes() == weights
