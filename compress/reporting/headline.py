"""The figures that head the page: before -> after, or the student alone where nothing was compared."""

from __future__ import annotations

from compress.reporting.before_after import Change, changes
from compress.reporting.outcome import Tiles
from compress.reporting.record import Report
from compress.reporting.wording import (
    UNKNOWN,
    against_teacher,
    decimals,
    duration,
    number,
    short_count,
    size,
)

# In the first row: accuracy, bytes, milliseconds. Parameters and MACs are means, and come second.
LARGE_FIGURES = 3
VERDICT_ICONS = {"passed": "✓", "warned": "!", "failed": "✗", "stopped": "…"}


def headline(report: Report, tiles: Tiles) -> tuple[tuple[Change, ...], ...]:
    """The rows of figures; a figure that was not recorded is left out."""
    figures = changes(report) or _student_alone(tiles)
    large = tuple(figure for figure in figures[:LARGE_FIGURES] if figure.after != UNKNOWN)
    small = tuple(figure for figure in figures[LARGE_FIGURES:] if figure.after != UNKNOWN)
    return tuple(row for row in (large, small) if row)


def subtitle(report: Report) -> str:
    """What became what, on which data, in how long."""
    sentences = []
    teacher = report.network("teacher")
    student = report.network("student")
    if teacher is not None and student is not None:
        sentences.append(f"Teacher {teacher.name} → student {student.name}.")
    if report.data is not None and report.data.name:
        count = len(report.data.classes)
        classes = f", {count} class{'' if count == 1 else 'es'}" if count else ""
        sentences.append(f"Data: {report.data.name}{classes}.")
    provenance = report.provenance
    if provenance is not None and number(provenance.wall_seconds) is not None:
        sentences.append(f"It took {duration(provenance.wall_seconds)}.")
    return " ".join(sentences)


def _student_alone(tiles: Tiles) -> tuple[Change, ...]:
    """For a report without a measured teacher: what is known of it is in its network's row."""
    student = tiles.student
    teacher = tiles.teacher
    total = tiles.budget.total_bytes if tiles.budget is not None else None
    median = tiles.fastest.p50_ms if tiles.fastest is not None else None
    runtime = f", {tiles.fastest.name}" if tiles.fastest is not None else ""
    return (
        Change(
            "Top-1",
            _known(decimals(teacher.top1, 2, " %")),
            decimals(student.top1, 2, " %"),
            "" if tiles.drop is None else against_teacher(tiles.drop),
            _state(tiles.drop),
        ),
        Change("Size", "", size(total), _against_baseline(tiles), _state(_gain(tiles.smaller))),
        Change(
            f"Latency{runtime}",
            "",
            decimals(median, 2, " ms"),
            tiles.speed,
            _state(_gain(tiles.faster)),
        ),
        Change(
            "Parameters",
            _known(short_count(teacher.params)),
            short_count(student.params),
            "",
            "",
        ),
        Change(
            "MACs a clip",
            _known(short_count(teacher.macs)),
            short_count(student.macs),
            "",
            "",
        ),
    )


def _known(text: str) -> str:
    return "" if text == UNKNOWN else text


def _gain(factor: float | None) -> float | None:
    return None if factor is None else factor - 1


def _against_baseline(tiles: Tiles) -> str:
    if not tiles.smaller:
        return ""
    if tiles.smaller >= 1:
        return f"{tiles.smaller:.1f} times smaller than the baseline export"
    return f"{1 / tiles.smaller:.1f} times larger than the baseline export"


def _state(gain: float | None) -> str:
    if gain is None:
        return ""
    if round(gain, 2) == 0:
        return "same"
    return "better" if gain > 0 else "worse"
