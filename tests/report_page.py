"""The report page as a tree, and reports to make it of, for the tests of the page."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from xml.etree.ElementTree import Element, TreeBuilder

from sample_report import CLASSES, sample_report

from compress.reporting.record import Report, from_json

VOID = {"meta", "br", "hr", "img", "link", "input"}


def sample(*arguments, **options) -> Report:
    """`sample_report` as the record that it is."""
    return from_json(sample_report(*arguments, **options))


def every_section() -> dict:
    """The sample with the parts that only some runs have, so that no section is left out."""
    frames = [[[[10.0, 20.0], [30.0, 40.0]]], []]
    clip = {
        "name": "val0",
        "class": CLASSES[4],
        "predicted": CLASSES[5],
        "right": False,
        "frames": frames,
    }
    member = {"role": "teacher 1", "name": "ctrgcn, bones", "weight": 0.5, "origin": "trained"}
    layers = [{"layer": f"l{number}.out", "snr_db": 18.0 + number} for number in range(1, 20)]
    return sample_report(epochs=12) | {
        "examples": {"bones": [[1, 2]], "side": 100.0, "clips": [clip]},
        "layer_report": [*layers, {"layer": "logits", "snr_db": 25.5}],
        "members": [member],
    }


class Page(HTMLParser):
    """The page's tree, tags, attributes and text; every tag must be closed in order."""

    def __init__(self, html: str):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.attributes, self.pieces = [], [], [], []
        self.builder = TreeBuilder()
        self.feed(html)
        self.close()
        assert self.open == []
        self.tree = self.builder.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        self.builder.start(tag, {name: value or "" for name, value in attrs})
        if tag in VOID:
            self.builder.end(tag)
        else:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        self.builder.start(tag, dict(attrs))
        self.builder.end(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        self.builder.end(tag)

    def handle_data(self, data):
        if not self.open:
            return
        self.builder.data(data)
        if self.open[-1] != "style":
            self.pieces.append(data)

    @property
    def text(self) -> str:
        return plain(" ".join(self.pieces))

    def all(self, tag: str, class_: str = "") -> list[Element]:
        """Every element of a tag ("*": any), with a class, in order."""
        return within(self.tree, tag, class_)

    def section(self, key: str) -> Element:
        """The element with this id."""
        (element,) = [element for element in self.tree.iter() if element.get("id") == key]
        return element


def within(element: Element, tag: str, class_: str = "") -> list[Element]:
    """Every element below one, as `Page.all`."""
    return [
        item
        for item in element.iter(None if tag == "*" else tag)
        if not class_ or class_ in item.get("class", "").split()
    ]


def text_of(element: Element) -> str:
    """All text of an element, spaces in a row as one."""
    return plain("".join(element.itertext()))


def plain(text: str) -> str:
    return re.sub(r"\s+", " ", text.replace("\u00a0", " ")).strip()
