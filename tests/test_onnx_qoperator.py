"""Eight-bit ONNX files as ONNX Runtime's own operators on integers: which they are, and that they
compute what the file of Q/DQ pairs computes."""

from collections import Counter

import numpy as np
import onnx
import paddle
import pytest
from onnx import numpy_helper
from test_onnx_absent import build, clips_of

from compress import recipe as recipes
from export import deployed, package, runtimes, verify
from export.formats import onnx_absent, onnx_format, onnx_int8, onnx_model
from export.formats.options import Options
from export.quantize import bits, saturation
from export.quantize.layer_report import decibels
from export.quantize.quantized import Quantized, corrected
from teachers import networks, stgcnpp
from teachers.errors import ExportMismatch, RecipeError
from teachers.skeleton import UCLA_20

NETWORKS = ("ctrgcn", "efficientgcn", "stgcn", "stgcnpp")
EVERYBODY = Options(skip_absent=False)


@pytest.fixture(scope="module")
def subjects(randomised):
    """Name -> (network, clips, how it is quantised, logits of the simulation), made once."""
    made = {}

    def subject(name):
        if name not in made:
            paddle.seed(3)
            network = build(name, randomised)
            clips = clips_of(network)
            quantized = corrected(network, clips, "min_max", {})
            simulated = runtimes.in_process(quantized.simulated(network))(clips)
            made[name] = network, clips, quantized, simulated
        return made[name]

    return subject


def converted(subject, form="qoperator", skip_absent=False) -> onnx.ModelProto:
    network, _, quantized, _ = subject
    options = Options(skip_absent, onnx=form)
    model = onnx_format.convert(quantized.flat(network), network.spec, quantized.plan, options)
    if skip_absent:
        assert onnx_absent.skip(model, network.spec)
    return model


def kinds_of(model) -> Counter:
    return Counter(node.op_type for node in model.graph.node)


def close(found, expected) -> float:
    return decibels(float(np.square(expected).sum()), float(np.square(found - expected).sum()))


