"""What is where on the report page: its result first, its navigation, its charts, its matrix."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise

import pytest
from report_page import Page, every_section, plain, sample, text_of, within
from sample_report import EFFECTIVE, RECIPE, sample_report

from compress.reporting.charts import WIDTH, Series, bar_axis, line_chart
from compress.reporting.confusion import LEVELS, MANY_CLASSES, confusion_view
from compress.reporting.record import Report, from_json
from compress.reporting.report import render
from compress.reporting.view import FEW_CLASSES, SECTIONS, SHOWN_CLASSES, view_of


def page_of(report: Report | dict) -> Page:
    return Page(render(from_json(report) if isinstance(report, dict) else report))


@pytest.fixture(scope="module")
def full() -> Page:
    """A page with every section."""
    return page_of(every_section())


def test_the_navigation_reaches_every_section(full):
    (navigation,) = full.all("nav")
    links = [link.get("href") for link in within(navigation, "a")]
    shown = [f"#{card.get('id')}" for card in full.all("section", "card")]
    assert links == shown
    # "networks" stands in for the steps of a run that has none.
    expected = [section.key for section in SECTIONS if section.key != "networks"]
    assert links == ["#result", *(f"#{key}" for key in expected)]
    assert all(text_of(link) for link in within(navigation, "a"))


def test_a_section_without_content_is_in_neither_place():
    report = sample_report()
    report["steps"] = []
    del report["confusion"]
    page = page_of(report)
    links = [link.get("href") for link in within(page.all("nav")[0], "a")]
    assert "#networks" in links
    assert not {"#steps", "#confusion", "#layers", "#members", "#examples"} & set(links)
    assert links == [f"#{card.get('id')}" for card in page.all("section", "card")]
    assert not page_of(Report()).all("nav")


def test_every_reference_within_the_page_has_its_target(full):
    ids = [element.get("id") for element in full.tree.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    references = []
    for element in full.tree.iter():
        references += [element.get("aria-labelledby"), element.get("for")]
        if element.tag == "a":
            references.append(element.get("href").removeprefix("#"))
    assert {reference for reference in references if reference} <= set(ids)
    # A keyboard comes to the result with one step, past the navigation.
    assert full.all("a")[0].get("href") == "#result"
    assert full.section("result").get("tabindex") == "-1"


def test_headings_go_down_one_level_at_a_time(full):
    levels = [int(tag[1]) for tag in full.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(below <= above + 1 for above, below in pairwise(levels))


def test_before_and_after_stand_first(full):
    result = full.section("result")
    assert full.all("section")[0] is result
    figures = [text_of(item) for item in within(result, "li", "change")]
    assert figures[0] == "Top-1 93.97 % →, now 93.97 % as good as the teacher"
    assert figures[1] == "Size 11.24 MB →, now 2.68 MB 4.2 times smaller"
    assert figures[2].startswith("Latency, ONNX Runtime 46.80 ms →, now 21.40 ms 2.2 times faster")
    assert [figure.split()[0] for figure in figures[3:]] == ["Parameters", "MACs"]
    # Colour says the same as the words.
    better = within(result, "p", "good")
    assert [text_of(item) for item in better[:2]] == ["4.2 times smaller", "2.2 times faster"]


def test_without_a_measured_teacher_the_student_heads_the_page():
    figures = [text_of(item) for item in page_of(sample_without("before")).all("li", "change")]
    assert figures[0] == "Top-1 93.97 % →, now 94.18 % 0.21 points better than the teacher"
    assert figures[1] == "Size 2.68 MB 4.3 times smaller than the baseline export"
    # A run that was stopped before all of it has no figure at all, and no dashes in their place.
    assert not page_of(Report()).all("li", "change")


@pytest.mark.parametrize("median, tone", [(21.4, "good"), (70.0, "bad")])
def test_a_student_that_is_slower_than_the_baseline_export_is_not_praised(median, tone):
    report = sample_without("before")
    row = report["runtimes"][2]
    row["p50_ms"] = median
    # The only runtime that ships: otherwise the other one would be the faster of the two.
    report["runtimes"][1]["deployed"] = False
    latency = page_of(report).all("li", "change")[2]
    assert len(within(latency, "p", tone)) == 1


def sample_without(*keys: str) -> dict:
    report = sample_report()
    for key in keys:
        del report[key]
    return report


@pytest.mark.parametrize(
    "changes, state, word, icon",
    [
        ({}, "passed", "passed", "✓"),
        ({"warnings": ["only 40 clips"]}, "warned", "passed with warnings", "!"),
        ({"status": "over budget", "exit_code": 2}, "failed", "over budget", "✗"),
        ({"status": "interrupted", "exit_code": 130}, "stopped", "interrupted", "…"),
    ],
)
def test_the_verdict_is_a_word_a_sign_and_a_colour(changes, state, word, icon):
    page = page_of(sample_report() | changes)
    (verdict,) = page.all("div", "verdict")
    assert verdict.get("class").split() == ["verdict", state]
    assert text_of(within(verdict, "b")[0]) == word
    (sign,) = within(verdict, "span", "icon")
    assert text_of(sign) == icon and sign.get("aria-hidden") == "true"
    assert text_of(page.all("title")[0]) == f"ctrgcn_lite_dml: {word}"
    for warning in changes.get("warnings", ()):
        assert warning in text_of(page.section("result"))


def test_the_recipe_in_effect_is_shown_and_the_file_folded_away(full):
    provenance = full.section("provenance")
    effective, file = within(provenance, "pre")
    assert text_of(effective) == plain(EFFECTIVE) and text_of(file) == plain(RECIPE)
    (folded,) = within(provenance, "details")
    assert folded.get("open") is None and file in list(folded.iter("pre"))
    old = sample_report()
    del old["provenance"]["effective_yaml"]
    (shown,) = within(page_of(old).section("provenance"), "details")
    assert shown.get("open") is not None


def test_every_chart_names_its_axes_and_tells_its_values(full):
    charts = within(full.section("curves"), "svg", "chart")
    assert len(charts) == 6
    for chart in charts:
        y_title, x_title = within(chart, "text", "axis-title")
        assert x_title.text == "epoch"
        assert y_title.text in ("top-1 accuracy, %", "loss", "learning rate")
        assert y_title.text in chart.get("aria-label")
        strips = within(chart, "rect", "hover")
        lines = chart.findall("g")
        assert len(strips) == 12 and lines
        for epoch, strip in enumerate(strips, start=1):
            first, *values = strip.find("title").text.split("\n")
            assert first == f"epoch {epoch}"
            assert len(values) == len(lines)
            for line, value in zip(lines, values, strict=True):
                assert value.startswith(line.find("title").text)


def test_what_is_pointed_at_stays_within_the_picture():
    # Of few epochs each strip is wide, and half of the last one would lie beside the axis.
    svg = line_chart("loss", [Series("loss", ((1, 3.0), (2, 2.0), (3, 1.0)))])
    strips = re.findall(r'class="hover" x="([\d.]+)" y="\d+" width="([\d.]+)"', svg)
    assert len(strips) == 3
    assert all(float(start) + float(width) <= WIDTH for start, width in strips)


def test_every_bar_chart_names_its_axis(full):
    names = {"size": "size, MB", "per_class": "change, points", "layers": "signal to noise, dB"}
    for key, name in names.items():
        section = full.section(key)
        assert {text_of(item) for item in within(section, "p", "axis-name")} == {name}
        for axis in within(section, "div", "axis"):
            places = [float(mark.get("style")[5:-1]) for mark in axis]
            assert len(places) > 1 and places[0] >= 0 and places[-1] <= 100
            assert places == sorted(places)
            # Labels stand at their values, but for the very ends, where they stay inside.
            for place, mark in zip(places, axis, strict=True):
                assert (mark.get("class") == "first") is (place < 3)
                assert (mark.get("class") == "last") is (place > 97)


def test_the_ticks_of_a_bar_axis():
    assert bar_axis("size, MB", 0, 5e6, 1e6).ticks[-1] == (80.0, "4")
    signed = bar_axis("change, points", -5, 5).ticks
    assert (50.0, "0") in signed
    assert signed[0][1].startswith("−")


def test_the_kept_epoch_is_marked(full):
    kept = [row["kept_epoch"] for row in every_section()["curves"]]
    marks = [text_of(mark) for mark in full.all("text", "kept-name")]
    assert marks == [f"kept: epoch {epoch}" for epoch in kept for _ in range(3)]
    assert len(full.all("line", "kept")) == 6
    assert f"epoch {kept[0]} is kept, the best on the validation split" in full.text
    # The legend has the values of that epoch.
    curve = view_of(from_json(every_section())).curves[0]
    assert curve.charts[0].legend[0].kept == curve.table.rows[kept[0] - 1][1]


def test_the_page_says_which_clips_chose_the_epoch(full):
    assert "Solid lines are the validation split or the loss" in text_of(full.section("curves"))
    report = sample(epochs=3)
    held_out = replace(report, data=replace(report.data, holdout_clips=120))
    curves = text_of(page_of(held_out).section("curves"))
    assert "is kept, the best on 120 clips held out of training" in curves
    assert "Solid lines are 120 clips held out of training" in curves
    assert "validation split" not in curves


def test_a_training_that_kept_what_it_began_with_says_so():
    report = sample(epochs=3)
    curve = report.curves[0]
    page = page_of(replace(report, curves=(replace(curve, kept_epoch=0),)))
    assert "no epoch was better than the network before them" in page.text
    assert not page.all("line", "kept")
    # A report of before the field, and a training that was stopped.
    unknown = page_of(replace(report, curves=(replace(curve, kept_epoch=None),)))
    assert not unknown.all("line", "kept") and "is kept" not in text_of(
        within(unknown.section("curves"), "div", "subhead")[0]
    )


@pytest.mark.parametrize("kept", [1, 30, 60])
def test_the_mark_stays_inside_the_chart(kept):
    svg = line_chart("loss", [Series("loss", tuple((n, 1.0 / n) for n in range(1, 61)))], kept)
    x, anchor = re.search(r'kept-name" x="([\d.]+)" y="\d+" text-anchor="(\w+)"', svg).groups()
    # Thirteen units high, its letters are about seven wide.
    width = 7 * len(f"kept: epoch {kept}")
    left = float(x) if anchor == "start" else float(x) - width
    assert left >= 0 and left + width <= 300


def test_every_epoch_is_in_the_table(full):
    tables = within(full.section("curves"), "table")
    assert [len(within(table, "tr")) for table in tables] == [13, 13]
    heads = [text_of(head) for head in within(tables[1], "th")]
    assert heads[0] == "epoch" and "learning rate" in heads and "dml" in heads


@pytest.mark.parametrize("count", [MANY_CLASSES, 60, 120])
def test_the_matrix_has_a_cell_for_every_pair(count):
    page = page_of(sample(tuple(f"class <{number}>" for number in range(count)), epochs=1))
    (matrix,) = page.all("table", "matrix")
    rows = matrix.find("tbody").findall("tr")
    assert [len(row.findall("td")) for row in rows] == [count] * count
    assert len(matrix.find("thead").findall("tr/th")) == count + 1
    (scroll,) = [box for box in page.all("div", "scroll") if matrix in list(box)]
    # The box scrolls, so that a keyboard has to come to it.
    assert scroll.get("tabindex") == "0" and scroll.get("aria-label") == "Confusion matrix"
    # Of many classes the whole is seen first, and a second view has the numbers.
    many = count > MANY_CLASSES
    assert len(page.all("input")) == (2 if many else 0)
    assert ("many" in scroll.get("class").split()) is many
    for number, row in enumerate(rows):
        right = row.findall("td")[number]
        assert right.get("class").startswith("r")
        assert f"class <{number}> → class <{number}>: {right.text} of" in right.get("title")


def test_a_cell_has_the_shade_of_its_share_of_the_true_class():
    classes = sample_report()["data"] | {"classes": ["a", "b", "c"]}
    confusion = [[90, 10, 0], [0, 0, 0], [1, 0, 1]]
    view = confusion_view(from_json(sample_report() | {"confusion": confusion, "data": classes}))
    shades = [[cell.shade if cell else "" for cell in row.cells] for row in view.rows]
    assert shades == [["r5", "w1", ""], ["", "", ""], ["w3", "", "r3"]]
    assert view.rows[0].cells[1].says == "a → b: 10 of 100 (10.0%)"
    assert (view.right, view.total) == (91, 102)
    # The most clips first.
    assert [(pair.true, pair.predicted, pair.clips) for pair in view.worst] == [
        ("a", "b", 10),
        ("c", "a", 1),
    ]
    assert dict(view.levels) == dict(enumerate(LEVELS, start=1))


def test_classes_without_names_are_numbered():
    view = confusion_view(Report(confusion=((3, 1), (0, 2))))
    assert [row.name for row in view.rows] == ["class 1", "class 2"]
    assert confusion_view(Report()) is None


@pytest.mark.parametrize("count", [FEW_CLASSES, FEW_CLASSES + 1, 120])
def test_the_classes_that_lost_most_are_shown(count):
    report = sample(tuple(f"class {number}" for number in range(count)), epochs=1)
    classes = view_of(report).per_class
    assert len(classes.shown) == (count if count <= FEW_CLASSES else SHOWN_CLASSES)
    assert len(classes.shown) + len(classes.rest) == count
    changes = [row.change for row in (*classes.shown, *classes.rest)]
    assert changes == sorted(changes)


def test_headed_cells_have_their_scope_and_phones_their_names(full):
    assert all(head.get("scope") in ("col", "row") for head in full.all("th"))
    # On a phone a row is a block, where the names of columns stand beside each value.
    for table in full.all("table", "rows"):
        if "narrow" in table.get("class").split():
            continue
        heads = [text_of(head) for head in within(table.find("thead"), "th")]
        for row in table.find("tbody").findall("tr"):
            assert [cell.get("data-name") for cell in row.findall("td")] == heads[1:]


def test_damaged_clips_and_seeds_have_their_figures(full):
    text = text_of(full.section("robustness"))
    for figure in ("85.50 ± 0.80", "17.60", "3.00", "0.910", "102 clips held out of training"):
        assert figure in text, figure
    (chart,) = within(full.section("robustness"), "svg", "chart")
    titles = [title.text for title in within(chart, "text", "axis-title")]
    assert titles == ["wrong, %", "% of the clips answered, the surest first"]
    live = text_of(full.section("streams"))
    for figure in (
        "50 validation clips",
        "77.5",
        "16 to 64",
        "88.0",
        "37.5",
        "0.92",
        "–",
        "123,456",
    ):
        assert figure in live, figure
    assert "92.00 ± 1.41" in text_of(full.section("seeds")).replace("\u00a0", " ")
