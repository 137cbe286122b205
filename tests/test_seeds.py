"""Several seeds, clips that choose epochs, the gate for lost joints, a temperature that ships."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from compress import deliver, pipeline, recipe as recipes, run as command, seeds
from compress.data import parts
from compress.evaluation.damage_settings import GATE_ONLY, Config
from compress.evaluation.record import DamageRow, Robustness, RuntimeRow, Spread
from compress.evaluation.robustness import Candidate
from compress.reporting import gates, report as reports
from compress.reporting.record import NetworkRow, Report, from_json
from compress.steps.work import Work
from compress.training.curves import Curves
from export import deployed, serving
from teachers.errors import RecipeError
from teachers.weights import identity


def recipe(*overrides: str):
    return recipes.load("ctrgcn_lite_dml", overrides)


def test_every_seed_sees_the_same_data_and_can_be_run_alone():
    members = seeds.recipes_of(recipe("seeds=3", "seed=7"))
    assert [(each.seed, each.seeds, each.data_seed) for each in members] == [
        (7, 1, 7),
        (8, 1, 7),
        (9, 1, 7),
    ]
    assert seeds.recipes_of(recipe("seeds=2", "data_seed=4"))[1].data_seed == 4
    with pytest.raises(RecipeError, match="seeds: must be from 1 to 100"):
        recipe("seeds=0")


def test_keys_survive_the_effective_recipe(tmp_path):
    changed = recipe(
        "seeds=2",
        "select_on=holdout",
        "holdout=0.2",
        "leave_out=[wave]",
        "robustness={draws: 2, yaw: 0}",
        "budget.max_drop_at_20pct_joints=3.5",
        "export.temperature=true",
    )
    file = tmp_path / "again.yaml"
    file.write_text(recipes.to_yaml(changed))
    again = recipes.load(file)
    for key in ("seeds", "select_on", "holdout", "leave_out", "robustness", "budget", "export"):
        assert getattr(again, key) == getattr(changed, key), key
    # A run of a release without the keys may be resumed.
    before = recipes.to_dict(recipe())
    for key in ("seeds", "data_seed", "select_on", "holdout", "leave_out", "robustness"):
        del before[key]
    assert recipes.changed_since(recipe(), before) == []
    assert [path for path, _, _ in recipes.changed_since(recipe("select_on=holdout"), before)] == [
        "select_on"
    ]


def test_a_dry_run_names_files_where_the_runs_write_them(capsys):
    tiny = ["-o", "data.train_clips=12", "-o", "data.val_clips=12", "-o", "seeds=2"]
    assert command.main(["--recipe", "ctrgcn_lite_dml", *tiny, "--seed", "4", "--dry-run"]) == 0
    *_, said, _, last = capsys.readouterr().out.splitlines()
    files = json.loads(last)["files"]
    assert {"seed4/deploy/model.onnx", "seed5/deploy/model.onnx", "seed5/report.json"} <= {*files}
    assert [name for name in files if "/" not in name] == ["report.json", "report.html", "run.log"]
    assert not [name for name in files if name.startswith(("deploy", "weights"))]
    assert "run.log; in each of seed4/, seed5/: deploy/" in said


@pytest.fixture
def ran(monkeypatch, tmp_path):
    """Runs the seeds with runs that train nothing: (the function, seeds that were run)."""
    done: list[int] = []
    tops = {1: 90.0, 2: 92.0, 3: 94.0}

    def execute(run):
        done.append(run.recipe.seed)
        if len(done) == 2 and not (tmp_path / "go_on").exists():
            (tmp_path / "go_on").touch()
            raise KeyboardInterrupt
        top1 = tops[run.recipe.seed]
        report = Report(
            recipe="x",
            status="ok" if top1 < 93 else "accuracy gate failed",
            exit_code=0 if top1 < 93 else 3,
            networks=(NetworkRow("teacher", "a", top1=95.0), NetworkRow("student", "b", top1=top1)),
            runtimes=(
                RuntimeRow("one", deployed=True, top1=top1 - 1, clean_top1=top1 - 3),
                RuntimeRow("two", deployed=True, top1=top1),
            ),
        )
        reports.write(report, run.folder)
        return report

    monkeypatch.setattr(pipeline, "execute", execute)
    whole = recipe("seeds=3")
    return lambda: seeds.execute(pipeline.Run(whole, tmp_path, tmp_path / "t", "typed")), done


def test_seeds_resume_and_come_to_mean_and_deviation(ran, tmp_path):
    execute, done = ran
    with pytest.raises(KeyboardInterrupt):
        execute()
    stopped = from_json(json.loads((tmp_path / "report.json").read_text()))
    assert stopped.status == "interrupted" and [row.seed for row in stopped.seeds.rows] == [1]
    # One of three runs has no deviation, and its mean is not that of the recipe.
    assert stopped.seeds.top1 is None
    report = execute()
    assert done == [1, 2, 2, 3]
    assert report.seeds.top1 == Spread(91.0, 2.0, 89.0, 93.0)
    assert report.seeds.clean_top1.mean == 89 and report.seeds.teacher_top1.deviation == 0
    assert (report.status, report.exit_code) == ("accuracy gate failed", 3)
    page = (tmp_path / "report.html").read_text()
    assert "seed2/report.html: ok" in page and "91.00\u00a0±\u00a02.00" in page
    alone = recipes.load(tmp_path / "seed2" / "recipe.yaml")
    assert (alone.seed, alone.seeds, alone.data_seed) == (2, 1, 1)


def test_over_budget_comes_before_accuracy_whichever_run_failed_first(monkeypatch, tmp_path):
    ends = {1: ("ok", 0), 2: ("accuracy gate failed", 3), 3: ("over budget", 2)}

    def execute(run):
        status, code = ends[run.recipe.seed]
        networks = (NetworkRow("teacher", "a", top1=95.0), NetworkRow("student", "b", top1=90.0))
        report = Report(recipe="x", status=status, exit_code=code, networks=networks)
        reports.write(report, run.folder)
        return report

    monkeypatch.setattr(pipeline, "execute", execute)
    report = seeds.execute(pipeline.Run(recipe("seeds=3"), tmp_path, tmp_path / "t", "typed"))
    assert (report.status, report.exit_code) == ("over budget", 2)


def test_the_epoch_is_chosen_by_clips_that_are_held_out(tiny_dataset, tiny_view, tmp_path):
    def work(dataset):
        return Work(tmp_path, dataset, Curves(tmp_path / "curves"), 1, identity.of(["x"]))

    held = parts.held_out(tiny_dataset, 0.25, 1)
    chooses, judges = work(held).selection(tiny_view), work(held).evaluation(tiny_view)
    assert chooses.split is held.holdout and judges.split is tiny_dataset.val
    usual = work(tiny_dataset)
    assert usual.selection(tiny_view) is usual.evaluation(tiny_view)


def robustness(*, top1: float, lost: float) -> Robustness:
    row = (Spread(80.0, None, 80.0, 80.0), Spread(top1, None, top1, top1))
    damaged = (Spread(0.0, 0.0, 0.0, 0.0), Spread(lost, 1.0, lost - 1, lost + 1))
    rows = (DamageRow("none", "", 1, row), DamageRow("joints_20", "", 2, damaged))
    return Robustness(("teacher", "ONNX Runtime"), rows, ())


@pytest.mark.parametrize("lost, passed", [(86.5, True), (86.4, False)])
def test_the_gate_counts_what_shipped_files_lose(lost, passed):
    report = Report(
        robustness=robustness(top1=90.0, lost=lost),
        runtimes=(RuntimeRow("ONNX Runtime", deployed=True, top1=90.0),),
    )
    gate = gates.lost_joints(3.5, report)
    assert gate.passed is passed and gate.value == pytest.approx(90 - lost)
    assert gate.says == f"{90 - lost:.2f} points lost in ONNX Runtime; 3.5 may be lost"


def test_the_gate_is_measured_whatever_the_section_says():
    assert GATE_ONLY.with_judged() is GATE_ONLY
    assert Config(joints_lost=(0.5,)).with_judged().joints_lost == (0.2, 0.5)
    for text, what in (
        ("draws: 0", "draws: must be from 1"),
        ("part: 2", "part: must be a share"),
        ("joints_lost: [2]", "joints_lost: must be shares"),
        ("first: [0.5, 0.5]", "first: names a share twice"),
        ("known_answered: 1", "known_answered"),
    ):
        with pytest.raises(RecipeError, match=what):
            recipe(f"robustness={{{text}}}")


def test_a_temperature_ships_and_scores_use_it(tiny_spec, tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"x")
    about = {"classes": ["a", "b", "c"], "temperature": 2.0}
    written = deployed.describe(tiny_spec, about, {"onnx": ["model.onnx"]})
    deployed.write(tmp_path, written)
    read = deployed.read(tmp_path)
    assert read.temperature == 2 and read.output.note == "softmax of logits / 2 gives scores"
    logits = np.array([[2.0, 0.0, -2.0]], np.float32)
    scores = serving.answer(lambda _: logits, np.zeros((1, 3, 8, 5, 2)), read, "clip")
    np.testing.assert_allclose(scores, serving.scores_of(logits / 2), rtol=1e-6)
    views = np.concatenate([logits, logits[:, ::-1]])
    mean = serving.scores_of(views) ** 0.5
    np.testing.assert_allclose(serving.scores_of(views, 2.0), mean / mean.sum(), rtol=1e-6)
    plain = deployed.describe(tiny_spec, {"classes": ["a", "b", "c"]}, {"onnx": ["model.onnx"]})
    assert plain.temperature is None and plain.output.note == "softmax gives scores"
    with pytest.raises(ValueError, match="temperature: must be 0.01 to 100"):
        replace(plain, temperature=0.0)


@pytest.mark.slow
def test_all_of_it_in_one_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    overrides = (
        "data.train_clips=48 data.val_clips=16 teacher.width=8 teacher.train.epochs=1"
        " teacher.train.warmup_epochs=0 steps.train.epochs=1 steps.train.warmup_epochs=0"
        " budget.max_top1_drop=100 export={formats:\u00a0[onnx],temperature:\u00a0true}"
        " robustness={draws:\u00a02} budget.max_drop_at_20pct_joints=100 select_on=holdout"
        " holdout=0.2 seeds=2 leave_out=[wave]"
    )
    arguments = ["--recipe", "ctrgcn_lite_dml", "--device", "cpu", "--output", "out", "--json"]
    for each in overrides.split(" "):
        arguments += ["-o", each.replace("\u00a0", " ")]
    assert command.main(arguments) == 0
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [row["seed"] for row in last["seeds"]["rows"]] == [1, 2]
    for seed in ("seed1", "seed2"):
        report = from_json(json.loads((tmp_path / "out" / seed / "report.json").read_text()))
        assert report.data.holdout_clips == 11 and len(report.data.classes) == 11
        assert report.robustness.networks == ("teacher", "ONNX Runtime")
        assert len(report.robustness.rows) == 8 and len(report.robustness.unknown) == 2
        assert report.robustness.fitted_on == "11 clips held out of training"
        description = deployed.read(tmp_path / "out" / seed / "deploy")
        assert description.temperature == report.temperature is not None
        assert report.gates[-1].name == gates.LOST_JOINTS


def test_classes_that_are_left_out_are_judged_without_a_section_for_damage(
    tiny_dataset, tiny_view, tmp_path, monkeypatch
):
    def predict(x):
        return np.stack([x[:, axis, 0, 0, 0] for axis in range(3)], axis=1)

    judged = Candidate("file", predict, tiny_view, temperature=0.5)
    monkeypatch.setattr(deliver, "_judged", lambda *arguments: [judged])
    asked = recipe()
    assert asked.robustness is None

    def found(dataset):
        work = Work(tmp_path, dataset, Curves(tmp_path / "curves"), 1, identity.of(["x"]))
        recorder = SimpleNamespace(report=Report("x"))
        deliver._judge_damaged(asked, work, None, None, None, recorder)
        return recorder.report.robustness

    assert found(tiny_dataset) is None
    told = found(replace(tiny_dataset, unknown=tiny_dataset.val))
    assert [row.key for row in told.rows] == ["none"]
    (unknown,) = told.unknown
    assert unknown.clips == len(tiny_dataset.val)
    # Of the scores that are served: at another temperature it is another threshold.
    monkeypatch.setattr(deliver, "_judged", lambda *arguments: [replace(judged, temperature=1.0)])
    plain = found(replace(tiny_dataset, unknown=tiny_dataset.val)).unknown[0]
    assert plain.threshold != unknown.threshold and plain.clips == unknown.clips


def test_runs_share_no_teacher_and_a_student_is_no_twin_of_one():
    several = recipe("seeds=3", "teacher.seeds=2", "seed=7")
    assert [each.seed for each in seeds.recipes_of(several)] == [7, 9, 11]
    trained = [
        each.seed + member.seed
        for each in seeds.recipes_of(several)
        for member in each.teacher.members
    ]
    assert len(set(trained)) == len(trained)
    assert list(recipe("seeds=2", "seed=7").run_seeds) == [7, 8]
    with pytest.raises(RecipeError, match="seeds: the last one would be above"):
        recipe("seeds=2", "teacher.seeds=2", f"seed={2**32 - 2}")
