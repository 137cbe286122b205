"""Where the bytes of the deployed folder are, for the page, beside the baseline export's."""

from __future__ import annotations

from dataclasses import dataclass

from compress.reporting.charts import BarAxis, bar_axis
from compress.reporting.record import BaselineExport, BudgetRecord, FileRow, PartRow, Report

# Of a file; a network has some hundred tensors, most of them a few bytes of batch norm.
SHOWN_PARTS = 12
# In the order of the bars; the style sheet has a colour for each.
KINDS = ("weights", "graph", "metadata", "other")
MODEL_FILES = (".onnx", ".pdmodel", ".pdiparams", "model.json")
# A limit further out than this many times the longest bar would squeeze the bars to nothing.
LIMIT_SHOWN = 4


@dataclass(frozen=True)
class FolderSize:
    """The values of the section.

    Attributes:
        kinds: (kind, bytes) of all files together, in the order of KINDS.
        scale: bytes that a full bar stands for.
        axis: of the bars, in KB or MB.
        longest: bytes of the largest part, the full bar within a file.
    """

    total: int
    limit: int
    within: bool
    advice: tuple[str, ...]
    files: tuple[FileRow, ...]
    kinds: tuple[tuple[str, int], ...]
    baseline: BaselineExport | None
    scale: int
    axis: BarAxis
    longest: int


def folder_size(report: Report) -> FolderSize | None:
    """The section's values; None for a folder that was not weighed."""
    budget = report.budget
    if budget is None:
        return None
    baseline = baseline_of_deployed(report)
    # At least 1: bars are shares of it, and an empty folder has no bytes to be a share of.
    scale = max(budget.total_bytes, baseline.bytes if baseline is not None else 0, 1)
    if budget.limit_bytes < LIMIT_SHOWN * scale:
        scale = max(scale, budget.limit_bytes)
    files = tuple(_shortened(file) for file in budget.files)
    return FolderSize(
        total=budget.total_bytes,
        limit=budget.limit_bytes,
        within=budget.within,
        advice=tuple(line for line in budget.advice.splitlines() if line),
        files=files,
        kinds=_kinds(budget),
        baseline=baseline,
        scale=scale,
        axis=_axis(scale),
        longest=max((part.bytes for file in files for part in file.parts), default=1),
    )


def baseline_of_deployed(report: Report) -> BaselineExport | None:
    """The baseline export in the formats that are deployed: like compared with like."""
    baseline = report.baseline_export
    if baseline is None or report.budget is None:
        return baseline
    # Model files alone: deployed.json and its like are of no format to compare.
    deployed = {
        _is_onnx(file.file) for file in report.budget.files if file.file.endswith(MODEL_FILES)
    }
    files = tuple(file for file in baseline.files if _is_onnx(file.file) in deployed)
    # Without a common format the whole export is the only comparison there is.
    if not files:
        return baseline
    return BaselineExport(sum(file.bytes for file in files), files)


def _is_onnx(file: str) -> bool:
    # Paddle's two files are one format, so there are only these two kinds to tell apart.
    return file.endswith(".onnx")


def _axis(scale: int) -> BarAxis:
    # Below it labels would be 0.1, 0.2, ...
    if scale < 1e6:
        return bar_axis("size, KB", 0, scale, 1e3)
    return bar_axis("size, MB", 0, scale, 1e6)


def _kinds(budget: BudgetRecord) -> tuple[tuple[str, int], ...]:
    # A kind that is none of KINDS has no colour: it is summed without an error, and not drawn.
    sums = dict.fromkeys(KINDS, 0)
    for file in budget.files:
        for part in file.parts:
            sums[part.kind] = sums.setdefault(part.kind, 0) + part.bytes
    return tuple((kind, sums[kind]) for kind in KINDS if sums[kind])


def _shortened(file: FileRow) -> FileRow:
    """The file with its largest parts; the many small ones are one."""
    parts = tuple(sorted(file.parts, key=lambda part: -part.bytes))
    # One row is kept for the rest, so that the rows still add up to the file.
    if len(parts) > SHOWN_PARTS:
        rest = parts[SHOWN_PARTS - 1 :]
        summed = PartRow(f"{len(rest)} smaller parts", "other", sum(part.bytes for part in rest))
        parts = (*parts[: SHOWN_PARTS - 1], summed)
    return FileRow(file.file, file.bytes, parts)
