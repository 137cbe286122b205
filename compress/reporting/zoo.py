"""The networks of the zoo with their figures, each from the report and the scores of the run that
it was made of."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from compress.evaluation import scores
from compress.evaluation.evaluate import accuracy
from compress.evaluation.record import RuntimeRow
from compress.reporting import record, wording
from compress.reporting.record import Report
from export.deployed import zoo
from teachers.errors import DataError

# What an entry keeps of its run, beside the deployed folder.
KEPT = ("recipe.yaml", "report.json", "run.log", scores.NAME)
# Of all files that ship. A zoo that is cloned and installed with the code must stay small.
LARGEST_BYTES = 1_500_000


@dataclass(frozen=True)
class Row:
    """A deployed file of a network of the zoo.

    Attributes:
        top1, clean_top1: percent, counted from `scores.npz`.
        macs: multiply-accumulates of one clip, which tables of other zoos call FLOPs.
        bytes: of the whole deployed folder.
    """

    name: str
    data: str
    classes: int
    runtime: str
    top1: float
    clean_top1: float | None
    params: int | None
    macs: int | None
    bytes: int
    p50_ms: float | None
    spread_ms: float | None
    cpu: str
    recipe: str
    overrides: tuple[str, ...]


def rows() -> list[Row]:
    """A row for every deployed file of the zoo.

    Raises:
        DataError: an entry whose parts are missing or disagree.
    """
    return [row for name in zoo.names() for row in rows_of(name, zoo.ZOO / name)]


def rows_of(name: str, folder: Path) -> list[Row]:
    """The rows of a folder that is an entry of the zoo, or a finished run.

    Raises:
        DataError: as `rows`.
    """
    report = read(folder)
    student = report.network("student")
    if student is None or report.data is None or report.provenance is None:
        raise DataError(f"{folder}: its report.json tells of no finished run; run it to its end")
    hardware = report.provenance.hardware
    found = []
    for runtime in (row for row in report.runtimes if row.deployed):
        top1, clean = _counted(folder, runtime)
        found.append(
            Row(
                name=name,
                data=report.data.name,
                classes=len(report.data.classes),
                runtime=runtime.name,
                top1=top1,
                clean_top1=clean,
                params=student.params,
                macs=student.macs,
                bytes=size_of(folder / zoo.DEPLOYED),
                p50_ms=runtime.p50_ms,
                spread_ms=runtime.spread_ms,
                cpu=hardware.cpu if hardware else "",
                recipe=report.recipe,
                overrides=report.provenance.overrides,
            )
        )
    return found


def read(folder: Path) -> Report:
    """The report of an entry or a run.

    Raises:
        DataError: there is none, or it is not a run's.
    """
    path = folder / "report.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise DataError(f"{path}: no report of a run; give a finished run's folder") from problem
    return record.from_json(content, str(path))


def size_of(folder: Path) -> int:
    """Bytes of all files of a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _counted(folder: Path, runtime: RuntimeRow) -> tuple[float, float | None]:
    """(top-1, clean top-1) of a deployed file, counted again from what it answered."""
    results = scores.load_all(folder / scores.NAME)
    logits = results.logits.get(runtime.name)
    if logits is None:
        raise DataError(
            f"{folder / scores.NAME}: holds no answers of {runtime.name}; run the recipe again"
        )
    found = accuracy(logits.astype(np.float32), results.labels, results.copies)
    said = (runtime.top1, runtime.clean_top1)
    if (found.top1, found.clean_top1) != said:
        raise DataError(
            f"{folder}: report.json says top-1 (all, clean) {said} of {runtime.name}, its scores"
            f" come to {(found.top1, found.clean_top1)}; both must be of one run"
        )
    return found.top1, found.clean_top1


def cells(row: Row) -> tuple[str, ...]:
    """A row as tables show it, below `HEADS`."""
    return (
        f"{zoo.PREFIX}{row.name}",
        row.data,
        row.runtime,
        f"{row.top1:.2f} / {wording.decimals(row.clean_top1, 2)}",
        wording.short_count(row.params),
        wording.short_count(row.macs),
        f"{row.bytes:,}",
        f"{wording.decimals(row.p50_ms, 1)}, spread {wording.decimals(row.spread_ms, 1)} ({row.cpu})",
    )


HEADS = ("network", "data", "runtime", "top-1 all / clean", "params", "MACs", "bytes", "ms (CPU)")
