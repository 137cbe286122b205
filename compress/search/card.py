"""The model card of a point, of what its delivery recorded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from compress.budget.measure import measure
from compress.plan import Plan
from compress.reporting import model_card
from compress.reporting.record import BudgetRecord, InputRecord, Report, StepRow
from compress.reporting.recorder import data_record
from teachers import storage
from teachers.storage import typed_json


def write(folder: Path, report: Report, planned: Plan, max_size: int, timed: int, ms: float) -> int:
    """Write `MODEL_CARD.md` beside `deploy/` in a folder; returns the bytes of `deploy/`.

    Args:
        report: of `compress.deliver.export_verified`.
        timed: which of the deployed rows took `ms` milliseconds a clip.
    Raises:
        StorageError: it cannot be written.
    """
    weighed = typed_json.decode(BudgetRecord, measure(folder / "deploy", max_size), "budget")
    task = planned.student.task
    rows = list(report.runtimes)
    place = [number for number, row in enumerate(rows) if row.deployed][timed]
    rows[place] = replace(rows[place], p50_ms=ms)
    seen = InputRecord(task.view.title, tuple(task.view.shape))
    whole = replace(
        report,
        runtimes=tuple(rows),
        budget=weighed,
        data=data_record(planned.dataset, task.skeleton.name, planned.notes, seen),
        steps=tuple(
            StepRow(each.entry.kind, each.title) for each in planned.steps if each.entry.enabled
        ),
    )
    storage.write_text(folder / model_card.NAME, model_card.card(whole))
    return weighed.total_bytes
