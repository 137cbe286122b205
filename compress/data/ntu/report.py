"""What was read, repaired and skipped while recordings of NTU RGB+D were prepared: as data, and as
a table."""

from __future__ import annotations

from collections import Counter

import numpy as np
from rich.columns import Columns
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from compress.data.ntu import names as ntu_names
from compress.data.ntu.names import NTU_120

SHOWN = 5  # examples of a kind on screen; the report has all


def report(
    preparation: str,
    found: int,
    names: np.ndarray,
    frames: int,
    skipped: list[list[str]],
    repaired: list[list[str]],
    missing: int,
) -> dict:
    """The report as JSON.

    Args:
        names: of the prepared clips, (n,) bytes.
        frames: of all of them.
        skipped: [file, reason, details] each; repaired: [file, what] each.
        missing: entries of the list of missing skeletons.
    """
    numbers = ntu_names.numbers(names)
    labels = Counter((numbers[:, 4] - 1).tolist())
    edition = ntu_names.edition(numbers) if len(names) else 60
    return {
        "preparation": preparation,
        "edition": edition,
        "missing_list": missing,
        "clips": {
            "found": found,
            "prepared": len(names),
            "repaired": len(repaired),
            "skipped": len(skipped),
            "frames": frames,
        },
        "skipped_because": dict(sorted(Counter(reason for _, reason, _ in skipped).items())),
        "splits": splits(numbers),
        "published": checked(numbers, missing),
        "classes": {NTU_120[label]: labels.get(label, 0) for label in range(edition)},
        "skipped": sorted(skipped),
        "repaired": sorted(repaired),
    }


def splits(numbers: np.ndarray) -> dict[str, dict]:
    """{benchmark: {train, test, published_train, published_test}}."""
    if not len(numbers):
        return {}
    published = ntu_names.PUBLISHED[ntu_names.edition(numbers)][1]
    return {
        benchmark: {
            "train": train,
            "test": test,
            "published_train": published[benchmark][0],
            "published_test": published[benchmark][1],
        }
        for benchmark, (train, test) in ntu_names.split_counts(numbers).items()
    }


def checked(numbers: np.ndarray, missing: int) -> str:
    """How the clips compare with the published counts, in words."""
    if not len(numbers):
        return "no clip was prepared"
    edition = ntu_names.edition(numbers)
    total, published = ntu_names.PUBLISHED[edition]
    if ntu_names.split_counts(numbers) == published:
        return f"all {total} clips of NTU RGB+D {edition}, split as published"
    if len(numbers) < total:
        return (
            f"{len(numbers)} of the {total} clips of NTU RGB+D {edition} are here, so the splits"
            " cannot be checked"
        )
    fix = (
        ""
        if missing
        else "; give --missing the list of missing skeletons, after which they were counted"
    )
    return (
        f"{len(numbers)} clips, where NTU RGB+D {edition} has {total} published ones, and the"
        f" splits differ{fix}"
    )


def note(told: dict) -> str:
    """The report in one line."""
    clips = told["clips"]
    because = ", ".join(f"{count} {reason}" for reason, count in told["skipped_because"].items())
    return (
        f"{clips['prepared']} of {clips['found']} recordings prepared ({told['preparation']}),"
        f" {clips['repaired']} of them repaired, {clips['skipped']}"
        f" skipped{f' ({because})' if because else ''}; {told['published']}"
    )


def show(told: dict, console: Console) -> None:
    """The report as tables."""
    clips = told["clips"]
    table = Table(
        "recordings",
        "clips",
        "which",
        title=f"NTU RGB+D {told['edition']}, prepared as {told['preparation']}",
    )
    table.add_row("found", str(clips["found"]), "")
    table.add_row("prepared", str(clips["prepared"]), f"{clips['frames']} frames")
    table.add_row(
        "  repaired",
        str(clips["repaired"]),
        _some([f"{file}: {what}" for file, what in told["repaired"]]),
    )
    table.add_row("skipped", str(clips["skipped"]), "")
    for reason, count in told["skipped_because"].items():
        table.add_row(
            f"  {reason}",
            str(count),
            _some(
                [f"{file}: {details}" for file, kind, details in told["skipped"] if kind == reason]
            ),
        )
    console.print(table)
    table = Table("split", "train", "test", "published")
    for benchmark, counts in told["splits"].items():
        table.add_row(
            benchmark,
            str(counts["train"]),
            str(counts["test"]),
            f"{counts['published_train']} / {counts['published_test']}",
        )
    console.print(table)
    console.print(
        Columns(
            [f"{escape(name)} {count}" for name, count in told["classes"].items()],
            title="clips of a class",
        )
    )
    console.print(told["published"], markup=False)


def _some(lines: list[str]) -> str:
    return escape(
        "\n".join(
            lines[:SHOWN]
            + [f"and {len(lines) - SHOWN} more, in report.json"] * (len(lines) > SHOWN)
        )
    )
