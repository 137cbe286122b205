"""Formats and runtimes are rows of a table, and an export leaves what it is given as it was."""

import numpy as np
import paddle
import pytest

from compress import recipe
from export import deployed, package, verify
from export.flat.flatten import flatten
from export.flat.layers import FlatLayer, prepared
from export.formats import baseline, onnx_model, table
from export.quantize import bits
from export.quantize.calibrate import calibrate, observe
from export.quantize.quantized import Quantized
from export.runtimes import in_process
from teachers import networks
from teachers.errors import CheckpointError


@pytest.fixture(scope="module")
def trained(tiny_spec, randomised):
    network = randomised(networks.build(tiny_spec))
    clips = np.random.default_rng(0).standard_normal((4, *tiny_spec.input_shape)).astype("float32")
    return network, clips, in_process(network)(clips)


def everything_of(layer) -> dict:
    """All that an export could change: values, names, shapes, modes, forms, observers."""
    found = {name: (v.name, v.numpy().tobytes(), v.shape) for name, v in layer.state_dict().items()}
    for path, part in layer.named_sublayers(include_self=True):
        found[f"{path} layer"] = (type(part), part.training, tuple(part._sub_layers))
        if isinstance(part, FlatLayer):
            found[f"{path} form"] = (part.onnx, part.integers, part.observer)
    return found


def keep(name, value):
    return value


@pytest.mark.parametrize("kind", [None, "int8_weights", "int4_weights", "int8"])
@pytest.mark.parametrize("name", table.usual())
def test_an_export_leaves_the_flat_network_as_it_was(trained, tmp_path, name, kind):
    network, clips, _ = trained
    flat = flatten(network)
    observe(flat, keep)
    ranges = calibrate(prepared(flat, integers=True), clips, "min_max") if kind == "int8" else None
    plan = None if kind is None else bits.make_plan(flat, kind, ranges)
    before = everything_of(flat)
    files = table.load(name).save(flat, network.spec, tmp_path, plan)
    assert everything_of(flat) == before
    assert [file.name for file in files] == list(table.files(name))


def test_forms_are_copies(trained):
    network = trained[0]
    flat = flatten(network)
    before = everything_of(flat)
    twin = prepared(flat, integers=True)
    onnx_model.convert(flat, network.spec)
    assert everything_of(flat) == before != everything_of(twin)


def test_the_baseline_export_leaves_a_training_network_training(trained, tmp_path):
    network = networks.build(trained[0].spec)
    network.train()
    network.fc.eval()
    before = everything_of(network)
    baseline.save_baseline(network, tmp_path)
    assert everything_of(network) == before


@pytest.fixture
def toy(monkeypatch):
    monkeypatch.setitem(table.RUNTIMES, "toy", table.RuntimeRow("Toy", "tests.toy_format"))
    row = table.FormatRow("tests.toy_format", ("model.npz",), "toy")
    monkeypatch.setitem(table.FORMATS, "toy", row)


@pytest.mark.parametrize("kind", [None, "int8_weights"])
def test_a_format_is_one_module_and_one_row(trained, toy, tmp_path, kind):
    network, clips, reference = trained
    quantized = kind and Quantized(bits.make_plan(flatten(network), kind))
    formats = ("toy", "onnx")
    found = package.build(network, tmp_path, formats, {}, clips, reference, quantized)
    assert set(found) == {"toy", "onnx"} and found["toy"]["agreement"] == 1.0
    description = deployed.read(tmp_path)
    assert description.files == {"toy": ("model.npz",), "onnx": ("model.onnx",)}
    logits = deployed.predictors(tmp_path, description)["toy"](clips)
    off = verify.difference(logits, reference)["max_rel_diff"]
    assert off < (1e-5 if quantized is None else 0.1)
    assert table.runtime_title("toy") == "Toy"


def test_a_recipe_may_name_a_new_format(toy):
    assert recipe.load("stgcn", ["export.formats=[toy, onnx]"]).export.formats == ("toy", "onnx")


def test_a_folder_of_an_unknown_format_is_refused(trained, tmp_path):
    description = deployed.describe(trained[0].spec, {}, {"toy": ["model.npz"]})
    with pytest.raises(
        CheckpointError, match=r"names a format 'toy' \(known: paddle, onnx, continual\)"
    ):
        deployed.predictors(tmp_path, description)


def test_copies_keep_the_names_of_buffers(trained):
    flat = flatten(trained[0])
    flat[0].register_buffer("graph", paddle.ones([2, 2]))
    flat[0].graph.name = "data_bn.graph"
    assert prepared(flat)[0].graph.name == "data_bn.graph"