@pytest.mark.parametrize("name", NETWORKS)
def test_it_computes_what_was_simulated_in_any_batch(name, subjects, tmp_path):
    _, clips, _, simulated = subject = subjects(name)
    (path,) = onnx_model.write(converted(subject), tmp_path)
    for optimised in (True, False):
        run = runtimes.onnx_runtime(path, optimised=optimised)
        assert close(run(clips), simulated) > 25, optimised
        # Integers are the same in any batch; the classifier's float32 sums need not be.
        assert np.allclose(run(clips[2:3]), run(clips)[2:3], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("width", [18, 21])
def test_any_width_goes_in_eight_bits(width, randomised, tmp_path):
    """Branches are padded to multiples of four; what the blocks add and hand on is not."""
    config = stgcnpp.Config(width=width, stages=3, inflate=(3,), down=(3,), ratio=1.5)
    network = randomised(networks.build(stgcnpp.default_spec(3, UCLA_20, 8, 1, config=config)))
    clips = clips_of(network)
    quantized = corrected(network, clips, "min_max", {})
    simulated = runtimes.in_process(quantized.simulated(network))(clips)
    (path,) = onnx_model.write(converted((network, clips, quantized, simulated)), tmp_path)
    assert close(runtimes.onnx_runtime(path)(clips), simulated) > 25


@pytest.mark.parametrize("name", ["stgcn", "stgcnpp"])
def test_maps_stay_integers_and_are_turned_once(name, subjects):
    kinds = kinds_of(converted(subjects(name)))
    assert not {"Conv", "Relu", "MaxPool", "Clip"} & set(kinds)
    # The input by the network and into channels-last; pooled features are the first floats.
    assert kinds["Transpose"] == 2
    assert kinds["QuantizeLinear"] == 1
    assert kinds["DequantizeLinear"] == 2  # the last map, the classifier's weights


def test_all_maps_of_efficientgcn_stay_integers_but_pooled_ones(subjects):
    network, _, quantized, _ = subject = subjects("efficientgcn")
    kinds = kinds_of(converted(subject))
    assert kinds["QLinearGlobalAveragePool"] > 0 and not {"Relu", "Clip"} & set(kinds)
    # Of attention: one before and one behind the hardswish, for joints and for frames.
    layers = bits.layers(quantized.flat(network))
    assert kinds["Conv"] == 4 * sum(layer.endswith("attention.joint") for layer in layers)


def test_the_last_map_of_efficientgcn_is_pooled_in_float(subjects):
    network, _, quantized, _ = subjects("efficientgcn")
    *others, last = [block.id for block in network.spec.blocks if not block.branched]
    points = quantized.plan.ranges
    assert {f"{last}.attention", f"{last}.graph.swish"} <= points.keys()
    assert not {f"{last}.attention.swish", f"{last}.attention.gate"} & points.keys()
    assert all(f"{block}.attention.swish" in points for block in others)


def test_absent_persons_are_skipped_bit_for_bit(subjects, tmp_path):
    _, clips, _, _ = subject = subjects("stgcnpp")
    logits = []
    for skips in (False, True):
        (tmp_path / str(skips)).mkdir()
        (path,) = onnx_model.write(converted(subject, skip_absent=skips), tmp_path / str(skips))
        logits.append(runtimes.onnx_runtime(path)(clips))
    assert np.array_equal(*logits)


def test_a_layer_kept_in_float_is_computed_in_float(subjects, tmp_path):
    network, clips, quantized, _ = subjects("stgcnpp")
    block = network.spec.blocks[-1].id
    kept = {f"{block}.mix": "float32"}
    plan = bits.make_plan(quantized.for_onnx(network), "int8", quantized.plan.ranges, kept)
    kept_one = Quantized(plan, quantized.constants)
    simulated = runtimes.in_process(kept_one.simulated(network))(clips)
    model = converted((network, clips, kept_one, simulated))
    assert kinds_of(model)["Conv"] == 1
    (path,) = onnx_model.write(model, tmp_path)
    assert close(runtimes.onnx_runtime(path)(clips), simulated) > 25


def test_a_plan_made_before_there_were_these_points_is_still_exported(subjects, tmp_path):
    """Runs keep their plans; what has no range is computed in float."""
    network, clips, quantized, _ = subjects("stgcn")
    ranges = {
        name: ends
        for name, ends in quantized.plan.ranges.items()
        if not name.endswith((".biased", ".rest", ".shifted"))
    }
    old = Quantized(bits.make_plan(quantized.for_onnx(network), "int8", ranges))
    simulated = runtimes.in_process(old.simulated(network))(clips)
    (path,) = onnx_model.write(converted((network, clips, old, simulated)), tmp_path)
    assert close(runtimes.onnx_runtime(path)(clips), simulated) > 25


def test_the_pair_rule_is_looked_for_in_integer_operators(subjects):
    model = converted(subjects("stgcnpp"))
    assert not list(saturation.broken(model.graph))
    node = next(each for each in model.graph.node if each.op_type == "QLinearConv")
    weight = next(one for one in model.graph.initializer if one.name == node.input[3])
    weight.CopyFrom(numpy_helper.from_array(np.full(tuple(weight.dims), 127, "int8"), weight.name))
    assert list(saturation.broken(model.graph)) == [(weight.name, 254)]
    with pytest.raises(ExportMismatch, match="two neighbouring int8 weights add up to 254"):
        onnx_int8.require_pairs(model)


def test_the_form_is_chosen_by_network_or_recipe_and_said(subjects, tmp_path):
    network, clips, quantized, _ = subjects("stgcnpp")
    reference = verify.run(tmp_path, runtimes.in_process(network), clips)
    said = {}
    for asked in (None, "qdq"):
        folder = tmp_path / str(asked)
        options = Options(onnx=asked)
        package.build(network, folder, ("onnx",), {}, clips, reference, quantized, options)
        said[asked] = deployed.read(folder).requires["onnx"]
        domains = {each.domain for each in onnx.load(folder / "model.onnx").opset_import}
        assert ("com.microsoft" in domains) == (asked is None)
    assert said[None]["integers"] == "qoperator" and said["qdq"]["integers"] == "qdq"
    assert said[None]["onnxruntime"] == "1.10"
    assert onnx_format.integers_of(subjects("ctrgcn")[0].spec, EVERYBODY) == "qdq"


def test_a_recipe_names_the_form_and_no_other():
    assert recipes.load("stgcnpp", []).export.onnx is None
    assert recipes.load("stgcnpp", ["export.onnx=qdq"]).export.onnx == "qdq"
    with pytest.raises(RecipeError, match=r"export\.onnx.*qoperator"):
        recipes.load("stgcnpp", ["export.onnx=qlinear"])
