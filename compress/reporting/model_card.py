"""`MODEL_CARD.md`: what a deployed folder is for, what was measured of it, and what was not.

It lies beside `deploy/`, not in it: every byte of that folder counts, and no program reads a card.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from compress.reporting import wording
from compress.reporting.confusion import confusion_view
from compress.reporting.design import PAGE
from compress.reporting.outcome import verdict
from compress.reporting.record import ClassRow, Hardware, Report
from compress.reporting.robustness import calibration_table, damage_table, unknown_table
from export.formats.profiles import needed

NAME = "MODEL_CARD.md"
TEMPLATE = "model_card.md.j2"
# Of classes and of confusions: what a reader has to be warned of, not a second report.
SHOWN = 5
# What Markdown would take for a mark of its own.
MARKS = re.compile(r"([\\`*\[\]|<])")


def is_due(report: Report) -> bool:
    """Whether a run has delivered a folder that a card can describe."""
    return report.budget is not None and any(row.deployed for row in report.runtimes)


def card(report: Report) -> str:
    """The card's text; the report is one that `is_due`."""
    # Late, as in `report.render`.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(PAGE),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # Every text comes from a file of somebody: none is Markdown but what the filters made.
        finalize=lambda value: value if isinstance(value, Markup) else _plain(value),
    )
    environment.filters |= {
        "code": _code,
        "cells": lambda row: Markup(" | ".join(_plain(cell) for cell in row)),
        "count": wording.short_count,
        "decimals": wording.decimals,
        "needed": needed,
        "thousands": lambda value: wording.decimals(value, 0),
    }
    text = environment.get_template(TEMPLATE).render(_values(report))
    # Parts that a run lacks leave their empty lines.
    return re.sub(r"\n{3,}", "\n\n", text).rstrip() + "\n"


def _values(report: Report) -> dict[str, Any]:
    provenance = report.provenance
    hardware = provenance.hardware if provenance is not None else None
    confusion = confusion_view(report)
    threads = hardware.threads if hardware is not None else None
    return {
        "recipe": report.recipe or "unnamed run",
        # A search judges its points by limits of its own, and not by gates.
        "verdict": verdict(report) if report.exit_code is not None else None,
        "warnings": report.warnings,
        "data": report.data,
        "classes": report.data.classes if report.data is not None else (),
        "teacher": report.network("teacher"),
        "student": report.network("student"),
        "steps": report.steps,
        "budget": report.budget,
        "curves": report.curves,
        "temperature": report.temperature,
        "before": report.before,
        "deployed": [row for row in report.runtimes if row.deployed],
        "clean": report.data is not None and bool(report.data.copies),
        "cpu": _cpu(hardware) if hardware is not None else "",
        "threads": f"{threads} thread{'s' * (threads != 1)}" if threads is not None else "",
        "tables": _tables(report),
        "worst": _worst(report.per_class),
        "confused": confusion.worst[:SHOWN] if confusion is not None else (),
        "unmeasured": tuple(_unmeasured(report)),
        "files": sorted(set(_weights_files(provenance.effective)) if provenance else ()),
        "provenance": provenance,
    }


def _cpu(hardware: Hardware) -> str:
    # Latency and the last bits of int8 differ between the kinds of a CPU.
    found = hardware.cpu_instructions
    return f"{hardware.cpu} ({wording.instructions(found)})" if found else hardware.cpu


def _tables(report: Report) -> list[tuple[str, Sequence[Sequence[str]]]]:
    found = report.robustness
    if found is None:
        return []
    tables = (
        ("Top-1 on damaged clips, mean ± deviation, %", damage_table(found)),
        ("What scores are worth", calibration_table(found) if found.calibration else ()),
        ("Classes that were left out of the training", unknown_table(found)),
    )
    return [(title, table) for title, table in tables if len(table) > 1]


def _worst(rows: Sequence[ClassRow]) -> list[ClassRow]:
    """The classes that are right least often, of those that ever are wrong."""
    wrong = [row for row in rows if row.student is not None and row.student < 100]
    return sorted(wrong, key=lambda row: (row.student or 0.0, row.class_))[:SHOWN]


def _unmeasured(report: Report) -> Iterator[str]:
    yield "other data, other recordings and other estimators of poses"
    if report.robustness is None:
        yield Markup(
            "damaged clips: lost joints and frames, jitter, parts, turns (`robustness:` does)"
        )
        yield Markup("calibration of the scores (`robustness:` does)")
    if report.robustness is None or not report.robustness.unknown:
        yield Markup("actions that are none of the classes (`leave_out:` does)")
    if report.data is None or report.data.copies is None:
        yield "whether validation clips are training clips again"
    yield "differences between groups of people: no file says who is in a clip"


def _weights_files(settings: object) -> Iterator[str]:
    """Every weights file that an effective recipe names."""
    if isinstance(settings, Mapping):
        for key, value in settings.items():
            if key == "weights" and isinstance(value, str):
                yield value
            else:
                yield from _weights_files(value)
    elif isinstance(settings, (list, tuple)):
        for value in settings:
            yield from _weights_files(value)


def _plain(value: object) -> str:
    """A text that Markdown shows as it is, on one line."""
    return "" if value is None else MARKS.sub(r"\\\1", " ".join(str(value).split()))


def _code(value: object) -> Markup:
    """The same as code, in which nothing but a backtick has a meaning."""
    return Markup("`{}`").format(Markup(" ".join(str(value).split()).replace("`", "'")))
