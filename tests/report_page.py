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
    lying = {"low": -1.5, "high": 6.0, "shares": [40.0, 50.0, 9.5, 0.5]}
    ranged = {"range_low": -0.5, "range_high": 4.0, "cut_off": 0.125}
    clip = {
        "name": "val0",
        "class": CLASSES[4],
        "predicted": CLASSES[5],
        "right": False,
        "frames": frames,
    }
    member = {"role": "teacher 1", "name": "ctrgcn, bones", "weight": 0.5, "origin": "trained"}
    right = clip | {"name": "val1", "class": CLASSES[5], "right": True}
    pair = {"true": CLASSES[4], "predicted": CLASSES[5], "clips": 3, "total": 40}
    layers = [
        {"layer": f"l{number}.out", "snr_db": 18.0 + number} | lying | ranged
        for number in range(1, 20)
    ]
    weights = {
        "layer": "l1.values",
        "precision": "int8",
        "count": 4096,
        "snr_db": 41.2,
        "largest": 0.8,
        "range_low": 0.1,
        "range_median": 0.3,
        "range_high": 0.8,
        "shares": [10.0, 40.0, 40.0, 10.0],
    }
    return sample_report(epochs=12) | {
        "examples": {
            "bones": [[1, 2]],
            "side": 100.0,
            "clips": [clip],
            "pairs": [pair | {"mistaken": clip, "other": right}],
        },
        "layer_report": [*layers, {"layer": "logits", "snr_db": 25.5}],
        "weight_report": [weights],
        "members": [member],
        "robustness": _robustness(),
        "streams": _streams(),
        "seeds": {
            "data_seed": 1,
            "rows": [
                {"seed": 1, "folder": "seed1", "status": "ok", "exit_code": 0, "top1": 91.0},
                {"seed": 2, "folder": "seed2", "status": "ok", "exit_code": 0, "top1": 93.0},
            ],
            "top1": {"mean": 92.0, "deviation": 1.41, "lowest": 91.0, "highest": 93.0},
        },
    }


def _robustness() -> dict:
    whole = {"mean": 90.0, "deviation": None, "lowest": 90.0, "highest": 90.0}
    lost = {"mean": 85.5, "deviation": 0.8, "lowest": 84.9, "highest": 86.4}
    scores = {
        "temperature": 1.0,
        "ece": 0.176,
        "loss": 0.49,
        "aurc": 0.026,
        "sure_and_wrong": 1,
        "coverage": [50, 80, 100],
        "risk": [0.01, 0.05, 0.1],
    }
    unknown = {
        "clips": 40,
        "auroc": 0.91,
        "threshold": 0.6,
        "known_answered": 94.0,
        "unknown_answered": 31.0,
    }
    return {
        "networks": ["teacher"],
        "rows": [
            {"key": "none", "title": "as recorded", "draws": 1, "top1": [whole]},
            {"key": "joints_20", "title": "20 % of joints lost", "draws": 5, "top1": [lost]},
        ],
        "calibration": [scores],
        "calibrated": [scores | {"temperature": 0.52, "ece": 0.03}],
        "fitted_on": "102 clips held out of training",
        "unknown": [unknown],
    }


def _streams() -> dict:
    alarms = {
        "actions": 50,
        "hours": 0.08,
        "sensitivity": 0.88,
        "false_alarms": 3,
        "false_an_hour": 37.5,
        "p50_s": 0.92,
        "p95_s": None,
    }
    choice = {
        "wanted": 0.9,
        "live": {},
        "training": alarms | {"sensitivity": 0.93},
        "judged": alarms,
    }
    followed = {
        "name": "ONNX Runtime",
        "runtime": "onnx",
        "size_bytes": 123456,
        "window": 64,
        "min_frames": 16,
        "early": {"25": 0.125, "100": 0.775},
        "first_p50_s": 1.37,
        "first_p95_s": None,
        "choices": [choice],
        "cost_ms": {"1": 2.345, "16": 0.21},
    }
    return {
        "data": "synthetic",
        "rate": 30.0,
        "stride": 4,
        "sensitivity": 0.9,
        "clips": [60, 50],
        "hours": [0.1, 0.08],
        "followed": [followed],
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
