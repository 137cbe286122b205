"""Persons who are not in a clip are not computed in ONNX: the same logits, bit for bit."""

import numpy as np
import onnx
import pytest

from export import api, runtimes
from export.flat.flatten import flatten
from export.flat.layers import prepared
from export.formats import onnx_absent, onnx_format, onnx_model
from export.formats.options import Options
from export.preprocess import streams
from export.quantize import bits
from export.quantize.quantized import Quantized
from teachers import networks
from teachers.errors import ExportMismatch
from teachers.skeleton import Skeleton

FIVE = Skeleton("five", 5, ((2, 1), (3, 1), (4, 1), (5, 4)), centre=1)
DROPPED = ("l2", "l3", "l4", "l5", "l6", "l7", "l8", "l9")
SMALL = {
    "ctrgcn": {"width": 8},
    "ctrgcn_light_v1": {"width": 8},
    "ctrgcn_light_v2": {"width": 8},
    "efficientgcn": {},
    "ensemble": {"width": 8, "streams": ("joint", "bone_motion"), "drop": DROPPED},
    "stgcn": {"width": 8},
    "stgcnpp": {"width": 12},
}
# Who is there, of two persons, in the clips of a batch.
THERE = np.array([[1, 1], [1, 0], [0, 1], [0, 0], [1, 1], [1, 0]], "float32")


def build(name, randomised, persons=2):
    """A network of few blocks: the first, and the last, which ends in the features."""
    module = networks.module(name)
    channels = 6 * 3 if name == "efficientgcn" else 3
    spec = module.default_spec(4, FIVE, 8, persons, channels, module.Config(**SMALL[name]))
    whole = name in ("efficientgcn", "ensemble")
    inner = () if whole else tuple(block.id for block in spec.blocks[1:-1])
    return randomised(networks.build(module.drop_blocks(spec, inner) if inner else spec))


def clips_of(network):
    shape = (len(THERE), *network.spec.input_shape)
    clips = np.random.default_rng(1).standard_normal(shape).astype("float32")
    nobody = networks.absent(network.spec).reshape(1, -1, 1, 1, 1)
    return np.where(THERE.reshape(len(THERE), 1, 1, 1, -1)[..., : shape[-1]] > 0, clips, nobody)


def pair(network, folder, quantized=None):
    """(everybody computed, only those who are there) of one network, as files."""
    plan = None if quantized is None else quantized.plan
    flat = flatten(network) if quantized is None else quantized.flat(network)
    model = onnx_format.convert(flat, network.spec, plan)
    files = []
    for name, skips in (("everybody", False), ("few", True)):
        (folder / name).mkdir()
        if skips:
            assert onnx_absent.skip(model, network.spec)
        files += onnx_model.write(model, folder / name)
    return files


@pytest.mark.parametrize("name", networks.names())
def test_every_network_answers_the_same_bit_for_bit(name, randomised, tmp_path):
    network = build(name, randomised)
    clips = clips_of(network)
    everybody, few = map(runtimes.onnx_runtime, pair(network, tmp_path))
    expected = everybody(clips)
    assert np.array_equal(few(clips), expected)
    for clip in range(len(clips)):
        alone = clips[clip : clip + 1]
        assert np.array_equal(few(alone), everybody(alone)), THERE[clip]
    # The persons matter at all, or nothing would have been shown.
    assert len(np.unique(expected[:, 0])) > 3


@pytest.mark.parametrize("kind", ["int8", "int8_weights", "int4_weights", "float16"])
def test_in_every_precision(kind, randomised, tmp_path):
    network = build("ctrgcn", randomised)
    clips = clips_of(network)
    if kind == "int8":
        quantized = api.quantize(network, clips)
    else:
        quantized = Quantized(bits.make_plan(prepared(flatten(network)), kind))
    everybody, few = map(runtimes.onnx_runtime, pair(network, tmp_path, quantized))
    assert np.array_equal(few(clips), everybody(clips))


def test_nobody_is_what_the_published_input_makes_of_no_person():
    # EfficientGCN's angles of bones that have no length.
    clip = np.random.default_rng(2).standard_normal((3, 6, 5, 2)).astype("float32")
    clip[..., 1] = 0
    seen = streams.branches(clip, 0, FIVE.bones)
    module = networks.module("efficientgcn")
    nobody = networks.absent(module.default_spec(4, FIVE, 6, 2, 18, module.Config()))
    assert np.array_equal(seen[..., 1], np.broadcast_to(nobody[:, None, None], (18, 6, 5)))
    assert nobody.any() and not np.array_equal(seen[..., 0], seen[..., 1])


def test_the_recipe_key_decides(randomised, tmp_path):
    network = build("stgcn", randomised)
    for skips in (True, False):
        (file,) = onnx_format.save(
            flatten(network), network.spec, tmp_path, options=Options(skip_absent=skips)
        )
        operators = {node.op_type for node in onnx.load(file).graph.node}
        assert ("ScatterND" in operators) == skips


def test_only_who_is_there_is_computed_and_not_a_number_is_somebody(randomised, tmp_path):
    network = build("stgcn", randomised)
    clips = clips_of(network)
    _, file = pair(network, tmp_path)
    model = onnx.load(file)
    rows = next(node.input[2] for node in model.graph.node if node.op_type == "ScatterND")
    # Seven persons are there, and in two clips the first is not.
    assert len(onnx_absent._run(model, rows, clips)) == int(THERE.sum()) + 2 == 9
    assert len(onnx_absent._run(model, rows, np.zeros_like(clips))) == len(clips)
    clips[1, 0, 0, 0, 1] = np.nan
    logits = runtimes.onnx_runtime(file)(clips)
    assert np.isnan(logits[1]).all()
    assert np.isfinite(logits[[0, 2, 3, 4, 5]]).all()


def test_a_network_of_one_person_stays_as_it_is(randomised):
    network = build("ctrgcn", randomised, persons=1)
    model = onnx_model.convert(flatten(network), network.spec)
    before = model.SerializeToString()
    assert not onnx_absent.skip(model, network.spec)
    assert model.SerializeToString() == before


def test_a_model_that_answers_otherwise_is_refused(randomised, monkeypatch):
    network = build("stgcn", randomised)
    model = onnx_model.convert(flatten(network), network.spec)
    original = onnx_absent._put_back

    def wrong(graph, pooled, constant):
        original(graph, pooled, constant + 1)

    monkeypatch.setattr(onnx_absent, "_put_back", wrong)
    with pytest.raises(ExportMismatch, match="export.skip_absent: false"):
        onnx_absent.skip(model, network.spec)
