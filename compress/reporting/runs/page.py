"""The comparison as one page: what became smaller, faster and less accurate, and by how much."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from urllib.parse import quote

from markupsafe import Markup

from compress.reporting.runs import drawn, files
from compress.reporting.runs.answers import Answers
from compress.reporting.runs.classes import Classes, classes
from compress.reporting.runs.curves import CurveGroup, groups
from compress.reporting.runs.facts import cpu, same_clips, started
from compress.reporting.runs.points import Scatter, scatters
from compress.reporting.runs.reading import Run
from compress.reporting.runs.recipes import Recipes, recipes
from compress.reporting.runs.rows import Row, Table
from compress.reporting.runs.summary import Summary, summaries
from compress.reporting.view import Section

SECTIONS = (
    Section("scatter", "Scatter", "Accuracy against size and latency"),
    Section("table", "Table", "Every file"),
    Section("classes", "Classes", "Class by class against the first run"),
    Section("curves", "Training", "Training"),
    Section("recipes", "Recipes", "What the recipes say differently"),
    Section("origins", "Provenance", "Where the runs come from"),
)


@dataclass(frozen=True)
class ScatterView:
    """A scatter as it is shown; `shapes` are (drawing, what it stands for)."""

    key: str
    title: str
    svg: Markup
    shapes: tuple[tuple[Markup, str], ...]
    arrows: bool


@dataclass(frozen=True)
class Origin:
    """What it takes to get a run's numbers again, in short; the rest stands in its own report."""

    name: str
    recipe: str
    started: str
    seconds: float | None
    commit: str
    seed: int | None
    paddle: str
    cpu: str


@dataclass(frozen=True)
class View:
    """The values of the templates; a section without its value is left out.

    Attributes:
        clips: what top-1 is counted over, in words.
        places, names: of a run, by its folder.
        elsewhere: folders of runs that were judged on other clips than the first.
    """

    title: str
    clips: str
    summaries: tuple[Summary, ...]
    notes: tuple[str, ...]
    places: dict[str, int]
    elsewhere: frozenset[str]
    names: dict[str, str]
    scatter: bool
    scatters: tuple[ScatterView, ...]
    table: tuple[Row, ...]
    classes: Classes | None
    curves: tuple[CurveGroup, ...]
    recipes: Recipes | None
    origins: tuple[Origin, ...]


def render(runs: Sequence[Run], answers: Sequence[Answers], table: Table, folder: Path) -> str:
    """The page as one string; links in it lead from `folder` to the runs' own pages."""
    shown = view_of(runs, answers, table, folder)
    values = {entry.name: getattr(shown, entry.name) for entry in fields(shown)}
    sections = [section for section in SECTIONS if values[section.key]]
    return files.rendered("compare.html.j2", {**values, "sections": sections})


def view_of(runs: Sequence[Run], answers: Sequence[Answers], table: Table, folder: Path) -> View:
    """All that the page shows."""
    plotted = tuple(_scatter(each) for each in scatters(runs))
    return View(
        title=f"{len(runs)} run{'' if len(runs) == 1 else 's'} compared",
        clips=_clips(runs),
        summaries=summaries(runs, answers, [link(run, folder) for run in runs]),
        notes=table.notes,
        places={str(run.folder): place for place, run in enumerate(runs)},
        elsewhere=frozenset(str(run.folder) for run in runs if not same_clips(runs[0], run)),
        names={str(run.folder): run.name for run in runs},
        scatter=bool(plotted),
        scatters=plotted,
        table=table.rows,
        classes=classes(runs, answers),
        curves=groups(runs),
        recipes=recipes(runs),
        origins=tuple(_origin(run) for run in runs),
    )


def link(run: Run, folder: Path) -> str:
    """The way from a folder to the run's own page; empty where there is none."""
    if run.page is None:
        return ""
    return quote(Path(os.path.relpath(run.page, folder)).as_posix())


def _clips(runs: Sequence[Run]) -> str:
    data = {(run.report.data.name, run.report.data.val_clips) for run in runs if run.report.data}
    if len(data) != 1:
        return "validation clips"
    ((name, clips),) = data
    return f"{clips} validation clips of {name}" if clips and name else "validation clips"


def _scatter(scatter: Scatter) -> ScatterView:
    kinds = dict.fromkeys(point.kind for point in scatter.points)
    words = {"teacher": "a teacher", "folder": "what a run ships"}
    words |= {str(number): name for number, name in enumerate(scatter.runtimes)}
    shapes = tuple((drawn.legend(kind), words[kind]) for kind in kinds)
    return ScatterView(
        scatter.key, scatter.title, drawn.draw(scatter), shapes, bool(scatter.arrows)
    )


def _origin(run: Run) -> Origin:
    provenance = run.report.provenance
    versions = provenance.versions if provenance is not None else {}
    return Origin(
        name=run.name,
        recipe=run.report.recipe,
        started=started(run),
        seconds=provenance.wall_seconds if provenance is not None else None,
        commit=provenance.commit if provenance is not None else "",
        seed=provenance.seed if provenance is not None else None,
        paddle=next((versions[key] for key in versions if key.startswith("paddlepaddle")), ""),
        cpu=cpu(run),
    )
