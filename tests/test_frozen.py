"""A frozen teacher in ONNX Runtime: the logits of Paddle, a decision that a resumed training makes
again, and Paddle where the session is not right."""

import dataclasses

import numpy as np
import paddle
import pytest
from test_fit import METHODS, equal, job, state

from compress import pipeline, plan, recipe
from compress.training import checkpoint, fit as loop, frozen
from compress.training.model import Model, fused
from teachers import ctrgcn, networks, storage


@pytest.fixture(scope="module")
def teachers(tiny_spec, tiny_view, randomised):
    """An ensemble of two, the second with a shorter network and a view of its own."""
    another = dataclasses.replace(tiny_view, fingerprint="other")
    small = ctrgcn.default_spec(3, tiny_spec.skeleton, frames=8, persons=2, config=ctrgcn.Config(8))
    small = ctrgcn.drop_blocks(small, tuple(f"l{number}" for number in range(2, 11)))
    members = (
        Model(randomised(networks.build(tiny_spec)), tiny_view, 3.0),
        Model(randomised(networks.build(small)), another, 1.0),
    )
    for member in members:
        member.network.eval()
    return {"teacher": members}


def choose(teachers, dataset, wanted="onnxruntime", iterations=1000, before=None):
    return frozen.choose(teachers, wanted, iterations, dataset.train, before)


def test_a_session_computes_what_paddle_does(teachers, tiny_dataset):
    """Every size of a last batch, blended clips, and a view of each network's own."""
    session = choose(teachers, tiny_dataset)
    assert session.runtime == "onnxruntime" and "ONNX Runtime" in session.note
    generator = np.random.default_rng(0)
    for size in (16, 5, 1):
        batch = {
            key: paddle.to_tensor(generator.normal(size=(size, 3, 8, 5, 2)).astype("float32"))
            for key in ("tiny view", "other")
        }
        with paddle.no_grad():
            expected = fused(teachers["teacher"], batch).numpy()
        found = session.compute(batch)["teacher"]
        assert found.shape == [size, 3] and found.stop_gradient
        np.testing.assert_allclose(found.numpy(), expected, atol=1e-5 * np.abs(expected).max())
        by_paddle = choose(teachers, tiny_dataset, "paddle").compute(batch)["teacher"]
        np.testing.assert_array_equal(by_paddle.numpy(), expected)


@pytest.mark.parametrize(
    "wanted, iterations, before, by_session",
    [
        ("auto", frozen.WORTHWHILE, None, True),
        ("auto", frozen.WORTHWHILE - 1, None, False),
        ("auto", 1, "onnxruntime", True),
        ("auto", 1000, "paddle", False),
        ("paddle", 1000, None, False),
        ("onnxruntime", 1, None, True),
    ],
)
def test_when_there_is_a_session(wanted, iterations, before, by_session):
    assert frozen._by_session(wanted, iterations, before) == by_session


def test_on_a_gpu_auto_stays_there(monkeypatch):
    monkeypatch.setattr(frozen.paddle, "get_device", lambda: "gpu:0")
    assert not frozen._by_session("auto", 1000, None)


def test_a_session_that_is_not_right_is_not_used(teachers, tiny_dataset, monkeypatch):
    original = frozen.onnx_runtime

    def off(file, threads, spinning):
        predict = original(file, threads, spinning=spinning)
        return lambda x: predict(x) * np.float32(1.0001)

    monkeypatch.setattr(frozen, "onnx_runtime", off)
    chosen = choose(teachers, tiny_dataset)
    assert chosen.runtime == "paddle"
    assert chosen.note.startswith(
        "the frozen teacher was computed by Paddle, not ONNX Runtime: logits differ by 1.0e-04"
    )


def test_a_network_that_cannot_be_exported_is_computed_by_paddle(
    teachers, tiny_dataset, monkeypatch
):
    def refusing(flat, spec, folder):
        raise RuntimeError("no such operator\nand a trace")

    monkeypatch.setattr(frozen.onnx_format, "save", refusing)
    chosen = choose(teachers, tiny_dataset)
    assert chosen.runtime == "paddle" and chosen.note.endswith("ONNX Runtime: no such operator")


