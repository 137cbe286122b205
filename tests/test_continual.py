"""The continual form of ST-GCN and STGCN++: what it says of whole clips and of long streams is what
the trained network says, number for number."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import onnx
import paddle
import pytest

from compress.cli import accuracy
from export import api, deployed, package
from export.flat.continual import Continual, delay_of
from export.flat.flatten import flatten
from export.formats import onnx_continual, table
from export.formats.options import Options
from export.runtimes import steps as runtime
from teachers import networks
from teachers.errors import CheckpointError, DataError, ExportMismatch, RecipeError
from teachers.skeleton import Skeleton

FIVE = Skeleton("five", 5, ((2, 1), (3, 1), (4, 1), (5, 4)), centre=1)
# Blocks, the stages that widen and that halve the frames; frames; persons. A stage that does one of
# the two has a projection as its residual, the first block has none.
PLANS = {
    "halves at the end": ({"stages": 3, "inflate": (2,), "down": (3,)}, 16, 1),
    "halves twice, two persons": ({"stages": 4, "inflate": (3,), "down": (2, 4)}, 24, 2),
    # Behind 9 frames of delay a stride would begin in the middle: it waits one more.
    "halves thrice": ({"stages": 5, "inflate": (5,), "down": (3, 4, 5)}, 27, 1),
    "never halves": ({"stages": 2, "inflate": (2,), "down": ()}, 9, 2),
}


def network_of(name: str, plan: str, seed: int = 0):
    """A small network with random weights, BatchNorm included, of which no factor is 1 by chance."""
    keys, frames, persons = PLANS[plan]
    module = networks.module(name)
    config = module.Config(width=12, **keys)
    network = networks.build(module.default_spec(7, FIVE, frames, persons, config=config))
    generator = np.random.default_rng(seed)
    for key, value in network.state_dict().items():
        old = value.numpy()
        drawn = generator.normal(0, 0.2, old.shape)
        new = generator.uniform(0.5, 2, old.shape) if key.endswith("_variance") else old + drawn
        value.set_value(new.astype("float32"))
    network.eval()
    return network


def of_seven(dataset):
    """The same clips, of as many classes as these networks have."""
    return replace(dataset, classes=tuple(f"class {number}" for number in range(7)))


def noise(*shape: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def stream(network: Continual, frames: np.ndarray, seen: np.ndarray | None = None):
    """Logits (calls, N, K) behind every call, and the last state."""
    N, _, T = frames.shape[:3]
    seen = np.ones((N, T), np.float32) if seen is None else seen
    state = paddle.zeros([N, network.size])
    logits = []
    with paddle.no_grad():
        for start in range(0, T, network.chunk):
            end = start + network.chunk
            parts = (frames[:, :, start:end], seen[:, start:end])
            said, state = network(*map(paddle.to_tensor, parts), state)
            logits.append(said.numpy())
    return np.stack(logits), state.numpy()


def same(found: np.ndarray, expected: np.ndarray) -> None:
    """Equal but for the rounding of float32, whose sums are in another order."""
    np.testing.assert_allclose(found, expected, rtol=0, atol=3e-6 * np.abs(expected).max())


@pytest.mark.parametrize("name", ["stgcn", "stgcnpp"])
@pytest.mark.parametrize("plan", PLANS)
def test_a_clip_and_the_delay_behind_it_are_the_trained_networks_answer(name, plan):
    network = network_of(name, plan)
    C, T, V, M = network.spec.input_shape
    clips = noise(3, C, T, V, M)
    with paddle.no_grad():
        expected = network(paddle.to_tensor(clips)).numpy()
    steps = Continual(flatten(network), network.spec.input_shape)
    assert steps.delay == delay_of(network.spec)
    missing = -T % steps.chunk + steps.delay
    # What is there in place of a frame that is not seen says nothing.
    frames = np.concatenate([clips, noise(3, C, missing, V, M, seed=2)], axis=2)
    seen = np.repeat([[1.0] * T + [0.0] * missing], 3, axis=0).astype("float32")
    logits, _ = stream(steps, frames, seen)
    same(logits[-1], expected)
    # Before, the newest frames have no part in it yet.
    assert np.abs(logits[-2] - expected).max() > 1e-3


@pytest.mark.parametrize("name", ["stgcn", "stgcnpp"])
@pytest.mark.parametrize("plan", PLANS)
def test_in_a_stream_every_answer_is_of_frames_with_real_ones_on_both_sides(name, plan):
    """Behind `frames` frames: the mean over the newest moments that the network computes of them,
    none of which reaches its padding."""
    network = network_of(name, plan)
    C, _, V, M = network.spec.input_shape
    steps = Continual(flatten(network), network.spec.input_shape)
    span = steps.pooled * steps.chunk
    length = 2 * steps.delay + span + 5 * steps.chunk
    frames = noise(2, C, length, V, M)
    logits, _ = stream(steps, frames)
    for call in (-4, -1):
        # As much as the answer can see, and no more.
        now = length + (call + 1) * steps.chunk
        first = now - 2 * steps.delay - span
        reads = frames[:, :, first:now]
        spec = replace(network.spec, frames=reads.shape[2])
        windowed = networks.build(spec)
        networks.load_state(windowed, networks.state_of(network), "the same weights")
        windowed.eval()
        entry, *blocks, head = flatten(windowed)
        with paddle.no_grad():
            x = entry(paddle.to_tensor(reads))
            for block in blocks:
                x = block(x)
            start = steps.delay // steps.chunk
            valid = x[:, :, :, start : start + steps.pooled]
            expected = head(valid).numpy()
            padded = head(x).numpy()
        same(logits[call], expected)
        assert np.abs(logits[call] - padded).max() > 1e-3


def test_the_flat_network_stays_as_it_is():
    network = network_of("stgcnpp", "halves at the end")
    clips = paddle.to_tensor(noise(2, *network.spec.input_shape))
    flat = flatten(network)
    with paddle.no_grad():
        before = flat(clips).numpy()
        Continual(flat, network.spec.input_shape)
        np.testing.assert_array_equal(flat(clips).numpy(), before)


def test_tracks_of_a_batch_do_not_see_one_another_and_zeros_begin_anew():
    network = network_of("stgcnpp", "halves twice, two persons")
    C, _, V, M = network.spec.input_shape
    steps = Continual(flatten(network), network.spec.input_shape)
    frames = noise(3, C, 60, V, M)
    logits, state = stream(steps, frames)
    for track in range(3):
        alone, alone_state = stream(steps, frames[track : track + 1])
        same(alone[:, 0], logits[:, track])
        same(alone_state[0], state[track])
    assert state.shape == (3, steps.size)
    # Nothing of a stream is outside its state.
    again, _ = stream(steps, frames)
    np.testing.assert_array_equal(again, logits)


def test_before_anything_is_pooled_the_answer_is_of_nothing_and_finite():
    network = network_of("stgcn", "halves at the end")
    C, _, V, M = network.spec.input_shape
    steps = Continual(flatten(network), network.spec.input_shape)
    logits, _ = stream(steps, noise(1, C, steps.delay, V, M))
    bias = network.fc.bias.numpy()
    np.testing.assert_allclose(logits, np.broadcast_to(bias, logits.shape), rtol=1e-6)


def test_accuracy_takes_a_folder_with_the_continual_form(tiny_dataset, tmp_path):
    network = network_of("stgcnpp", "halves twice, two persons")
    T = network.spec.input_shape[1]
    about = {"preprocessing": [{"op": "fit", "frames": T}]}
    clips = noise(2, *network.spec.input_shape)
    formats = ["onnx", "continual", "paddle"]
    api.export(network, tmp_path, clips, formats=formats, about=about)
    # What the description does not name is not the folder's.
    (tmp_path / "another.onnx").write_bytes(b"")
    task = SimpleNamespace(dataset=of_seven(tiny_dataset))
    rows = [each.row for each in accuracy.compared([tmp_path], task)]
    assert {row.file: row.agreement for row in rows} == {
        "model.onnx": 1.0,
        "model_continual.onnx": 1.0,
        table.files("paddle")[0]: 1.0,
    }
    steps = tmp_path / "model_continual.onnx"
    (alone,) = accuracy.candidates(steps, task, 1)
    assert alone.name == f"{steps} (ONNX Runtime, a few frames a call)"
    assert alone.predict(clips).shape == (2, 7)
    # One of several formats is enough.
    (tmp_path / "model.onnx").unlink()
    kinds = [found.kind for found in accuracy.files_of(tmp_path)]
    assert sorted(kinds) == ["continual", "paddle"]
    # Without a description a file is what its ending says.
    (tmp_path / deployed.NAME).unlink()
    kinds = {found.model.name: found.kind for found in accuracy.files_of(tmp_path)}
    assert kinds == {
        "another.onnx": "onnx",
        "model_continual.onnx": "onnx",
        table.files("paddle")[0]: "paddle",
    }


def test_accuracy_refuses_a_model_of_another_number_of_classes(tiny_dataset, tmp_path, capsys):
    dataset = of_seven(tiny_dataset)
    network = network_of("stgcnpp", "halves twice, two persons")
    T = network.spec.input_shape[1]
    about = {"preprocessing": [{"op": "fit", "frames": T}], "classes": list(dataset.classes)}
    clips = noise(2, *network.spec.input_shape)
    api.export(network, tmp_path, clips, formats=["onnx"], about=about)
    accuracy.try_out([tmp_path], SimpleNamespace(dataset=dataset))
    assert "other names" not in capsys.readouterr().err
    named = replace(dataset, classes=tuple(f"{name} again" for name in dataset.classes))
    accuracy.try_out([tmp_path], SimpleNamespace(dataset=named))
    assert "other names than those of" in capsys.readouterr().err
    turned = replace(dataset, classes=dataset.classes[::-1])
    with pytest.raises(CheckpointError, match="its class 0 is 'class 0', which is class 6"):
        accuracy.try_out([tmp_path], SimpleNamespace(dataset=turned))
    for classes in (dataset.classes[:-1], (*dataset.classes, "one more")):
        other = SimpleNamespace(dataset=replace(dataset, classes=classes))
        with pytest.raises(DataError, match=f"answers with 7 classes, .* has {len(classes)}; give"):
            accuracy.compared([tmp_path], other)
        # Of a file without a description its answers alone tell.
        (alone,) = accuracy.candidates(tmp_path, other, 1)
        with pytest.raises(DataError, match="answers with 7 classes"):
            alone.predict(clips)


@pytest.mark.parametrize("name", ["stgcn", "stgcnpp"])
def test_the_file_is_held_against_the_trained_network_and_takes_any_number_of_tracks(
    name, tmp_path
):
    network = network_of(name, "halves twice, two persons")
    C, T, V, M = network.spec.input_shape
    clips = noise(5, C, T, V, M)
    found = api.export(network, tmp_path, clips, formats=["onnx", "continual"])
    assert found["continual"]["agreement"] == 1.0
    assert found["continual"]["max_rel_diff"] < 1e-5
    description = deployed.read(tmp_path)
    assert description.files["continual"] == ("model_continual.onnx",)
    both = deployed.predictors(tmp_path, description)
    same(both["continual"](clips), both["onnx"](clips))
    steps = runtime.load_steps([tmp_path / "model_continual.onnx"])
    in_paddle = Continual(flatten(network), network.spec.input_shape)
    assert (steps.size, steps.delay, steps.pooled) == (in_paddle.size, in_paddle.delay, 6)
    frames = noise(3, C, 80, V, M)
    expected, last = stream(in_paddle, frames)
    state = np.zeros((3, steps.size), np.float32)
    for call, start in enumerate(range(0, 80, steps.chunk)):
        part = frames[:, :, start : start + steps.chunk]
        logits, state = steps(part, np.ones((3, steps.chunk), np.float32), state)
        same(logits, expected[call])
    same(state, last)


def test_a_file_that_is_late_by_another_number_is_not_delivered(tmp_path, monkeypatch):
    network = network_of("stgcnpp", "halves at the end")
    clips = noise(2, *network.spec.input_shape)
    convert = onnx_continual.convert

    def early(steps, spec):
        model = convert(steps, spec)
        model.metadata_props[0].value = str(steps.delay - steps.chunk)
        return model

    monkeypatch.setattr(onnx_continual, "convert", early)
    with pytest.raises(ExportMismatch, match="disagrees with the trained network"):
        api.export(network, tmp_path, clips, formats=["continual"])
    assert not (tmp_path / deployed.NAME).exists()


def test_what_has_no_continual_form_is_refused_with_the_fix(tmp_path):
    ctrgcn = networks.module("ctrgcn")
    network = networks.build(ctrgcn.default_spec(3, FIVE, 16, 1))
    network.eval()
    clips = noise(2, 3, 16, 5, 1)
    with pytest.raises(RecipeError, match="ctrgcn has no continual form, only stgcn and stgcnpp"):
        api.export(network, tmp_path, clips, formats=["continual"])
    small = network_of("stgcn", "never halves")
    clips = noise(2, *small.spec.input_shape)
    with pytest.raises(RecipeError, match="float32 alone"):
        rounded = api.quantize(small, kind="int8_weights")
        api.export(small, tmp_path, clips, formats=["continual"], quantized=rounded)
    with pytest.raises(RecipeError, match="leave profile and batch out"):
        api.export(small, tmp_path, clips, formats=["onnx", "continual"], batch=1)
    Options(opset=17).require_continual("stgcn", rounded=False)


def test_an_ordinary_file_in_its_place_is_refused(tmp_path):
    network = network_of("stgcnpp", "never halves")
    clips = noise(2, *network.spec.input_shape)
    api.export(network, tmp_path, clips, formats=["onnx", "continual"])
    path = tmp_path / "model_continual.onnx"
    model = onnx.load(str(path))
    del model.metadata_props[:]
    onnx.save(model, str(path))
    for file in (path, tmp_path / "model.onnx"):
        with pytest.raises(ExportMismatch, match="is no continual network"):
            runtime.load_steps([file])
    with pytest.raises(ExportMismatch, match="has no embeddings of clips"):
        runtime.load_with_features([path])


def test_an_export_without_it_leaves_no_file_of_an_earlier_one(tmp_path):
    network = network_of("stgcn", "never halves")
    clips = noise(2, *network.spec.input_shape)
    with paddle.no_grad():
        reference = network(paddle.to_tensor(clips)).numpy()
    for formats in (("onnx", "continual"), ("onnx",)):
        package.build(network, tmp_path, formats, {}, clips, reference)
        assert (tmp_path / "model_continual.onnx").exists() == ("continual" in formats)
