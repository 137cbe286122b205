"""One recipe with several seeds: a run each, in a folder each, and one report with mean and
deviation.

Every run is a whole one, with its own report and its own `recipe.yaml`, which repeats it alone. All
see the same data: only what is drawn in training differs. Which of them ships is left to whoever
ships: to take the best on the clips that judge would flatter it.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from compress import pipeline
from compress.recipe import effective
from compress.recipe.types import Recipe
from compress.reporting import provenance
from compress.reporting.record import Gate, Report, SeedRow, from_json
from compress.reporting.runs.reading import LARGEST_REPORT
from compress.reporting.seeds import seed_row, together
from teachers import storage
from teachers.storage import json_text
from teachers.storage.bounded import read_bytes
from teachers.terminal import interrupt
from teachers.terminal.output import say

# Exit codes of runs that came to their gates.
FINISHED = (0, 2, 3)


def execute(run: pipeline.Run) -> Report:
    """All runs of the recipe, in turn; a finished one is not done again. Returns the report over all
    of them, which is on disk too, also after an error or Ctrl-C.

    Raises:
        FeatherboneError, KeyboardInterrupt: of the run that was stopped by it.
    """
    started = time.monotonic()
    members = recipes_of(run.recipe)
    found: dict[int, Report] = {}
    report = Report(
        recipe=run.recipe.name,
        output=str(run.folder),
        provenance=provenance.of_run(run.recipe, run.command, run.deterministic),
    )
    try:
        for recipe in members:
            folder = run.folder / f"seed{recipe.seed}"
            say(f"seed {recipe.seed}: {folder}")
            found[recipe.seed] = finished(folder) or _execute(run, recipe, folder)
    except BaseException as problem:
        status, code = pipeline.ending_of(problem)
        report = replace(report, status=status, exit_code=code)
        raise
    finally:
        report = _summed(report, run.recipe, found, time.monotonic() - started)
        with interrupt.held():
            pipeline.write_report(report, run.folder)
    return report


def recipes_of(recipe: Recipe) -> list[Recipe]:
    """The recipe of each run: its own seed, and the data of all."""
    data_seed = recipe.seed if recipe.data_seed is None else recipe.data_seed
    return [replace(recipe, seed=seed, seeds=1, data_seed=data_seed) for seed in recipe.run_seeds]


def finished(folder: Path) -> Report | None:
    """The report of a run that came to its gates; None: it did not, or has not begun."""
    path = folder / "report.json"
    if not path.is_file():
        return None
    content = json_text.parse(read_bytes(path, LARGEST_REPORT), str(path))
    report = from_json(content, str(path))
    if report.exit_code not in FINISHED:
        return None
    say(f"{folder}: was finished before")
    return report


def _execute(run: pipeline.Run, recipe: Recipe, folder: Path) -> Report:
    """The run of one seed, begun or resumed."""
    storage.make_folder(folder)
    if (folder / effective.NAME).exists():
        effective.require_same(recipe, folder, "", "another --output")
        for place in (folder, *(each for each in folder.iterdir() if each.is_dir())):
            storage.sweep(place)
    else:
        effective.write(recipe, folder)
    return pipeline.execute(replace(run, recipe=recipe, folder=folder))


def _summed(report: Report, recipe: Recipe, found: dict[int, Report], seconds: float) -> Report:
    """The report over all runs that are there; where all are, it ends as the worst of them did."""
    rows: list[SeedRow] = []
    gates: list[Gate] = []
    for seed, each in found.items():
        rows.append(seed_row(seed, f"seed{seed}", each))
        gates += [replace(gate, name=f"seed {seed}, {gate.name}") for gate in each.gates]
    first = recipes_of(recipe)[0]
    if rows:
        report = replace(
            report,
            seeds=together(first.data_seed or 0, rows, recipe.seeds),
            data=found[first.seed].data,
            gates=tuple(gates),
            warnings=_warnings(found),
        )
    if report.exit_code is None and len(rows) == recipe.seeds:
        # Over budget (2) before accuracy (3), as in each of them.
        worst = min(
            (row for row in rows if row.exit_code), key=lambda row: row.exit_code or 0, default=None
        )
        status = ("ok", 0) if worst is None else (worst.status, worst.exit_code)
        report = replace(report, status=status[0], exit_code=status[1])
    if report.provenance is not None:
        report = replace(report, provenance=replace(report.provenance, wall_seconds=seconds))
    return report


def _warnings(found: dict[int, Report]) -> tuple[str, ...]:
    return tuple(f"seed {seed}: {text}" for seed, each in found.items() for text in each.warnings)
