"""Persons who are not in a clip are not computed by Paddle's program: the same logits, bit for bit."""

import numpy as np
import paddle
import pytest
from test_onnx_absent import THERE, build, clips_of

from compress import recipe as recipes
from export import runtimes
from export.flat.flatten import flatten
from export.flat.layers import prepared
from export.formats import paddle_absent, paddle_format
from export.formats.options import Options
from export.quantize import bits
from export.runtimes import in_process
from teachers import networks
from teachers.errors import ExportMismatch


def program(network, folder, skips, kind=None):
    """Paddle Inference with the file of a network."""
    folder.mkdir()
    flat = flatten(network)
    plan = None if kind is None else bits.make_plan(prepared(flat), kind)
    files = paddle_format.save(flat, network.spec, folder, plan, Options(skip_absent=skips))
    return runtimes.paddle_inference(*files, threads=1)


@pytest.mark.parametrize("name", networks.names())
def test_every_network_answers_the_same_bit_for_bit(name, randomised, tmp_path):
    network = build(name, randomised)
    clips = clips_of(network)
    everybody = program(network, tmp_path / "everybody", skips=False)
    few = program(network, tmp_path / "few", skips=None)
    expected = everybody(clips)
    assert np.array_equal(few(clips), expected)
    for clip in range(len(clips)):
        alone = clips[clip : clip + 1]
        assert np.array_equal(few(alone), everybody(alone)), THERE[clip]
    # The persons matter at all, or nothing would have been shown.
    assert len(np.unique(expected[:, 0])) > 3


@pytest.mark.parametrize("kind", ["int8_weights", "int4_weights", "float16"])
def test_in_every_precision(kind, randomised, tmp_path):
    network = build("ctrgcn", randomised)
    clips = clips_of(network)
    everybody = program(network, tmp_path / "everybody", False, kind)
    few = program(network, tmp_path / "few", True, kind)
    assert np.array_equal(few(clips), everybody(clips))


def test_only_who_is_there_is_computed_and_not_a_number_is_somebody(randomised, tmp_path):
    network = build("stgcn", randomised)
    clips = clips_of(network)
    present = paddle_absent.skipping(flatten(network), network.spec)
    seen = []
    features = present._head.features
    present._head.features = lambda x: seen.append(len(x)) or features(x)
    in_process(present)(clips)
    in_process(present)(np.zeros_like(clips))
    clips[1, 0, 0, 0, 1] = np.nan
    in_process(present)(clips)
    # Seven persons are there, and in two clips the first is not.
    assert seen == [int(THERE.sum()) + 2, len(clips), 10] == [9, 6, 10]
    everybody = program(network, tmp_path / "everybody", skips=False)
    few = program(network, tmp_path / "few", skips=True)
    assert np.array_equal(few(clips), everybody(clips), equal_nan=True)


def test_a_network_of_one_person_or_without_a_flat_form_stays_as_it_is(randomised):
    alone = build("ctrgcn", randomised, persons=1)
    flat = flatten(alone)
    assert paddle_absent.skipping(flat, alone.spec) is flat
    two = build("ctrgcn", randomised)
    foreign = paddle.nn.Sequential(paddle.nn.Flatten(), paddle.nn.Linear(3 * 8 * 5 * 2, 4))
    assert paddle_absent.skipping(foreign, two.spec) is foreign


def test_a_program_that_answers_otherwise_is_refused(randomised, monkeypatch):
    network = build("stgcn", randomised)
    features = paddle_absent.Present._features
    calls = []

    def wrong(self, rows):
        calls.append(rows)
        # Those of nobody, which are computed first
        return features(self, rows) + (len(calls) == 1)

    monkeypatch.setattr(paddle_absent.Present, "_features", wrong)
    with pytest.raises(ExportMismatch, match="export.skip_absent: false"):
        paddle_absent.skipping(flatten(network), network.spec)


def test_the_key_is_not_of_onnx_alone(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text("extends: ctrgcn_lite_dml\nexport: {formats: [paddle], skip_absent: false}\n")
    assert recipes.load(str(path), []).export.options == Options(skip_absent=False)
