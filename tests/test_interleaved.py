"""Latencies that are compared are timed in turns, 50 times each; the teacher is exported to be
compared, and never costs the run."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from sample_report import sample_report

from compress import deliver
from compress.evaluation import latency
from compress.evaluation.as_shipped import Shipped, Source, ship
from compress.evaluation.evaluate import EvaluationSet
from compress.reporting import side_by_side
from compress.reporting.record import from_json
from export.formats.options import USUAL
from teachers import networks
from teachers.errors import ExportMismatch


def test_everything_takes_its_turn_in_every_round():
    order = []
    found = latency.in_turns(
        [lambda turn: order.append(("a", turn)), lambda turn: order.append("b")]
    )
    rounds = latency.WARM_UP + latency.TIMINGS
    assert order == [entry for turn in range(rounds) for entry in (("a", turn), "b")]
    assert [entry.timings for entry in found] == [50, 50]


def test_the_spread_lies_between_the_quartiles(monkeypatch):
    """The clock stands still but for the calls: 1 to 50 ms after a slow warm-up."""
    now = [0.0]
    monkeypatch.setattr(latency.time, "perf_counter", lambda: now[0])

    def run(turn):
        now[0] += 9.0 if turn < latency.WARM_UP else (turn - latency.WARM_UP + 1) / 1000

    (found,) = latency.in_turns([run])
    np.testing.assert_allclose(
        (found.p50_ms, found.p95_ms, found.spread_ms), (25.5, 47.55, 24.5), rtol=1e-9
    )


def test_clips_of_one_person_and_of_all_have_medians_of_their_own(monkeypatch):
    """Every other clip has one person and takes 2 ms, the rest two and 5 ms."""
    now = [0.0]
    monkeypatch.setattr(latency.time, "perf_counter", lambda: now[0])

    def run(turn):
        now[0] += (0.002, 0.005)[turn % 2]

    (mixed,) = latency.in_turns([run], (1, 2))
    np.testing.assert_allclose((mixed.one_person_ms, mixed.all_persons_ms), (2.0, 5.0))
    for alike in ((), (1,), (2,), (0, 0)):
        (found,) = latency.in_turns([run], alike)
        assert (found.one_person_ms, found.all_persons_ms) == (None, None)


def test_persons_are_counted_as_the_network_sees_them():
    clip = np.ones((1, 3, 4, 5, 2), "float32")
    alone = clip * np.array([1, 0], "float32")
    clips = SimpleNamespace(batches=lambda size: iter([clip, alone, 0 * clip]))
    assert latency.persons_of(clips, np.zeros(3)) == (2, 1, 0)
    # What the network is given of nobody need not be zeros.
    clips = SimpleNamespace(batches=lambda size: iter([2 * clip, 2 * clip - clip * [1, 0]]))
    assert latency.persons_of(clips, np.ones(3)) == (2, 1)


def test_a_split_of_few_clips_is_timed_as_often(tiny_dataset, tiny_view):
    seen = []
    clips = EvaluationSet(tiny_dataset.val, tiny_view)
    run = latency.turn_of(lambda x: seen.append(x), clips)
    for turn in range(len(clips) + 2):
        run(turn)
    assert {len(x) for x in seen} == {1}
    np.testing.assert_array_equal(seen[0], seen[len(clips)])
    assert not np.array_equal(seen[0], seen[1])


def report_with(*medians):
    report = from_json(sample_report())
    return replace(report, before=None, after=None, runtimes=report.runtimes[: len(medians)])


def test_before_and_after_are_of_the_fastest_deployed_runtime(monkeypatch):
    """Rows: dygraph, Paddle Inference, ONNX Runtime, and the teacher's two files."""
    medians = iter((50.0, 20.0, 5.0, 30.0, 9.0))
    monkeypatch.setattr(
        "compress.evaluation.accuracy.in_turns",
        lambda turns, persons: [latency.Latency(next(medians), 99.0, 1.0, 50) for _ in turns],
    )
    teacher = Shipped(9_000_000, {"paddle": lambda turn: None, "onnx": lambda turn: None})
    report = side_by_side.timed(report_with(1, 2, 3), [lambda turn: None] * 3, teacher)
    assert [row.p50_ms for row in report.runtimes] == [50.0, 20.0, 5.0]
    before, after = report.before, report.after
    assert (before.runtime, before.p50_ms, before.bytes) == ("ONNX Runtime", 9.0, 9_000_000)
    assert (after.runtime, after.p50_ms, after.bytes) == ("ONNX Runtime", 5.0, 2_684_380)
    assert (before.top1, after.top1) == (93.97, 93.97)
    assert (before.spread_ms, before.timings) == (1.0, 50)
    assert (before.params, after.params) == (1_426_000, 801_200)


def test_without_the_teachers_files_the_rest_is_there_and_says_why():
    report = side_by_side.timed(report_with(1, 2, 3), [lambda turn: None] * 3, None, "no export")
    assert (report.before.bytes, report.before.p50_ms, report.before.note) == (
        None,
        None,
        "no export",
    )
    assert report.before.top1 == 93.97
    assert report.after.p50_ms is not None


@pytest.mark.parametrize("problem", [ExportMismatch("model.onnx: differs"), RuntimeError("C++")])
def test_a_teacher_that_cannot_be_exported_does_not_fail_the_run(problem, monkeypatch, tmp_path):
    def broken(*_):
        raise problem

    monkeypatch.setattr(deliver, "ship", broken)
    work = SimpleNamespace(folder=tmp_path)
    recipe = SimpleNamespace(export=SimpleNamespace(formats=("onnx",), options=USUAL))
    shipped, text = deliver._ship_teacher(recipe, work, SimpleNamespace(teacher=()), 1)
    assert shipped is None
    assert text == f"the teacher could not be exported for the comparison ({problem})"


def test_an_ensemble_ships_every_network(tiny_spec, randomised, tmp_path):
    network = randomised(networks.build(tiny_spec))
    clip = np.zeros((1, *tiny_spec.input_shape), "float32")
    clips = SimpleNamespace(batches=lambda size: iter([clip]))
    source = Source(network, {"classes": ["a", "b", "c"]}, clips)
    one = ship([source], tmp_path / "one", ("onnx",), 1)
    two = ship([source, source], tmp_path / "two", ("onnx",), 1)
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == [
        "deployed.json",
        "model.onnx",
    ]
    assert one.bytes == sum(path.stat().st_size for path in (tmp_path / "one").iterdir())
    assert two.bytes == 2 * one.bytes
    assert list(two.turns) == ["onnx"]
    two.turns["onnx"](0)
