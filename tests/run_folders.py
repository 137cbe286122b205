"""Folders of runs, for the tests of pages about several."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
from sample_report import sample_report

from compress.evaluation import scores
from compress.reporting.record import from_json
from compress.reporting.report import write


def report_of(dataset, **changes) -> dict:
    """The sample's report of a data set's classes."""
    return sample_report(classes=dataset.classes, epochs=4) | changes


def make(folder: Path, content: dict) -> Path:
    """A run's folder with both files of its report."""
    folder.mkdir(parents=True)
    write(from_json(content), folder)
    return folder


def answer(folder: Path, dataset, wrong: dict[str, list[int]]) -> None:
    """A run's scores.npz: who answers which validation clips wrong."""
    right = np.eye(len(dataset.classes))[dataset.val.labels]
    logits = {}
    for name, clips in wrong.items():
        logits[name] = right.copy()
        logits[name][clips] = np.roll(right, 1, axis=1)[clips]
    scores.save_all(folder / scores.NAME, dataset, logits)


def changed(content: dict, **values) -> dict:
    """A copy whose parts have other values, named as part__key."""
    content = copy.deepcopy(content)
    for name, value in values.items():
        part, key = name.split("__")
        content[part][key] = value
    return content


def last_line(text: str) -> dict:
    return json.loads(text.splitlines()[-1])
