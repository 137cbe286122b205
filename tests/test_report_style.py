"""The style sheet of the report: every text can be read on its ground, and nothing is wider than a
phone."""

from __future__ import annotations

import re
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pytest
from report_page import Page, every_section

from compress.live import service
from compress.reporting.design import sheet
from compress.reporting.examples import PLAYED
from compress.reporting.record import from_json
from compress.reporting.report import render

ROOT = Path(__file__).parents[1]
# WCAG 2.1, 1.4.3 and 1.4.11: of text, and of a graphic that has to be told from its ground.
TEXT = 4.5
GRAPHIC = 3.0
# Distance in OKLab (Ottosson 2020), where 0.02 is about what an eye tells apart side by side.
APART = 0.08
# Linear RGB as it is seen without red, green or blue cones: Machado, Oliveira and Fernandes 2009,
# severity 1.
VISIONS = {
    "all cones": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
TO_CONES = [
    [0.4122214708, 0.5363325363, 0.0514459929],
    [0.2119034982, 0.6806995451, 0.1073969566],
    [0.0883024619, 0.2817188376, 0.6299787005],
]
TO_LAB = [
    [0.2104542553, 0.7936177850, -0.0040720468],
    [1.9779984951, -2.4285922050, 0.4505937099],
    [0.0259040371, 0.7827717662, -0.8086757660],
]
# Every text without a ground of its own stands on one of them.
SURFACES = ("card", "page")
# CSS pixels; the width that WCAG 2.1, 1.4.10, asks for.
NARROWEST = 320
# They scroll inside the page, or are drawn at a length of their own.
BOXES = (".scroll", ".matrix", "#zoom")
SHEET = re.sub(r"/\*.*?\*/", "", sheet(), flags=re.DOTALL)


def rules() -> list[tuple[str, str, dict[str, str]]]:
    """(condition, selector, declarations) of every rule; the condition is its @media, or empty."""
    rows = []
    heads: list[str] = []
    text = ""
    for piece in re.split(r"([{}])", SHEET):
        if piece == "{":
            heads.append(text.strip())
        elif piece == "}":
            head = heads.pop()
            if not head.startswith("@media"):
                rows.append((" ".join(heads), head, declarations(text)))
        text = "" if piece in "{}" else piece
    assert heads == []
    return rows


def declarations(text: str) -> dict[str, str]:
    pairs = [line.split(":", 1) for line in text.split(";") if ":" in line]
    return {name.strip(): value.strip() for name, value in pairs}


RULES = rules()


def colours(scheme: str) -> dict[str, str]:
    """The colours by name, without the dashes before it."""
    values: dict[str, str] = {}
    for condition, selector, declared in RULES:
        if selector == ":root" and (not condition or (scheme == "dark" and "dark" in condition)):
            values |= {name[2:]: value for name, value in declared.items() if name[:2] == "--"}
    return values


def linear(colour: str) -> list[float]:
    """Red, green and blue from 0 to 1, as light adds up."""
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    return [
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in channels
    ]


def luminance(colour: str) -> float:
    red, green, blue = linear(colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def lab(colour: str, vision: str) -> np.ndarray:
    """A colour in OKLab, as these eyes see it."""
    seen = np.clip(np.array(VISIONS[vision]) @ linear(colour), 0, 1)
    return np.array(TO_LAB) @ np.cbrt(np.array(TO_CONES) @ seen)


def contrast(text: str, ground: str) -> float:
    light, dark = sorted((luminance(text), luminance(ground)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def variable(value: str) -> str | None:
    match = re.fullmatch(r"var\(--([\w-]+)\)", value)
    return match.group(1) if match else None


def is_line(selector: str) -> bool:
    """Whether a rule colours lines of charts, not text."""
    return re.fullmatch(r"\.s\d", selector) is not None


def text_pairs() -> set[tuple[str, str]]:
    """(text, ground) for every text and every ground that it may stand on."""
    pairs = set(product(["ink", "soft"], SURFACES))
    for _, selector, declared in RULES:
        text = variable(declared.get("color", declared.get("fill", "")))
        ground = variable(declared.get("background", ""))
        if is_line(selector):
            continue
        if text and ground:
            pairs.add((text, ground))
        elif text:
            pairs |= set(product([text], SURFACES))
        # Bars and swatches are empty elements: nothing is written on them.
        elif ground and not re.search(r"\bi\b|\.bar|\.stack|diverge|shades", selector):
            pairs.add(("ink", ground))
    return pairs


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read_on_its_ground(scheme):
    values = colours(scheme)
    pairs = text_pairs()
    assert len(pairs) > 25
    poor = {
        (text, ground): round(contrast(values[text], values[ground]), 2)
        for text, ground in pairs
        if contrast(values[text], values[ground]) < TEXT
    }
    assert poor == {}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_line_and_bar_is_told_from_the_page(scheme):
    values = colours(scheme)
    drawn = [f"s{number}" for number in range(8)]
    drawn += ["weights", "graph", "metadata", "other", "good", "bad"]
    poor = {name for name in drawn if contrast(values[name], values["card"]) < GRAPHIC}
    assert poor == set()


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_two_lines_look_alike_to_any_eye(scheme, vision):
    values = colours(scheme)
    sets = [[f"s{number}" for number in range(8)], ["good", "bad"], ["right5", "wrong5"]]
    alike = {
        (first, second): round(float(distance), 3)
        for names in sets
        for first, second in combinations(names, 2)
        if (distance := np.linalg.norm(lab(values[first], vision) - lab(values[second], vision)))
        < APART
    }
    assert alike == {}


def test_eyes_without_green_cones_mix_up_red_and_green():
    red, green = "#c04000", "#608000"
    assert np.linalg.norm(lab(red, "all cones") - lab(green, "all cones")) > 2 * APART
    assert np.linalg.norm(lab(red, "deuteranopia") - lab(green, "deuteranopia")) < APART


def test_the_contrast_of_known_colours():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


def test_both_schemes_name_the_same_colours_and_no_colour_stands_elsewhere():
    light = {name for name, value in colours("light").items() if value.startswith("#")}
    (dark,) = [row for row in RULES if row[1] == ":root" and "dark" in row[0]]
    assert {name[2:] for name in dark[2]} == light
    # On paper the light colours hold, whatever the screen has.
    assert "screen" in dark[0]
    outside = [value for _, head, row in RULES if head != ":root" for value in row.values()]
    assert not [value for value in outside if re.search(r"#[0-9a-f]{3}|rgb|hsl|opacity", value)]
    used = set(re.findall(r"var\(--([\w-]+)\)", SHEET))
    declared = {name[2:] for _, _, row in RULES for name in row if name.startswith("--")}
    assert used <= declared


def widths(declared: dict[str, str]) -> list[float]:
    """Pixels that a rule asks of its line, flexible parts aside."""
    found = []
    for name in ("width", "min-width", "grid-template-columns", "flex-basis"):
        # `min(100%, 360px)` is at most what there is.
        value = re.sub(r"min\(100%, \d+px\)", "", declared.get(name, ""))
        found.append(sum(float(pixels) for pixels in re.findall(r"([\d.]+)px", value)))
    return found


def test_nothing_is_wider_than_a_phone_outside_of_the_boxes_that_scroll():
    asked = {
        (condition, selector): max(widths(declared))
        for condition, selector, declared in RULES
        if "print" not in condition and not selector.startswith(BOXES)
    }
    assert {rule for rule, width in asked.items() if width > NARROWEST} == set()
    assert max(asked.values()) > 100


def test_only_shares_stand_in_the_page_itself():
    page = Page(render(from_json(every_section())))
    styles = {value for name, value in page.attributes if name == "style"}
    assert styles
    assert all(re.fullmatch(r"(width|left):-?[\d.]+%(;width:[\d.]+%)?", style) for style in styles)
    assert not [
        value
        for name, value in page.attributes
        if name in ("width", "bgcolor", "align") and "." not in value
    ]


def test_every_class_of_the_page_has_a_rule():
    page = Page(render(from_json(every_section())))
    used = {word for name, value in page.attributes if name == "class" for word in value.split()}
    styled = set(re.findall(r"\.([a-z][\w-]*)", SHEET))
    assert used - styled == set()


def test_what_scrolls_sideways_is_within_a_box():
    scrolling = {
        selector
        for _, selector, declared in RULES
        if {declared.get("overflow"), declared.get("overflow-x")} & {"auto", "scroll"}
    }
    assert scrolling == {".scroll", ".sections ul"}


@pytest.mark.parametrize(
    "page",
    [
        "compress/demo/page/demo.css",
        "compress/live/page.html",
        "compress/reporting/page/streams_page.html.j2",
        "compress/search/page/search.html.j2",
        "compress/reporting/page/page.html.j2",
    ],
)
def test_every_page_has_its_colours_from_the_one_sheet(page):
    text = (ROOT / page).read_text("utf-8")
    assert page.endswith(".css") or "{% include 'style.css' %}" in text or service.SHEET in text
    own = text if page.endswith(".css") else text.split("<style>")[1].split("</style>")[0]
    assert not re.search(r"#[0-9a-f]{3,8}\b(?=[;} ])|rgb|hsl", own)
    declared = {name for _, _, row in RULES for name in row}
    assert {f"--{name}" for name in re.findall(r"var\(--([\w-]+)\)", own)} <= declared


def test_a_film_has_as_many_frames_as_it_moves_by():
    films = [declared for condition, head, declared in RULES if head == ".film" and not condition]
    assert films[0]["width"] == f"{100 * PLAYED}%"
    assert f"steps({PLAYED})" in films[0]["animation"]


def test_who_asked_for_less_motion_has_none():
    (still,) = [
        row
        for condition, _, row in RULES
        if "reduce" in condition and "print" not in condition and "animation" in row
    ]
    assert still["animation"] == still["transition"] == "none !important"
    # All frames side by side, then: without it one frame alone would be seen.
    shown = [row for condition, head, row in RULES if head == ".film" and "reduce" in condition]
    assert shown == [{"width": "100%"}]
