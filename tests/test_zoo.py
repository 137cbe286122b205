"""The zoo: every network is what its run recorded, small, sealed, and answers as it did then."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from benchmarks import zoo as maker
from compress import cli, recipe
from compress.cli import stream_eval
from compress.data import synthetic
from compress.evaluation import scores
from compress.reporting import zoo as table
from export import api, deployed
from export.deployed import zoo
from export.serve import Recogniser
from teachers.errors import CheckpointError, DataError, RecipeError

ENTRIES = zoo.names()
# Small, and of the data that everybody has.
SAMPLE = "synthetic_ctrgcn"
CLIPS = 12


def last_line(capsys) -> dict:
    return json.loads(capsys.readouterr().out.splitlines()[-1])


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> Path:
    """Clips of the built-in validation split as recorded, named by their place in it."""
    folder = tmp_path_factory.mktemp("clips")
    for index in range(CLIPS):
        clip = synthetic.clip(synthetic.Config(), 1, "val", index)
        np.save(folder / f"{index:02d}.npy", clip)
    return folder


def test_there_is_a_network_of_the_built_in_data():
    assert SAMPLE in ENTRIES
    assert all(maker.NAME.fullmatch(name) for name in ENTRIES)


@pytest.mark.parametrize("name", ENTRIES)
def test_an_entry_is_whole_small_and_sealed(name):
    folder = zoo.ZOO / name
    assert {path.name for path in folder.iterdir()} == {zoo.DEPLOYED, *table.KEPT}
    maker.require_deployed(folder / zoo.DEPLOYED)
    assert table.size_of(folder / zoo.DEPLOYED) <= table.LARGEST_BYTES
    # No clips, and no drawings of them: only weights, and what was counted.
    assert table.read(folder).examples is None


@pytest.mark.parametrize("name", ENTRIES)
def test_the_figures_of_an_entry_are_those_of_its_scores(name):
    found = table.rows_of(name, zoo.ZOO / name)
    assert found
    results = scores.load_all(zoo.ZOO / name / scores.NAME)
    for row in found:
        # Counted by hand, beside the project's own way.
        answers = results.logits[row.runtime].argmax(axis=1)
        assert row.top1 == pytest.approx(100 * (answers == results.labels).mean(), abs=1e-9)


@pytest.mark.parametrize("name", ENTRIES)
def test_the_recipe_of_an_entry_is_in_the_repository_and_can_be_run(name):
    report = table.read(zoo.ZOO / name)
    assert any((place / f"{report.recipe}.yaml").is_file() for place in maker.RECIPES)
    loaded = recipe.load(zoo.ZOO / name / "recipe.yaml")
    assert loaded.seed == report.provenance.seed


def test_the_table_of_the_document_is_that_of_the_zoo():
    text = maker.DOCUMENT.read_text(encoding="utf-8")
    assert maker.with_table(text) == text


def test_a_network_answers_by_name_as_it_did_when_it_was_judged(clips, capsys):
    assert cli.main(["predict", f"zoo:{SAMPLE}", str(clips)]) == 0
    answers = [each["id"] for each in last_line(capsys)["clips"]]
    recorded = scores.load_all(zoo.ZOO / SAMPLE / scores.NAME).logits["ONNX Runtime"]
    assert answers == recorded[:CLIPS].argmax(axis=1).tolist()


def test_clips_of_nw_ucla_are_answered_as_they_were_judged(shared, capsys):
    names = [name for name in ENTRIES if name.startswith("nw_ucla")]
    if not names:
        pytest.skip("the zoo has no network of NW-UCLA")
    for name in names:
        results = scores.load_all(zoo.ZOO / name / scores.NAME)
        for index in (0, len(results.names) // 2):
            (clip,) = (shared / "data" / "NW-UCLA").rglob(f"{results.names[index]}.json")
            assert cli.main(["predict", f"zoo:{name}", str(clip)]) == 0
            answer = last_line(capsys)["clips"][0]["id"]
            assert answer == int(results.logits["ONNX Runtime"][index].argmax())


def test_an_unknown_name_is_told_what_there_is(clips, capsys):
    assert cli.main(["predict", "zoo:nosuch", str(clips)]) == 1
    error = last_line(capsys)["error"]
    assert "zoo:nosuch: no such network in the zoo" in error
    assert all(name in error for name in ENTRIES)


@pytest.mark.parametrize("name", ["", "..", "../zoo", f"{SAMPLE}/deploy", "/etc"])
def test_a_name_leads_nowhere_else(name):
    with pytest.raises(CheckpointError, match="no such network in the zoo"):
        deployed.place(f"zoo:{name}")


def test_a_path_is_a_path():
    assert deployed.place("runs/NAME/deploy") == Path("runs/NAME/deploy")
    assert deployed.place(Path("zoo")) == Path("zoo")


def test_programs_open_it_by_name():
    smallest = min(ENTRIES, key=lambda name: table.size_of(zoo.ZOO / name / zoo.DEPLOYED))
    name = f"zoo:{smallest}"
    classes = scores.load_all(zoo.ZOO / smallest / scores.NAME).classes
    assert Recogniser(name).description.classes == classes
    assert "onnx" in api.predictors(name)
    assert deployed.open_deployed(name).runtime == "onnx"


def test_nothing_is_written_into_the_zoo(capsys):
    assert stream_eval.main([f"zoo:{SAMPLE}", "--write"]) == 1
    assert "copy the folder" in last_line(capsys)["error"]


def test_the_list_has_every_network(capsys):
    assert cli.main(["zoo"]) == 0
    assert {row["name"] for row in last_line(capsys)["rows"]} == set(ENTRIES)


@pytest.fixture
def run(tmp_path) -> Path:
    """A finished run: an entry is as good as one, for it holds all that a new one is made of."""
    return Path(shutil.copytree(zoo.ZOO / SAMPLE, tmp_path / "run"))


def test_an_entry_is_made_of_a_run(run, tmp_path):
    report = run / "report.json"
    content = json.loads(report.read_text())
    content["output"] = str(run)
    content["examples"] = {"bones": [[2, 1]], "side": 100.0, "clips": []}
    content["provenance"]["effective"]["teacher"] = {"weights": "/somewhere/else/teacher.pt"}
    report.write_text(json.dumps(content))
    with (run / "run.log").open("a") as log:
        log.write(f"into {run}, of /somewhere/else/teacher.pt\n")
    made = maker.make(run, "again", tmp_path / "zoo")
    assert (made / "run.log").read_text().endswith("into runs/again, of teacher.pt\n")
    assert table.read(made).output == "runs/again"
    assert table.read(run).examples is not None and table.read(made).examples is None
    assert table.size_of(made / "deploy") == table.size_of(run / "deploy")
    # In its own place a second time, and nothing unfinished is left.
    maker.make(run, "again", tmp_path / "zoo")
    assert [path.name for path in (tmp_path / "zoo").iterdir()] == ["again"]


def changed(run: Path, **values: object) -> None:
    content = json.loads((run / "report.json").read_text())
    (run / "report.json").write_text(json.dumps({**content, **values}))


@pytest.mark.parametrize("file", [*table.KEPT, "deploy"])
def test_a_run_without_a_part_is_refused(run, tmp_path, file):
    (run / file).rename(run / "away")
    with pytest.raises(DataError, match=f"holds no {file}"):
        maker.make(run, "again", tmp_path / "zoo")


def test_a_run_that_did_not_pass_is_refused(run, tmp_path):
    changed(run, status="accuracy gate failed")
    with pytest.raises(DataError, match="only a run that passed"):
        maker.make(run, "again", tmp_path / "zoo")


def test_a_recipe_from_elsewhere_is_refused(run, tmp_path):
    changed(run, recipe="mine")
    with pytest.raises(RecipeError, match=r"mine.yaml: .* is in neither of"):
        maker.make(run, "again", tmp_path / "zoo")


def test_figures_that_the_scores_do_not_have_are_refused(run, tmp_path):
    content = json.loads((run / "report.json").read_text())
    runtimes = [{**row, "top1": 100.5} for row in content["runtimes"]]
    changed(run, runtimes=runtimes)
    with pytest.raises(DataError, match="both must be of one run"):
        maker.make(run, "again", tmp_path / "zoo")


def test_a_folder_over_the_limit_is_refused(run, tmp_path, monkeypatch):
    monkeypatch.setattr(table, "LARGEST_BYTES", table.size_of(run / "deploy") - 1)
    with pytest.raises(DataError, match="the zoo takes at most"):
        maker.make(run, "again", tmp_path / "zoo")


def test_a_changed_or_added_file_is_refused(run, tmp_path):
    (run / "deploy" / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match=r"notes.txt is none of its files"):
        maker.make(run, "again", tmp_path / "zoo")
    with (run / "deploy" / "model.onnx").open("ab") as model:
        model.write(b"\0")
    with pytest.raises(CheckpointError, match=r"model.onnx changed since"):
        maker.make(run, "again", tmp_path / "zoo")


def test_a_path_of_one_machine_is_refused(run, tmp_path):
    with (run / "run.log").open("a") as log:
        log.write("written to /somewhere/of/mine.txt\n")
    with pytest.raises(DataError, match=r"names /somewhere/of/mine.txt"):
        maker.make(run, "again", tmp_path / "zoo")


def test_a_name_is_plain(run, tmp_path):
    with pytest.raises(RecipeError, match="a name is made of"):
        maker.make(run, "../again", tmp_path / "zoo")
