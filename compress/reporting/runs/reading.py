"""What is known of a run in a folder: its report, which may come from anywhere."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compress.evaluation.record import RuntimeRow
from compress.recipe import effective
from compress.reporting.record import (
    BudgetRecord,
    Hardware,
    NetworkRow,
    Provenance,
    Report,
    from_json,
)
from teachers.errors import DataError
from teachers.storage import json_text, typed_json
from teachers.storage.bounded import read_bytes

NAME = "report.json"
PAGE = "report.html"
# Bytes; the curves of the longest training have a few million.
LARGEST_REPORT = 100_000_000
# More could not be told apart by colour and number, and a page of them would not open at once.
MOST_RUNS = 24
# A run without a report: it is under way, or was killed before it could write one.
UNFINISHED = "no report yet"
OLDER = "of an older release: only figures of its networks and files are read"


@dataclass(frozen=True)
class Run:
    """A run to be compared.

    Attributes:
        folder: as it was given.
        name: that tells it from the others of the page.
        older: its report has no more than figures (`OLDER`).
    """

    folder: Path
    name: str
    report: Report
    older: bool = False

    @property
    def page(self) -> Path | None:
        """Its own page, where it is."""
        path = self.folder / PAGE
        return path if path.is_file() else None


def read_all(paths: Sequence[Path]) -> list[Run]:
    """The runs, each named by its folder; folders of one name by their paths.

    Raises:
        DataError: too many, one twice, or one that is no run.
    """
    if len(paths) > MOST_RUNS:
        raise DataError(f"{len(paths)} runs: at most {MOST_RUNS} stand on a page; give fewer")
    runs = [read(path) for path in paths]
    places = [run.folder.absolute() for run in runs]
    for place in places:
        if places.count(place) > 1:
            raise DataError(f"{place}: is given twice; give each run once")
    return name_apart(runs)


def name_apart(runs: Sequence[Run]) -> list[Run]:
    """The same runs; those of one name are called by their paths."""
    names = [run.name for run in runs]
    return [
        dataclasses.replace(run, name=str(run.folder)) if names.count(run.name) > 1 else run
        for run in runs
    ]


def read(path: Path, largest: int = LARGEST_REPORT) -> Run:
    """The run of a folder, or of its report.json; one that has no report yet is read from its recipe.

    Raises:
        DataError: it is no run, or its report is not what docs/report.schema.json says.
    """
    folder = path if path.is_dir() else path.parent
    file = path / NAME if path.is_dir() else path
    name = folder.absolute().name or str(folder)
    if path.is_dir() and not file.is_file() and (folder / effective.NAME).is_file():
        return Run(folder, name, _begun(folder, largest))
    try:
        data = json_text.parse(read_bytes(file, largest), str(file))
        # recipe.json and deployed.json lie near by, and must not pass for a run without results.
        if not isinstance(data, dict) or "recipe" not in data or "networks" not in data:
            raise DataError(f"{file}: is another JSON file")
        if "schema_version" in data:
            return Run(folder, name, from_json(data, str(file)))
        return Run(folder, name, _older(data, str(file)), older=True)
    except DataError as error:
        raise DataError(f"{error}; give a run's folder, such as runs/NAME") from error


def _begun(folder: Path, largest: int) -> Report:
    file = folder / effective.NAME
    data = json_text.parse(read_bytes(file, largest), str(file))
    if not isinstance(data, dict):
        raise DataError(f"{file}: is no recipe; give a run's folder, such as runs/NAME")
    return Report(
        recipe=folder.absolute().name,
        status=UNFINISHED,
        provenance=Provenance(effective=data),
    )


def _older(data: dict[str, Any], place: str) -> Report:
    """The figures of a report without a schema_version: other keys, and the same numbers. What is
    read has its types all the same."""
    budget = data.get("budget")
    provenance = data.get("provenance")
    hardware = provenance.get("hardware") if isinstance(provenance, dict) else None
    exit_code = data.get("exit_code")
    return Report(
        recipe=_text(data["recipe"], f"{place}.recipe"),
        status=_text(data.get("status", "unknown"), f"{place}.status"),
        exit_code=exit_code if isinstance(exit_code, int) else None,
        networks=_known_rows(NetworkRow, data["networks"], f"{place}.networks"),
        runtimes=_known_rows(RuntimeRow, data.get("runtimes") or [], f"{place}.runtimes"),
        budget=_known(BudgetRecord, budget, f"{place}.budget") if budget else None,
        provenance=Provenance(
            hardware=_known(Hardware, hardware, f"{place}.provenance.hardware")
            if hardware
            else None
        ),
    )


def _text(value: object, place: str) -> str:
    if not isinstance(value, str):
        raise DataError(f"{place}: expected a text, got {str(value)[:60]!r}")
    return value


def _known_rows(record: type, data: object, place: str) -> tuple[Any, ...]:
    if not isinstance(data, list):
        raise DataError(f"{place}: expected a list, got {str(data)[:60]!r}")
    return tuple(_known(record, item, f"{place}[{at}]") for at, item in enumerate(data))


def _known(record: type, data: object, place: str) -> Any:
    """The record, of those keys that it has today."""
    if not isinstance(data, dict):
        raise DataError(f"{place}: expected an object, got {str(data)[:60]!r}")
    # Without the budget's files, whose parts had other keys.
    keys = {typed_json.key_of(field.name) for field in dataclasses.fields(record)} - {"files"}
    return typed_json.decode(
        record, {key: value for key, value in data.items() if key in keys}, place
    )