def distil(tiny, folder):
    config = dataclasses.replace(METHODS["one_way"], epochs=3, mixup=METHODS["mixup"].mixup)
    return job(config, *tiny, folder, runtime="onnxruntime")


def test_a_killed_training_under_a_session_continues_bit_for_bit(
    tiny_dataset, tiny_view, tiny_spec, tmp_path, monkeypatch
):
    tiny = (tiny_dataset, tiny_view, tiny_spec)
    whole, teacher = distil(tiny, tmp_path / "whole")
    before = state(teacher)
    expected = loop.fit(whole)
    assert expected.runtime == "onnxruntime"
    # BatchNorm statistics included
    assert equal(before, state(teacher))
    cut, _ = distil(tiny, tmp_path / "cut")
    steps = iter(range(100))
    original = loop.Trainer.step

    def stops_in_the_second_epoch(self, *arguments):
        if next(steps) == 6:
            raise KeyboardInterrupt
        return original(self, *arguments)

    monkeypatch.setattr(loop.Trainer, "step", stops_in_the_second_epoch)
    with pytest.raises(KeyboardInterrupt):
        loop.fit(cut)
    monkeypatch.setattr(loop.Trainer, "step", original)
    again, _ = distil(tiny, tmp_path / "cut")
    # `auto` of a short training would be Paddle: what the state says counts
    again = dataclasses.replace(again, frozen_runtime="auto")
    assert loop.fit(again).runtime == "onnxruntime"
    assert equal(state(whole.networks["student"]), state(again.networks["student"]))
    # The digits are a session's: Paddle's own give other weights
    other, _ = distil(tiny, tmp_path / "paddle")
    loop.fit(dataclasses.replace(other, frozen_runtime="paddle"))
    assert not equal(state(whole.networks["student"]), state(other.networks["student"]))


def test_repeated_passes_count_as_iterations(
    tiny_dataset, tiny_view, tiny_spec, tmp_path, monkeypatch
):
    """Two passes over 26 clips in batches of 8 are 7 iterations an epoch."""
    job, _ = distil((tiny_dataset, tiny_view, tiny_spec), tmp_path)
    job = dataclasses.replace(
        job,
        frozen_runtime="auto",
        config=dataclasses.replace(job.config, epochs=3, batch_size=8, repeat=2),
    )
    seen = []
    monkeypatch.setattr(
        frozen, "choose", lambda *given: seen.append(given[2]) or frozen.Frozen(None)
    )
    loop.Trainer(job).teach(checkpoint.Progress())
    assert seen == [21]


def test_a_state_of_before_the_session_goes_on_with_paddle(
    tiny_dataset, tiny_view, tiny_spec, tmp_path, monkeypatch
):
    tiny = (tiny_dataset, tiny_view, tiny_spec)
    first, _ = distil(tiny, tmp_path)
    loop.fit(dataclasses.replace(first, frozen_runtime="paddle"))
    arrays, meta = storage.read_arrays(tmp_path / "state.npz")
    del meta["frozen_runtime"], meta["frozen_note"]
    meta["epoch"] = 2
    storage.write_arrays(tmp_path / "state.npz", arrays, meta)
    monkeypatch.setattr(frozen, "WORTHWHILE", 1)
    again, _ = distil(tiny, tmp_path)
    assert loop.fit(dataclasses.replace(again, frozen_runtime="auto")).runtime == "paddle"


def test_what_a_recipe_says_is_part_of_what_trained_weights_are_known_by():
    keys = {}
    for runtime in ("auto", "paddle", "onnxruntime"):
        loaded = recipe.load(
            "ctrgcn_lite_dml",
            ["data.train_clips=12", "data.val_clips=12", f"teacher.runtime={runtime}"],
        )
        assert recipe.to_dict(loaded)["teacher"]["runtime"] == runtime
        keys[runtime] = pipeline.origin(plan.make(loaded, plan.load_data(loaded))).key
    assert len(set(keys.values())) == 3


def test_an_ensemble_has_one_runtime():
    loaded = recipe.load("ctrgcn_lite_4stream_kd", ["teacher.runtime=paddle"])
    assert loaded.teacher.runtime == "paddle" and len(loaded.teacher.members) == 4
