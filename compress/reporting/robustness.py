"""Robustness and calibration as tables, for the page and the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup
from rich.text import Text

from compress.evaluation.record import Calibration, Robustness
from compress.reporting import wording
from compress.reporting.charts import Series, line_chart
from teachers.terminal.output import show
from teachers.terminal.tables import Table

Rows = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class RobustnessView:
    """The tables of the page, each with its heads first; empty ones are left out.

    Attributes:
        networks: names of the lines of the chart, in the order of their colours.
    """

    damage: Rows
    calibration: Rows
    unknown: Rows
    networks: tuple[str, ...]
    chart: Markup
    fitted_on: str


def robustness_view(found: Robustness | None) -> RobustnessView | None:
    """What the page shows; None where the recipe did not ask for it."""
    if found is None:
        return None
    lines = [
        Series(
            name,
            tuple(
                (coverage, 100 * risk)
                for coverage, risk in zip(each.coverage, each.risk, strict=True)
            ),
        )
        for name, each in zip(found.networks, found.calibration, strict=True)
    ]
    return RobustnessView(
        damage_table(found),
        calibration_table(found),
        unknown_table(found),
        found.networks,
        line_chart("wrong, %", lines, x_name="% of the clips answered, the surest first"),
        found.fitted_on,
    )


def damage_table(found: Robustness) -> Rows:
    """Top-1 of every network in every row."""
    rows: list[tuple[str, ...]] = [("clips", "draws", *found.networks)]
    for row in found.rows:
        spreads = [wording.spread(each) for each in row.top1]
        rows.append((row.title, str(row.draws), *spreads))
    return tuple(rows)


def calibration_table(found: Robustness) -> Rows:
    """Calibration of every network as it comes, then with its temperature."""
    rows: list[tuple[str, ...]] = [
        ("network", "T", "ECE, %", "loss", "AURC, %", "wrong above 0.9", "wrong of 80 %")
    ]
    for number, name in enumerate(found.networks):
        rows.append((name, *_calibration(found.calibration[number])))
        if found.calibrated:
            rows.append((name, *_calibration(found.calibrated[number])))
    return tuple(rows)


def unknown_table(found: Robustness) -> Rows:
    """How unknown classes are told; () where none were left out."""
    if not found.unknown:
        return ()
    rows: list[tuple[str, ...]] = [
        ("network", "AUROC", "threshold", "known answered, %", "unknown answered, %")
    ]
    for name, each in zip(found.networks, found.unknown, strict=True):
        rows.append(
            (
                name,
                f"{each.auroc:.3f}",
                f"{each.threshold:.3f}",
                wording.decimals(each.known_answered, 1),
                wording.decimals(each.unknown_answered, 1),
            )
        )
    return tuple(rows)


def print_robustness(found: Robustness | None) -> None:
    """The tables on standard output."""
    if found is None:
        return
    _print("Top-1 on damaged clips, mean ± deviation", damage_table(found))
    _print("Calibration", calibration_table(found))
    if found.fitted_on:
        show(Text(f"Temperatures T were fitted on {found.fitted_on}."))
    _print("Classes that were left out", unknown_table(found))


def _print(title: str, rows: Sequence[Sequence[str]]) -> None:
    if rows:
        show(Table(rows[0], rows[1:], title))
        show("")


def _calibration(each: Calibration) -> tuple[str, ...]:
    curve = dict(zip(each.coverage, each.risk, strict=True))
    return (
        f"{each.temperature:.3g}",
        _percent(each.ece),
        wording.decimals(each.loss, 3),
        _percent(each.aurc),
        str(each.sure_and_wrong),
        _percent(curve.get(80)),
    )


def _percent(share: float | None) -> str:
    return wording.UNKNOWN if share is None else wording.decimals(100 * share, 2)
