"""What is compared of a run: a row for each file that it deployed, of its report.json, which may come
from anywhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from teachers.errors import DataError, printable
from teachers.storage import json_text, typed_json
from teachers.storage.bounded import read_bytes

# Bytes; the curves of the longest training have a few million.
LARGEST_REPORT = 100_000_000


@dataclass(frozen=True)
class Row:
    """A deployed file of a run. Accuracies are in percent; None is what a run did not get to.

    Attributes:
        run: the run's folder.
        bytes: of this runtime's files alone; `total_bytes` of the whole deployed folder.
        student_top1: of the trained network, before it was exported.
    """

    run: str
    recipe: str
    status: str
    runtime: str | None
    params: int | None
    macs: int | None
    teacher_top1: float | None
    student_top1: float | None
    top1: float | None
    p50_ms: float | None
    spread_ms: float | None
    bytes: int | None
    total_bytes: int | None
    cpu: str | None


def rows(path: Path) -> list[Row]:
    """A row for each deployed runtime of a run, one without a runtime where it delivered nothing.

    Raises:
        DataError: there is no report.json, or it is not a run's report.
    """
    file = path / "report.json" if path.is_dir() else path
    try:
        report = json_text.parse(read_bytes(file, LARGEST_REPORT), str(file))
        # recipe.json and deployed.json lie near by, and must not pass for a run without results.
        if not isinstance(report, dict) or "recipe" not in report or "networks" not in report:
            raise DataError(f"{file}: is another JSON file")
        # Not as a whole Report: those of runs long ago have other keys, and the same numbers. What
        # is compared has its types all the same.
        return [typed_json.decode(Row, row, str(file)) for row in _rows(report, str(file.parent))]
    except DataError as error:
        raise DataError(f"{error}; give a run's folder, such as runs/NAME") from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise DataError(
            f"{file}: is not the report of a run ({error}); give a run's folder, such as runs/NAME"
        ) from error


def _rows(report: dict, folder: str) -> list[dict[str, Any]]:
    # A run that was stopped has a report too, with whatever it got to; so everything but its name
    # may be missing.
    networks = {network["role"]: network for network in report["networks"]}
    student = networks.get("student", {})
    delivered = [row for row in report.get("runtimes") or [] if row.get("deployed")]
    hardware = report.get("provenance", {}).get("hardware", {})
    return [
        dict(  # noqa: C408  (the fields of a Row)
            run=folder,
            # Other people's reports may hold what no terminal should be sent.
            recipe=printable(report["recipe"]),
            status=printable(report.get("status", "unknown")),
            runtime=printable(runtime["name"]) if runtime else None,
            params=student.get("params"),
            macs=student.get("macs"),
            teacher_top1=networks.get("teacher", {}).get("top1"),
            student_top1=student.get("top1"),
            top1=runtime.get("top1"),
            p50_ms=runtime.get("p50_ms"),
            spread_ms=runtime.get("spread_ms"),
            bytes=runtime.get("bytes"),
            total_bytes=(report.get("budget") or {}).get("total_bytes"),
            cpu=printable(hardware["cpu"]) if hardware.get("cpu") else None,
        )
        for runtime in delivered or [{}]
    ]
