"""`featherbone search` from end to end: on tiny networks, by a clock of the test's own, stopped on
the way, and its recipes run."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from compress import pipeline, recipe as recipes
from compress.cli import search as command
from compress.search import bench, engine
from compress.search.log import Log
from compress.search.state import Limits
from export import deployed
from teachers.errors import CheckpointError, RecipeError

RECIPE = """
seed: 1
data: {name: synthetic, train_clips: 24, val_clips: 12}
teacher:
  name: stgcnpp
  width: 8
  train: {epochs: 1, lr: 0.05, batch_size: 12}
student: {from: teacher}
steps:
  - train: {epochs: 3, lr: 0.02, batch_size: 12, kd: {}}
export: {formats: [onnx]}
budget: {max_size: 1MB, max_top1_drop: 100}
search:
  layers: [[l3, l4, l6, l7, l9, l10], [l2, l3, l4, l6, l7, l9, l10]]
  channels: [0.5]
  frames: [8]
  bits: [float32]
  candidates: 2
  halving: 2
  sampler: random
"""
# What clocks decide, and a count of them.
TIMES = ("elapsed", "seconds")
KILLS = 3


class Killed(BaseException):
    """Stands for kill -9: nothing catches it."""


@pytest.fixture(scope="module")
def patched():
    """Few timings, all alike: what a busy machine measures must not decide in a test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench, "TIMED", 2)
        patch.setattr(bench, "undisturbed", lambda turns: [1.0] * len(turns))
        yield


def _request(folder: Path, seconds: float | None = None) -> engine.Request:
    path = folder / "tiny.yaml"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(RECIPE)
    ticks = iter(range(100_000))
    return engine.Request(
        recipes.load(str(path)),
        folder / "found",
        Limits(10**6, None, 100.0, seconds),
        folder.parent / "teachers",
        "featherbone search",
        lambda: float(next(ticks)),
    )


@pytest.fixture(scope="module")
def whole(patched, tmp_path_factory):
    """(the request, what it found) of a search that nothing disturbed."""
    request = _request(tmp_path_factory.mktemp("whole") / "search")
    return request, engine.execute(request)


def _decisions(folder: Path) -> list[dict]:
    events = [json.loads(line) for line in (folder / "search.jsonl").read_text().splitlines()]
    return [{key: event[key] for key in event if key not in TIMES} for event in events]


def test_a_search_leaves_a_front_of_verified_folders(whole):
    request, found = whole
    assert found.counts["trained"] == 2 and found.best in found.front
    best = request.folder / "best" / "deploy"
    assert sum(file.stat().st_size for file in best.iterdir()) == found.best_point["bytes"]
    assert sorted(file.stem for file in (request.folder / "front").iterdir()) == sorted(found.front)
    assert json.loads((request.folder / "front.json").read_text())["best"] == found.best_point
    told = (request.folder / "best" / "MODEL_CARD.md").read_text("utf-8")
    assert f"{found.best_point['bytes']:,} bytes of 1,000,000 allowed" in told
    assert f" {found.best_point['ms']:.2f} | " in told and "No gate was set" in told
    assert "- **Made by**:\n  1. " in told
    page = (request.folder / "report.html").read_text()
    assert all(name in page for name in found.front)
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")


def test_one_that_is_killed_three_times_finds_the_same(whole, patched, tmp_path, monkeypatch):
    undisturbed, found = whole
    add = Log.add
    left = [3, 5, 4]

    def killing(self, kind, **values):
        # Before the event is on disk, after what it tells of: what a kill can do at worst.
        if left:
            left[0] -= 1
            if left[0] == 0:
                left.pop(0)
                raise Killed
        return add(self, kind, **values)

    monkeypatch.setattr(Log, "add", killing)
    killed = 0
    while True:
        request = _request(tmp_path / "search")
        try:
            again = engine.execute(request)
            break
        except Killed:
            killed += 1
    assert killed == KILLS
    assert _decisions(request.folder) == _decisions(undisturbed.folder)
    assert again.front == found.front and again.best == found.best
    for name in ("model.onnx", "deployed.json"):
        own = request.folder / "best" / "deploy" / name
        assert own.read_bytes() == (undisturbed.folder / "best" / "deploy" / name).read_bytes()


def test_bytes_are_known_before_anything_is_trained(whole):
    request, found = whole
    events = Log(request.folder / "search.jsonl").events
    for point in found.points:
        (candidate,) = (event for event in events if event.get("name") == point["shape"])
        assert abs(candidate["points"][point["bits"]]["bytes"] - point["bytes"]) <= 8


