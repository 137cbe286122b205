"""`export.api`: the ten lines for a network in hand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from export import api, deployed
from teachers import networks
from teachers.errors import CheckpointError, ExportMismatch, RecipeError
from teachers.weights import checkpoints

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def network(tiny_spec, randomised):
    return randomised(networks.build(tiny_spec))


@pytest.fixture
def clips(tiny_spec):
    shape = (12, *tiny_spec.input_shape)
    return np.random.default_rng(0).standard_normal(shape).astype("float32")


def test_load_compress_export_verify(network, clips, tmp_path):
    checkpoints.save(tmp_path / "student.npz", network, {"classes": ["a", "b", "c"]})
    loaded = api.load(tmp_path / "student.npz")
    smaller = api.drop_blocks(loaded, "l8")
    rounded = api.quantize(smaller, clips)
    about = api.about(tmp_path / "student.npz")
    differences = api.export(smaller, tmp_path / "deploy", clips, about=about, quantized=rounded)
    assert set(differences) == {"paddle", "onnx"}
    assert differences["onnx"]["snr_db"] >= 20
    assert api.verify(tmp_path / "deploy", smaller, clips, rounded) == differences
    assert deployed.read(tmp_path / "deploy").classes == ("a", "b", "c")
    assert api.predictors(tmp_path / "deploy")["onnx"](clips).shape == (12, 3)


def test_a_float_folder_equals_its_network_and_no_other(network, clips, tmp_path):
    found = api.export(network, tmp_path / "deploy", clips, formats=("onnx",))
    assert set(found) == {"onnx"} and found["onnx"]["max_rel_diff"] <= 1e-5
    assert api.verify(tmp_path / "deploy", network, clips) == found
    state = networks.state_of(network)
    name = next(name for name in state if name.endswith("weight"))
    networks.load_state(network, state | {name: state[name] + 0.1}, "test")
    with pytest.raises(ExportMismatch, match=r"model\.onnx: disagrees"):
        api.verify(tmp_path / "deploy", network, clips)


def test_dropping_blocks_leaves_the_network_as_it_was(network):
    before = networks.state_of(network)
    smaller = api.drop_blocks(network, "l4", "l8")
    blocks = [block.id for block in network.spec.blocks]
    assert [block.id for block in smaller.spec.blocks] == [
        name for name in blocks if name not in ("l4", "l8")
    ]
    assert all(
        np.array_equal(before[name], now) for name, now in networks.state_of(network).items()
    )
    kept = networks.state_of(smaller)
    first = [name for name in kept if name.startswith("l1.")]
    assert first and all(np.array_equal(kept[name], before[name]) for name in first)
    with pytest.raises(RecipeError):
        api.drop_blocks(network, "l99")


@pytest.mark.parametrize("kind", ["int8_weights", "int4_weights", "float16"])
def test_weights_in_fewer_bits_need_no_clips(kind, network, clips, tmp_path):
    rounded = api.quantize(network, kind=kind, keep={"l1": "float32"})
    assert rounded.kinds()["float32"] >= 1 and kind in rounded.kinds()
    found = api.export(network, tmp_path / "deploy", clips, quantized=rounded)
    assert all(one["max_rel_diff"] <= 1e-5 for one in found.values())


def test_what_is_missing_is_said(network, tmp_path):
    with pytest.raises(RecipeError, match="int8 needs clips"):
        api.quantize(network)
    with pytest.raises(CheckpointError, match="no such file"):
        api.load(tmp_path / "nosuch.npz")
    with pytest.raises(CheckpointError, match="give a deployed folder"):
        api.predictors(tmp_path)


def test_the_package_alone_loads_no_paddle():
    code = "import sys, compress; print(sorted({'paddle', 'onnx'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "[]"
