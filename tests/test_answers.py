"""What a frozen teacher said is not computed again: the same bits, after a kill too, and never for
another batch or another teacher."""

from __future__ import annotations

import dataclasses

import numpy as np
import paddle
import pytest
from test_fit import METHODS, equal, job, state

from compress.training import fit as loop
from compress.training.answers import Answers
from compress.training.frozen import Frozen
from compress.training.model import Model, fused
from teachers import networks
from teachers.errors import StorageError


@pytest.fixture
def teachers(tiny_spec, tiny_view, randomised):
    member = Model(randomised(networks.build(tiny_spec)), tiny_view)
    member.network.eval()
    return {"teacher": (member,)}


def counted(teachers):
    """(what computes them, the batches that it was asked)."""
    asked = []

    def compute(batch):
        asked.append(batch)
        with paddle.no_grad():
            return {role: fused(ensemble, batch) for role, ensemble in teachers.items()}

    return Frozen(compute), asked


def batch(seed, size=4):
    x = np.random.default_rng(seed).normal(size=(size, 3, 8, 5, 2)).astype("float32")
    return {"tiny view": paddle.to_tensor(x)}


def test_a_batch_is_computed_once(teachers, tmp_path):
    frozen, asked = counted(teachers)
    answers = Answers(tmp_path / "answers.bin")
    compute = answers.of(teachers, frozen).compute
    first = [
        compute(batch(seed, size))["teacher"].numpy() for seed, size in ((0, 4), (1, 4), (1, 3))
    ]
    assert len(asked) == 3 == len(answers)
    again = Answers(tmp_path / "answers.bin").of(teachers, frozen).compute
    for logits, (seed, size) in zip(first, ((0, 4), (1, 4), (1, 3)), strict=True):
        np.testing.assert_array_equal(again(batch(seed, size))["teacher"].numpy(), logits)
    assert len(asked) == 3


def test_another_teacher_or_runtime_is_asked_itself(teachers, tmp_path):
    frozen, asked = counted(teachers)
    answers = Answers(tmp_path / "answers.bin")
    answers.of(teachers, frozen).compute(batch(0))
    other = dataclasses.replace(frozen, runtime="onnxruntime")
    answers.of(teachers, other).compute(batch(0))
    assert len(asked) == 2
    weight = teachers["teacher"][0].network.parameters()[0]
    weight.set_value(weight + 1e-7)
    answers.of(teachers, frozen).compute(batch(0))
    assert len(asked) == 3


@pytest.mark.parametrize("lost", [1, 5, 60])
def test_a_record_cut_short_is_dropped(lost, teachers, tmp_path):
    path = tmp_path / "answers.bin"
    frozen, asked = counted(teachers)
    compute = Answers(path).of(teachers, frozen).compute
    expected = [compute(batch(seed))["teacher"].numpy() for seed in (0, 1)]
    path.write_bytes(path.read_bytes()[:-lost])
    answers = Answers(path)
    assert len(answers) == 1
    compute = answers.of(teachers, frozen).compute
    for seed in (0, 1, 1):
        np.testing.assert_array_equal(compute(batch(seed))["teacher"].numpy(), expected[seed])
    assert len(asked) == 3 and len(Answers(path)) == 2


def test_a_damaged_file_gives_nothing_wrong(teachers, tmp_path):
    path = tmp_path / "answers.bin"
    frozen, asked = counted(teachers)
    expected = Answers(path).of(teachers, frozen).compute(batch(0))["teacher"].numpy()
    content = bytearray(path.read_bytes())
    for place in range(0, len(content), 7):
        damaged = content.copy()
        damaged[place] ^= 0x55
        path.write_bytes(damaged)
        found = Answers(path).of(teachers, frozen).compute(batch(0))["teacher"].numpy()
        np.testing.assert_array_equal(found, expected)
    assert len(asked) > 5


def test_a_full_file_takes_no_more_and_answers_go_on(teachers, tmp_path):
    frozen, asked = counted(teachers)
    path = tmp_path / "answers.bin"
    answers = Answers(path, largest=200)
    compute = answers.of(teachers, frozen).compute
    first = [compute(batch(seed))["teacher"].numpy() for seed in range(4)]
    assert len(answers) == 2 and path.stat().st_size <= 200
    for seed, logits in enumerate(first):
        np.testing.assert_array_equal(compute(batch(seed))["teacher"].numpy(), logits)
    # The two that are kept are not asked for again.
    assert len(asked) == 6


def test_where_nothing_can_be_written(teachers, tmp_path):
    (tmp_path / "file").write_text("")
    frozen, _ = counted(teachers)
    compute = Answers(tmp_path / "file" / "answers.bin").of(teachers, frozen).compute
    with pytest.raises(StorageError):
        compute(batch(0))


def test_a_training_with_answers_is_the_one_without(tiny_dataset, tiny_view, tiny_spec, tmp_path):
    config = dataclasses.replace(METHODS["one_way"], epochs=2, mixup=METHODS["mixup"].mixup)
    answers = Answers(tmp_path / "answers.bin")
    weights = []
    for name, kept in (("without", None), ("first", answers), ("second", answers)):
        tiny = (tiny_dataset, tiny_view, tiny_spec)
        training, _ = job(config, *tiny, tmp_path / name, runtime="onnxruntime")
        training = dataclasses.replace(training, answers=kept)
        before = len(answers)
        loop.fit(training)
        weights.append(state(training.networks[training.learner]))
        # The second finds all that the first asked for.
        assert (len(answers) > before) == (name == "first")
    assert equal(weights[0], weights[1]) and equal(weights[0], weights[2])
