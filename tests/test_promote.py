"""The promote step: a frozen copy of the student teaches from then on; a resumed run finds it
again."""

import json

import numpy as np
import paddle
import pytest

from compress import run
from compress.steps import promote, train
from compress.steps.work import State, Work
from compress.training.curves import Curves
from compress.training.model import Model
from compress.training.settings import Config, Dml
from teachers import networks
from teachers.weights import identity

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


def test_mutual_learning_moves_a_copy_of_the_teacher(
    tiny_dataset, tiny_spec, tiny_view, randomised, tmp_path
):
    def state(network):
        return {name: value.copy() for name, value in networks.state_of(network).items()}

    first, student = (randomised(networks.build(tiny_spec), seed=seed) for seed in (1, 2))
    first.eval()
    before = state(first)
    begun = State(Model(student, tiny_view), (Model(first, tiny_view),))
    work = Work(tmp_path, tiny_dataset, Curves(tmp_path / "curves"), 1, identity.of(["x"]))
    config = Config(epochs=1, lr=0.05, batch_size=8, dml=Dml(1.0, freeze_teacher=False))
    ended = train.apply(begun, config, work, 1).state
    moved = ended.teacher[0].network
    # What the run's report compares with is the recipe's teacher, as a resumed run finds it.
    assert begun.teacher[0].network is first is not moved
    assert all(np.array_equal(before[name], value) for name, value in state(first).items())
    assert not np.array_equal(before["fc.weight"], state(moved)["fc.weight"])
    assert ended.teacher[0].view is tiny_view and not moved.training
