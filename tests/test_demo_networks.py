"""The page's interpreter on whole networks, in the forms that they are deployed in, against ONNX
Runtime."""

from __future__ import annotations

import demo_node
import numpy as np
import paddle
import pytest
from test_onnx_absent import build, clips_of

from compress.demo import graph
from export import runtimes
from export.flat.flatten import flatten
from export.formats import onnx_absent, onnx_format, onnx_model
from export.formats.options import Options
from export.quantize import bits
from export.quantize.quantized import corrected

# Integers to the end are the same bits; where float32 sums stand between levels, as in CTR-GCN's
# attention, ONNX Runtime's own order of summing could move one, and here does not.
CLOSE = 1e-4
FORMS = {
    "ctrgcn": ("float32", "qdq", "int4_weights"),
    "ctrgcn_light_v2": ("float16",),
    "efficientgcn": ("float32", "qoperator"),
    "stgcn": ("qoperator",),
    "stgcnpp": ("float16", "qdq", "qoperator"),
}


def forms(network, clips, kinds):
    """{kind: the finished model} of a network."""
    made = {}
    for kind in kinds:
        if kind in ("qdq", "qoperator"):
            quantized = corrected(network, clips, "min_max", {})
            options = Options(onnx=kind)
            flat, plan = quantized.flat(network), quantized.plan
            made[kind] = onnx_format.convert(flat, network.spec, plan, options)
        else:
            flat = flatten(network)
            plan = None if kind == "float32" else bits.make_plan(flat, kind)
            made[kind] = onnx_format.convert(flat, network.spec, plan)
        # With absent persons left out, as they are deployed.
        assert onnx_absent.skip(made[kind], network.spec)
    return made


@pytest.mark.parametrize("name", FORMS)
def test_a_network_answers_as_in_onnx_runtime(name, randomised, tmp_path):
    paddle.seed(3)
    network = build(name, randomised)
    clips = clips_of(network)
    jobs = []
    expected = []
    for kind, model in forms(network, clips, FORMS[name]).items():
        (tmp_path / kind).mkdir()
        (path,) = onnx_model.write(model, tmp_path / kind)
        expected.append(runtimes.onnx_runtime(path)(clips))
        read = graph.read(path)
        assert read.precision == ("int8" if kind.startswith("q") else "float32")
        jobs.append(
            demo_node.network_job(read, job="run", data=demo_node.packed(clips), count=len(clips))
        )
    for kind, text, theirs in zip(
        FORMS[name], demo_node.run(tmp_path, *jobs), expected, strict=True
    ):
        ours = demo_node.unpacked(text).reshape(theirs.shape)
        assert np.abs(ours - theirs).max() < CLOSE * max(1.0, np.abs(theirs).max()), kind
        assert (ours.argmax(1) == theirs.argmax(1)).all(), kind
        # Persons and clips matter at all, or nothing would have been shown.
        assert len(np.unique(theirs[:, 0])) > 3
