"""The page that compares runs: whole in one file, closed to everything else, and sound whatever a
stranger's report says."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path

import pytest
from report_page import Page, text_of, within
from run_folders import answer, changed, make, report_of
from test_report_style import TEXT, colours, contrast

from compress.reporting import design
from compress.reporting.runs import answers, drawn, files, page, reading
from compress.reporting.runs.points import scatters
from compress.reporting.runs.rows import table_of

SCRIPT = (files.HERE / "runs.js").read_text("utf-8")
SHEET = (files.HERE / "runs.css").read_text("utf-8")
# A diamond is drawn as every other mark.
NO_RULE = {"diamond"}
HOSTILE = "<script>alert(1)</script>\"'&<b x=\x1b[31m"


def rendered(folders: list[Path], place: Path) -> str:
    runs = reading.read_all(folders)
    kept = answers.of(runs)
    return page.render(runs, kept, table_of(runs, kept), place)


@pytest.fixture(scope="module")
def folders(tmp_path_factory, tiny_dataset) -> list[Path]:
    place = tmp_path_factory.mktemp("place of runs")
    first = report_of(tiny_dataset, recipe="float32")
    half = changed(first, after__bytes=1_342_190, provenance__effective={"seed": 2})
    first["provenance"]["effective"] = {"seed": 1}
    stopped = {"schema_version": 1, "recipe": "stopped", "status": "interrupted", "exit_code": 130}
    made = [
        make(place / "float32", first),
        make(place / "half", half),
        make(place / "stopped", stopped),
    ]
    for folder in made[:2]:
        answer(folder, tiny_dataset, {"ONNX Runtime": [0], "Paddle Inference": []})
    return made


@pytest.fixture(scope="module")
def html(folders) -> str:
    return rendered(folders, folders[0].parent)


def test_nothing_runs_but_its_script_and_no_request_leaves_it(html):
    shown = Page(html)
    (policy,) = [value for name, value in shown.attributes if value and "default-src" in value]
    assert policy.startswith("default-src 'none'; ") and "unsafe" not in policy
    for tag in ("script", "style"):
        (text,) = re.findall(f"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    # By the policy, neither would do anything.
    assert not [name for name, _ in shown.attributes if name == "style" or name.startswith("on")]
    assert not [value for name, value in shown.attributes if name == "src"]
    links = {value for name, value in shown.attributes if name == "href" and value[0] != "#"}
    assert links == {"float32/report.html", "half/report.html", "stopped/report.html"}


def test_links_lead_from_where_the_page_lies(folders, tmp_path):
    shown = Page(rendered(folders[:1], folders[0].parent.parent / "elsewhere"))
    links = [value for name, value in shown.attributes if name == "href" and value[0] != "#"]
    assert links == ["../place%20of%20runs0/float32/report.html"]


def test_its_top_says_what_became_smaller_faster_and_less_accurate(html):
    top = text_of(Page(html).section("result"))
    assert "the share of 464 validation clips of nw_ucla" in top
    assert "Against its teacher: 4.2 times smaller, 2.2 times faster and as accurate." in top
    assert "Against 1 float32: 2.0 times smaller" in top
    assert "interrupted" in top and "The run did not finish" in top


def test_each_section_has_what_it_promises(html):
    shown = Page(html)
    titles = [text_of(head) for head in shown.all("h2")]
    assert titles == [section.title for section in page.SECTIONS]
    for table in shown.all("table", "sortable"):
        heads = within(within(table, "thead")[0], "th")
        assert all(within(head, "button") for head in heads)
        for row in within(within(table, "tbody")[0], "tr"):
            assert len(list(row)) == len(heads)
    (marked,) = within(shown.section("recipes"), "mark")
    assert text_of(marked) == "2"


def test_every_point_is_a_button_that_says_its_values(folders, html):
    charts = Page(html).all("svg", "scatter")
    assert len(charts) == 3
    for chart in charts:
        buttons = within(chart, "g", "point")
        assert all(button.get("role") == "button" for button in buttons)
        # One stop of the Tab key; the arrow keys do the rest.
        assert [button.get("tabindex") for button in buttons].count("0") == 1
        assert all(re.match(r"\d .+: \d+\.\d\d %", b.get("aria-label")) for b in buttons)
    folder, by_file, latency = scatters(reading.read_all(folders))
    assert [len(each.points) for each in (folder, by_file, latency)] == [4, 4, 6]
    assert len(folder.arrows) == 2 and not by_file.arrows
    assert [point.front for point in folder.points] == [False, False, False, True]


def test_numbers_of_runs_at_one_place_are_short():
    assert drawn.in_short({1}) == "1" and drawn.in_short({3, 1, 2, 7}) == "1–3, 7"
    assert drawn.in_short(range(1, 25)) == "1–24"
    assert drawn.in_short(range(1, 25, 2)) == "1, 3, 5, 7, …"


def test_a_place_that_no_chart_has_is_left_out(tmp_path, tiny_dataset):
    content = changed(report_of(tiny_dataset), after__bytes=10**16, before__top1=-3.0)
    content["runtimes"][1]["bytes"] = 0
    runs = reading.read_all([make(tmp_path / "odd", content)])
    kinds = {scatter.key: len(scatter.points) for scatter in scatters(runs)}
    assert kinds == {"files": 1, "latency": 2}
    for scatter in scatters(runs):
        assert "nan" not in drawn.draw(scatter) and "inf" not in drawn.draw(scatter)


def test_names_of_strangers_are_text(tmp_path, tiny_dataset):
    content = report_of(tiny_dataset, recipe=HOSTILE)
    content["per_class"][0]["class"] = HOSTILE
    content["data"]["name"] = HOSTILE
    content["provenance"]["effective"] = {HOSTILE: HOSTILE}
    content["curves"][0]["title"] = HOSTILE
    for row in content["runtimes"]:
        row["name"] += HOSTILE
    content["after"]["runtime"] += HOSTILE
    made = [make(tmp_path / name, content) for name in ("a<b>'\"&", "b")]
    html = rendered(made, tmp_path)
    assert html.count("<script") == 1 and "<b x" not in html
    assert "alert(1)" in Page(html).text


def test_a_page_of_many_classes_and_epochs_stays_small(tmp_path, tiny_dataset):
    content = report_of(tiny_dataset)
    row = content["per_class"][0]
    content["per_class"] = [row | {"class": f"class {number}"} for number in range(700)]
    epochs = content["curves"][0]["epochs"]
    content["curves"][0]["epochs"] = [epochs[0] | {"epoch": number} for number in range(5_000)]
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / reading.NAME).write_text(json.dumps(content))
    html = rendered([tmp_path / "a", tmp_path / "b"], tmp_path)
    assert "100 more are not listed" in html and len(html) < 1_000_000


def test_a_chart_of_clips_held_out_does_not_call_them_validation(tmp_path, tiny_dataset):
    first = report_of(tiny_dataset)
    held_out = changed(first, data__holdout_clips=12)
    made = [make(tmp_path / "a", first), make(tmp_path / "b", held_out)]
    assert "top-1 of the clips that choose the epoch, %" in rendered(made, tmp_path)
    html = rendered(made[:1], tmp_path)
    assert "validation top-1, %" in html and "that choose the epoch" not in html


def test_what_the_script_looks_for_is_in_the_page(html):
    shown = Page(html)
    classes = {
        word for name, value in shown.attributes if name == "class" for word in value.split()
    }
    asked = set(re.findall(r'(?:All|Selector|closest)\("[^"]*?\.([\w-]+)', SCRIPT))
    assert {"choose", "scatter", "point", "view", "sortable"} <= asked
    assert asked <= classes
    ids = {value for name, value in shown.attributes if name == "id"}
    assert set(re.findall(r'getElementById\("(\w+)"\)', SCRIPT)) <= ids


def test_the_sheet_has_no_colour_of_its_own_and_a_rule_for_every_class(html):
    assert not re.search(
        r"#[0-9a-f]{3,8}\b(?![^{]*\{)|rgb\(|hsl\(", re.sub(r"/\*.*?\*/", "", SHEET)
    )
    both = SHEET + (design.PAGE / "style.css").read_text("utf-8")
    defined = set(re.findall(r"--([\w-]+):", both))
    assert set(re.findall(r"var\(--([\w-]+)\)", SHEET)) <= defined
    used = {w for name, value in Page(html).attributes if name == "class" for w in value.split()}
    assert used - set(re.findall(r"\.([a-z][\w-]*)", both)) <= NO_RULE


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_of_a_chosen_run_can_be_read(scheme):
    values = colours(scheme)
    # What may stand in a table's cell, on the ground that a chosen row gets.
    texts = ("ink", "soft", "good", "bad", "accent")
    assert {name for name in texts if contrast(values[name], values["track"]) < TEXT} == set()
    assert contrast(values["ink"], values["warn-bg"]) >= TEXT


def test_only_a_page_of_runs_is_replaced(tmp_path, html):
    path = tmp_path / "page.html"
    files.write(path, html)
    files.write(path, html + "<!-- newer -->")
    assert path.read_text().endswith("newer -->")
    path.write_text("<html>somebody's</html>")
    with pytest.raises(files.DataError, match="no page of runs"):
        files.write(path, html)
    assert "somebody's" in path.read_text()
