"""What was read, repaired and skipped while recordings of NTU RGB+D were prepared: as data, and as
a table."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from compress.data.bad_clips import because
from compress.data.ntu import naming
from compress.data.ntu.naming import NTU_120
from teachers.terminal import output
from teachers.terminal.tables import Table

# Examples of a kind on screen; the report has all.
SHOWN = 5


def report(
    preparation: str,
    recorded: int,
    names: np.ndarray,
    frames: int,
    skipped: list[list[str]],
    repaired: list[list[str]],
    missing: int,
) -> dict[str, Any]:
    """The report as JSON.

    Args:
        recorded: how many recordings the folder has.
        names: of the prepared clips, (n,) bytes.
        frames: of all of them.
        skipped: [file, reason, details] each; repaired: [file, what] each.
        missing: entries of the list of missing skeletons.
    """
    numbers = naming.numbers(names)
    labels = Counter((numbers[:, 4] - 1).tolist())
    # Without a clip there is nothing to tell by; the report is about to say that none was prepared.
    edition = naming.edition(numbers) if len(names) else 60
    return {
        "preparation": preparation,
        "edition": edition,
        "missing_list": missing,
        "clips": {
            "found": recorded,
            "prepared": len(names),
            "repaired": len(repaired),
            "skipped": len(skipped),
            "frames": frames,
        },
        "skipped_because": dict(sorted(Counter(reason for _, reason, _ in skipped).items())),
        "splits": splits(numbers),
        "published": checked(numbers, missing),
        "classes": {NTU_120[label]: labels.get(label, 0) for label in range(edition)},
        # Sorted: the same report however many processes there were.
        "skipped": sorted(skipped),
        "repaired": sorted(repaired),
    }


def splits(numbers: np.ndarray) -> dict[str, dict[str, int]]:
    """{benchmark: {train, test, published_train, published_test}}."""
    if not len(numbers):
        return {}
    published = naming.PUBLISHED[naming.edition(numbers)][1]
    return {
        benchmark: {
            "train": train,
            "test": test,
            "published_train": published[benchmark][0],
            "published_test": published[benchmark][1],
        }
        for benchmark, (train, test) in naming.split_counts(numbers).items()
    }


def checked(numbers: np.ndarray, missing: int) -> str:
    """How the clips compare with the published counts, in words."""
    if not len(numbers):
        return "no clip was prepared"
    edition = naming.edition(numbers)
    total, published = naming.PUBLISHED[edition]
    # All splits at once: a clip too many or too few moves at least one of the four counts.
    if naming.split_counts(numbers) == published:
        return f"all {total} clips of NTU RGB+D {edition}, split as published"
    if len(numbers) < total:
        return (
            f"{len(numbers)} of the {total} clips of NTU RGB+D {edition} are here, so the splits"
            " cannot be checked"
        )
    # The published counts are of what remains after the list of missing skeletons; without it a
    # complete set has more clips than they say.
    fix = ""
    if not missing:
        fix = "; give --missing the list of missing skeletons, after which they were counted"
    return (
        f"{len(numbers)} clips, where NTU RGB+D {edition} has {total} published ones, and the"
        f" splits differ{fix}"
    )


def note(counts: dict[str, Any]) -> str:
    """The report in one line."""
    clips = counts["clips"]
    return (
        f"{clips['prepared']} of {clips['found']} recordings prepared ({counts['preparation']}),"
        f" {clips['repaired']} of them repaired, {clips['skipped']} skipped"
        f"{because(counts['skipped_because'])};"
        f" {counts['published']}"
    )


def show(counts: dict[str, Any]) -> None:
    """The report as tables."""
    output.show(_recordings_table(counts))
    splits_rows = []
    for benchmark, split in counts["splits"].items():
        published = f"{split['published_train']} / {split['published_test']}"
        splits_rows.append((benchmark, str(split["train"]), str(split["test"]), published))
    output.show(Table(("split", "train", "test", "published"), splits_rows))
    classes = [(name, str(count)) for name, count in counts["classes"].items()]
    output.show(Table(("class", "clips"), classes))
    output.show(counts["published"])


def _recordings_table(counts: dict[str, Any]) -> Table:
    clips = counts["clips"]
    title = f"NTU RGB+D {counts['edition']}, prepared as {counts['preparation']}"
    repairs = [f"{file}: {what}" for file, what in counts["repaired"]]
    rows = [
        ("found", "", str(clips["found"])),
        ("prepared", f"{clips['frames']} frames", str(clips["prepared"])),
        ("  repaired", _some(repairs), str(clips["repaired"])),
        ("skipped", "", str(clips["skipped"])),
    ]
    for reason, count in counts["skipped_because"].items():
        files = [
            f"{file}: {details}" for file, kind, details in counts["skipped"] if kind == reason
        ]
        rows.append((f"  {reason}", _some(files), str(count)))
    return Table(("recordings", "which", "clips"), rows, title, names=2)


def _some(lines: list[str]) -> str:
    shown = lines[:SHOWN]
    if len(lines) > SHOWN:
        shown.append(f"and {len(lines) - SHOWN} more, in report.json")
    return "\n".join(shown)