@pytest.mark.slow
def test_a_recipe_of_the_front_makes_its_point_again(whole, tmp_path):
    request, found = whole
    point = min(found.points, key=lambda point: point["best_epoch"])
    file = request.folder / "front" / f"{found.best}.yaml"
    recipe = recipes.load(str(file))
    result = pipeline.execute(
        pipeline.Run(recipe, tmp_path / "run", request.teacher_cache, "featherbone run")
    )
    assert result.exit_code == 0
    model = tmp_path / "run" / "deploy" / "model.onnx"
    assert model.read_bytes() == (request.folder / "best/deploy/model.onnx").read_bytes()
    assert point["best_epoch"] <= 3


def test_time_that_is_over_ends_it_with_what_there_is(whole, patched, tmp_path):
    # A tick is a look at the clock: what takes none in seconds takes a few of them here.
    request = _request(tmp_path / "search", seconds=30.0)
    found = engine.execute(request)
    events = Log(request.folder / "search.jsonl").events
    assert events[-1]["kind"] == "end" and events[-1]["why"] == "time"
    assert found.seconds <= 36.0 < whole[1].seconds and found.best is not None


@pytest.mark.slow
def test_built_in_data_in_ten_minutes(tmp_path, capsys):
    folder = tmp_path / "found"
    code = command.main(
        [
            *("--recipe", "ctrgcn_lite_dml", "--max-size", "3MB", "--max-drop", "5"),
            *("--time", "10m", "--output", str(folder)),
            *("-o", "export.formats=[onnx]", "-o", "search.sampler=random"),
        ]
    )
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert code in (0, 3) and last["seconds"] <= 11 * 60
    assert last["front"] and last["best"]["bytes"] <= 3_000_000
    deployed.read(folder / "best" / "deploy")


def test_its_log_says_how_it_ended(whole, patched, tmp_path, monkeypatch):
    request, found = whole
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.yaml").write_text(RECIPE)
    folder = shutil.copytree(request.folder, tmp_path / "found", symlinks=True)
    again = ["--recipe", "./tiny.yaml", "--output", str(folder), "--resume"]
    assert command.main([*again, "--max-ms", "5"]) == 1
    log = folder / "run.log"
    assert "error: --resume: " in log.read_text() and "was searched with" in log.read_text()
    # The search is over, and is told again.
    monkeypatch.setattr(engine, "execute", lambda request: found)
    assert command.main(again) == 0
    assert f"best     {folder / 'best' / 'deploy'}" in log.read_text()


def test_resuming_with_other_limits_is_refused(whole, patched):
    request, _ = whole
    other = engine.Request(
        request.recipe,
        request.folder,
        Limits(10**6, 5.0, 100.0, None),
        request.teacher_cache,
        request.command,
    )
    with pytest.raises(RecipeError, match=r"max_ms = None, now it is 5\.0"):
        engine.execute(other)


def test_several_seeds_are_said_to_be_one(tmp_path, monkeypatch, capsys):
    planned = []

    def stop(run, made, heard):
        planned.append(made)
        raise Killed

    monkeypatch.setattr(engine.contexts, "make", stop)
    request = _request(tmp_path / "search")
    with pytest.raises(Killed):
        engine.execute(replace(request, recipe=replace(request.recipe, seeds=2)))
    said = capsys.readouterr().err
    assert "note: seeds: a search trains every network once" in said and "2 times" not in said
    # So are recipes of the front: each makes its point again.
    assert planned[0].recipe.seeds == 1


def test_a_log_that_is_none_is_refused(tmp_path):
    (tmp_path / "search.jsonl").write_text('{"kind": "begin"}\n')
    with pytest.raises(CheckpointError, match="is no log of a search"):
        Log(tmp_path / "search.jsonl")


@pytest.mark.parametrize(
    "text, seconds", [("2h", 7200), ("90m", 5400), ("1h30m", 5400), ("45s", 45), ("0.5h", 1800)]
)
def test_times_as_people_write_them(text, seconds):
    assert command.parse_time(text) == seconds


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--time", "soon"], "cannot read the time 'soon'"),
        (["--max-size", "1 apple"], "cannot read the size"),
        (["--max-size", "0"], "must be above 0"),
        (["--max-ms", "-1"], "expected a number that is not negative, got '-1'"),
        (["--max-drop", "101"], "expected points of top-1, at most 100, got '101'"),
        (["--resume", "--output", "nowhere"], "nowhere holds no search"),
    ],
)
def test_what_cannot_be_searched_is_said(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.yaml").write_text(RECIPE)
    try:
        code = command.main(["--recipe", "./tiny.yaml", *arguments])
    except SystemExit as ended:
        code = ended.code
    assert code == 1
    assert message in capsys.readouterr().err
