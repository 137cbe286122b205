"""Calibration, the paired test, scores that are kept, damaged clips: exact values."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from compress import deliver
from compress.cli import compare, robustness as robustness_command, scores as command
from compress.evaluation import calibration, damage, evaluate, paired, robustness, scores
from compress.evaluation.damage_settings import GATE_ONLY, Config
from compress.inputs import view as views
from compress.reporting.record import Report
from teachers.errors import DataError

ROOT = Path(__file__).resolve().parents[1]


def logits_of(scores_: list[list[float]]) -> np.ndarray:
    return np.log(np.array(scores_))


def test_expected_calibration_error_by_hand():
    confidence = np.array([0.95, 0.95, 0.65, 0.65])
    right = np.array([True, False, True, True])
    # Bins (0.933, 1] and (0.6, 0.667]: |1.9 - 1| / 4 and |1.3 - 2| / 4.
    assert calibration.expected_calibration_error(confidence, right) == pytest.approx(0.4)
    assert calibration.expected_calibration_error(np.ones(3), np.ones(3, bool)) == 0


def test_risk_coverage_counts_equal_confidences_alike():
    confidence = np.array([0.5, 0.9, 0.9, 0.2])
    right = np.array([True, True, False, False])
    expected = [0.5, 0.5, 1 / 3, 0.5]
    np.testing.assert_allclose(calibration.risk_coverage(confidence, right), expected)
    # Whichever of the equals comes first.
    order = [2, 1, 0, 3]
    np.testing.assert_allclose(calibration.risk_coverage(confidence[order], right[order]), expected)


def test_calibration_sums_up():
    logits = logits_of([[0.95, 0.05], [0.95, 0.05], [0.6, 0.4], [0.3, 0.7]])
    found = calibration.calibration(logits, np.array([0, 1, 0, 1]))
    assert found.sure_and_wrong == 1 and found.coverage[-1] == 100
    assert found.risk[-1] == 0.25 and found.aurc == pytest.approx((0.5 + 0.5 + 1 / 3 + 0.25) / 4)
    assert found.temperature == 1 and found.loss == pytest.approx(
        -np.log([0.95, 0.05, 0.6, 0.7]).mean()
    )


@pytest.mark.parametrize("wanted", [0.5, 3.0])
def test_the_temperature_is_found(wanted):
    generator = np.random.default_rng(0)
    true = generator.normal(0, 2, (4000, 5))
    chances = evaluate.softmax(true)
    labels = np.array([generator.choice(5, p=row) for row in chances])
    found = calibration.fit_temperature(true * wanted, labels)
    assert found == pytest.approx(wanted, rel=0.06)
    before = calibration.calibration(true * wanted, labels)
    after = calibration.calibration(true * wanted, labels, found)
    assert after.loss < before.loss and after.ece < before.ece / 3


def test_clips_that_tell_no_temperature_give_none():
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 2, (50, 5))
    right = logits.argmax(axis=1)
    # All of them right: any loss is less at a lower temperature.
    assert calibration.fit_temperature(logits, right) is None
    assert calibration.fit_temperature(logits, (right + 1) % 5) is None
    one_wrong = right.copy()
    one_wrong[0] = (one_wrong[0] + 1) % 5
    assert calibration.fit_temperature(logits, one_wrong) < 1
    fitted = robustness.fitted_on([(logits, right), (logits, one_wrong)], "50 clips")
    assert fitted.temperatures == (1.0, calibration.fit_temperature(logits, one_wrong))
    assert fitted.clips.startswith("50 clips; T is 1 where these tell none")


def test_a_temperature_that_nothing_tells_is_not_stored(tiny_dataset, monkeypatch):
    monkeypatch.setattr(deliver, "in_process", lambda network: None)
    monkeypatch.setattr(deliver, "logits_of", lambda predict, clips: np.eye(3)[clips.labels])
    view = views.from_ops(({"op": "uniform", "frames": 4, "clip": 0, "clips": 1},), (3, 4, 5, 2))
    state = SimpleNamespace(served=lambda: None, student=SimpleNamespace(view=view))
    notes: list[str] = []
    recorder = SimpleNamespace(report=Report("x"), note=notes.append)
    wanted = SimpleNamespace(export=SimpleNamespace(temperature=True))
    work = SimpleNamespace(dataset=tiny_dataset)
    assert deliver._temperature(wanted, work, state, recorder) == {}
    assert recorder.report.temperature is None
    assert notes[0].startswith("export.temperature: none is stored")


def test_a_temperature_is_fitted_on_as_many_views_as_are_averaged(tiny_dataset):
    steps = ({"op": "uniform", "frames": 4, "clip": 0, "clips": 1},)
    view = views.from_ops(steps, (3, 4, 5, 2), clips=3)
    seen: list[int] = []

    def predict(x):
        seen.append(len(x))
        return np.stack([x[:, 0, 0, 0, 0], x[:, 0, 1, 0, 0], x[:, 0, 2, 0, 0]], axis=1)

    judged = robustness.Candidate("served", predict, view)
    side = deliver._training_side(SimpleNamespace(dataset=tiny_dataset), judged)
    assert side.clips == 3
    logits = evaluate.logits_of(predict, side)
    assert sum(seen) == 3 * len(tiny_dataset.train) and len(logits) == len(tiny_dataset.train)
    expected = calibration.fit_temperature(logits, side.labels)
    found = robustness_command._fitted([judged], tiny_dataset)
    assert found.temperatures == (expected,)
    assert found.clips == f"{len(tiny_dataset.train)} training clips"


def test_unknown_is_told_by_confidence():
    known = logits_of([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4]])
    unknown = logits_of([[0.55, 0.45], [0.6, 0.4]])
    training = logits_of([[0.7 + 0.01 * each, 0.3 - 0.01 * each] for each in range(20)])
    found = robustness.unknown(known, unknown, training, 0.95)
    assert found.auroc == pytest.approx((1 + 1 + 0.75) / 3) and found.clips == 2
    assert found.threshold == pytest.approx(0.7)
    assert found.known_answered == pytest.approx(200 / 3) and found.unknown_answered == 0
    # The threshold is one of the scores that are served: (p / (1 - p)) ** 2 in place of p / (1 - p).
    served = robustness.unknown(known, unknown, training, 0.95, 0.5)
    assert served.threshold == pytest.approx(0.49 / (0.49 + 0.09))
    assert (served.known_answered, served.unknown_answered) == (
        found.known_answered,
        found.unknown_answered,
    )


def test_mcnemar_is_the_binomial():
    first = np.array([1] * 8 + [0] * 2 + [1] * 5, bool)
    second = np.array([0] * 8 + [1] * 2 + [1] * 5, bool)
    found = paired.mcnemar(first, second)
    # 2 (1 + 10 + 45) / 2^10
    assert (found.gained, found.lost, found.p) == (2, 8, 112 / 1024)
    assert paired.mcnemar(first, first).p == 1 and paired.two_sided(1000, 2000) == 1
    assert 0 < paired.two_sided(900, 2200) < 1e-15


@pytest.mark.parametrize(
    "count, trials", [(0, 0), (0, 1), (1, 1), (3, 9), (7, 9), (5, 10), (480, 1001), (1050, 2000)]
)
def test_the_binomial_is_exact(count, trials):
    tail = sum(math.comb(trials, each) for each in range(min(count, trials - count) + 1))
    assert paired.two_sided(count, trials) == min(2 * tail, 2**trials) / 2**trials


def test_many_clips_that_differ_take_no_new_coefficient_each(monkeypatch):
    def comb(trials, heads):
        raise AssertionError(
            "a coefficient of 10,000 trials takes a millisecond, and there are 5,000"
        )

    monkeypatch.setattr(math, "comb", comb)
    # By the normal distribution, 2 (1 - Phi(1.99)); exactly 0.0466.
    assert paired.two_sided(4900, 10_000) == pytest.approx(0.0466, abs=1e-4)


def test_kept_scores_give_the_table_again(tiny_dataset, tmp_path):
    generator = np.random.default_rng(2)
    copied = np.zeros(14, bool)
    copied[:4] = True
    dataset = replace(tiny_dataset, val=replace(tiny_dataset.val, copies=copied))
    labels = dataset.val.labels
    close = np.repeat(generator.normal(0, 1, (14, 1)), 3, axis=1) + 1e-6 * generator.normal(
        0, 1, (14, 3)
    )
    far = generator.normal(0, 60000, (14, 3))
    results = {"teacher": generator.normal(0, 3, (14, 3)), "close": close, "far": far}
    scores.save_all(tmp_path / scores.NAME, dataset, results)
    rows = command.counted([tmp_path])
    for row, (name, logits) in zip(rows, results.items(), strict=True):
        assert row.name == name and row.accuracy == evaluate.accuracy(logits, labels, copied)
        assert row.accuracy.clean_top1 is not None
    assert rows[0].calibration.ece == pytest.approx(
        calibration.calibration(results["teacher"], labels).ece, abs=1e-3
    )
    assert rows[1].paired == paired.mcnemar(
        *(evaluate.right_answers(each, labels) for each in (results["teacher"], close))
    )
    assert (tmp_path / scores.NAME).stat().st_size < 4000


def test_rounded_logits_keep_their_order():
    logits = np.array([[1.0, 1.0, 1.0 - 1e-9, 1.0 + 1e-9], [0.0, -1e6, -1e6, -2e6]])
    kept = scores.quantised(logits)
    assert kept.dtype == np.float16 and np.isfinite(kept).all()
    orders = [np.argsort(-each, axis=1, kind="stable").tolist() for each in (logits, kept)]
    assert orders[0] == orders[1] == [[3, 0, 1, 2], [0, 1, 2, 3]]


def test_results_of_other_clips_are_refused(tiny_dataset, tmp_path):
    logits = {"a": np.eye(3)[tiny_dataset.val.labels]}
    scores.save_all(tmp_path / "one.npz", tiny_dataset, logits)
    renamed = replace(tiny_dataset.val, names=tuple(f"x{each}" for each in range(14)))
    scores.save_all(tmp_path / "two.npz", replace(tiny_dataset, val=renamed), logits)
    with pytest.raises(DataError, match="of other clips or classes"):
        command.counted([tmp_path / "one.npz", tmp_path / "two.npz"])
    short = replace(tiny_dataset.val, names=tiny_dataset.val.names[:-1])
    scores.save_all(tmp_path / "three.npz", replace(tiny_dataset, val=short), logits)
    with pytest.raises(DataError, match="do not fit together"):
        scores.load_all(tmp_path / "three.npz")
    np.savez(tmp_path / "four.npz", labels=np.zeros(3))
    with pytest.raises(Exception, match="four.npz"):
        scores.load_all(tmp_path / "four.npz")


def test_compare_pairs_the_clips_of_two_runs(tiny_dataset, tmp_path, capsys):
    right = np.eye(3)[tiny_dataset.val.labels]
    wrong = np.roll(right, 1, axis=1)
    for name, logits in (("one", right), ("two", np.concatenate([right[:8], wrong[8:]]))):
        folder = tmp_path / name
        folder.mkdir()
        scores.save_all(folder / scores.NAME, tiny_dataset, {"ONNX Runtime": logits})
        report = {
            "recipe": name,
            "networks": [],
            "runtimes": [{"name": "ONNX Runtime", "deployed": True, "top1": 50.0}],
        }
        (folder / "report.json").write_text(json.dumps(report))
    assert compare.main([str(tmp_path / "one"), str(tmp_path / "two"), "--json"]) == 0
    (note,) = [
        n for n in json.loads(capsys.readouterr().out.splitlines()[-1])["notes"] if "p =" in n
    ]
    assert "0 clips gained, 6 lost, p = 0.031 (McNemar, exact)" in note


def clip() -> np.ndarray:
    return np.random.default_rng(3).normal(1, 1, (3, 20, 10, 2)).astype("float32")


def test_each_damage_does_what_it_says():
    x = clip()
    rng = np.random.default_rng(0)
    lost = damage.lose_joints(x, rng, 0.2)
    gone = (lost == 0).all(axis=(0, 1, 3))
    assert gone.sum() == 2 and (lost[:, :, ~gone] == x[:, :, ~gone]).all() and x.all()
    left = damage.lose_frames(x, rng, 0.5)
    kept = [np.flatnonzero((x == left[:, [t]]).all(axis=(0, 2, 3)))[0] for t in range(10)]
    assert (
        left.shape[1] == 10
        and kept == sorted(set(kept))
        and kept != list(range(kept[0], kept[0] + 10))
    )
    part = damage.part(x, rng, 0.5)
    start = np.flatnonzero((x == part[:, :1]).all(axis=(0, 2, 3)))[0]
    np.testing.assert_array_equal(part, x[:, start : start + 10])
    behind = np.concatenate([x, np.zeros_like(x)], axis=1)
    np.testing.assert_array_equal(damage.beginning(behind, rng, 0.25), x[:, :5])
    turned = damage.yaw(x, rng, 30)
    np.testing.assert_array_equal(turned[1], x[1])
    np.testing.assert_allclose((turned[[0, 2]] ** 2).sum(0), (x[[0, 2]] ** 2).sum(0), rtol=1e-4)
    assert not np.allclose(turned, x)
    x[:, :, 3] = 0
    extent = np.median((x.max(axis=2) - x.min(axis=2)).max(axis=0))
    moved = damage.jitter(x, rng, 0.02, 3)
    assert (moved[:, :, 3] == 0).all() and 0 < np.abs(moved - x).max() < 0.2 * extent


def test_every_network_sees_the_same_damage_and_streams_come_after_it():
    joint = views.from_ops((), (3, 20, 10, 2))
    pairs = [[each, each - 1] for each in range(1, 10)]
    bone = views.from_ops(({"op": "stream", "kind": "bone", "bones": pairs},), (3, 20, 10, 2))
    rows = {row.key: row for row in damage.damages(Config(draws=3), 3)}
    assert list(rows) == [
        "none",
        "joints_10",
        "joints_20",
        "joints_30",
        "jitter",
        "frames",
        "part",
        "first_25",
        "first_50",
        "first_75",
        "yaw",
    ]
    assert [row.key for row in damage.damages(GATE_ONLY, 2)] == ["none", "joints_20"]
    assert "yaw" not in {row.key for row in damage.damages(Config(), 2)}
    one, again, other = (
        rows["joints_20"].view(joint, number, 1)(clip(), 5)[0] for number in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, again)
    assert (one != other).any() and (rows["none"].view(joint, 0, 1)(clip(), 5)[0] == clip()).all()
    bones = rows["joints_20"].view(bone, 0, 1)(clip(), 5)[0]
    np.testing.assert_allclose(bones, bone.prepare(one), atol=1e-6)


def test_the_table_counts_draws_and_drops(tiny_dataset):
    view = views.from_ops((), (3, 8, 5, 2))
    clips = {
        x.tobytes(): label
        for x, label in zip(tiny_dataset.val.clips, tiny_dataset.val.labels, strict=True)
    }

    # Knows every clip by heart, and nothing else.
    def predict(x):
        return np.stack([np.eye(3)[clips.get(each.tobytes(), 0)] for each in x])

    rows = damage.damages(replace(GATE_ONLY, draws=2), 3)
    network = robustness.Candidate("by heart", predict, view)
    fitted = robustness.Fitted((2.0,), "some clips")
    found = robustness.measure([network], tiny_dataset.val, rows, 1, fitted)
    lost = 100 * float((tiny_dataset.val.labels != 0).mean())
    assert found.rows[0].top1[0].mean == 100 and found.rows[1].draws == 2
    assert found.rows[1].top1[0].deviation == 0 and found.rows[0].top1[0].deviation is None
    assert robustness.drop(found, "joints_20") == (pytest.approx(lost),)
    assert robustness.drop(found, "joints_30") is None
    assert found.calibrated[0].temperature == 2 and found.fitted_on == "some clips"


def test_the_recorded_table_can_be_counted_again():
    """The rows of whole clips in docs/measuring.md, from the scores that are kept beside it."""
    text = (ROOT / "docs" / "measuring.md").read_text(encoding="utf-8")
    kept = ROOT / "benchmarks" / "results" / "robustness_nw_ucla_zen3_paddle2.6.2"
    rows = command.counted([kept])
    assert [row.name for row in rows] == ["float", "pruned", "int8"]
    for title, figure in (("all | 464", "top1"), ("clean | 369", "clean_top1")):
        cells = " | ".join(f"{getattr(row.accuracy, figure):.2f}" for row in rows)
        assert f"| as recorded, {title} | {cells} |" in text
    for row in rows:
        figures = row.calibration
        assert f"| {row.name} | 1 | {100 * figures.ece:.2f} % | {figures.loss:.3f} |" in text
    found = scores.load_all(kept / scores.NAME)
    answers = [evaluate.right_answers(found.logits[name], found.labels) for name in found.logits]
    change = paired.mcnemar(answers[1], answers[2])
    assert f"({change.gained} clips gained, {change.lost} lost, p = {change.p:.2g})" in text
