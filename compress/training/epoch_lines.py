"""The lines of a training on the terminal: a heading, and a row an epoch under it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

GAP = 2


@dataclass(frozen=True)
class Column:
    """A column of the table; `rank` says which ones stay where not all of them fit, 1 first."""

    heading: str
    width: int
    rank: int


class EpochLines:
    """Epochs as rows of a table that is never wider than the terminal.

    Args:
        learner: the role that is judged, "student" or "teacher".
        epochs: how many the training has.
        clips: in the validation split.
    """

    def __init__(self, learner: str, epochs: int, clips: int):
        self.learner = learner
        self.epochs = epochs
        self.clips = clips
        judged = len(f"100.00 ({clips}/{clips})")
        self.columns = (
            Column("epoch", max(5, 2 * len(str(epochs)) + 1), 1),
            Column("loss", 6, 5),
            Column("val loss", 8, 4),
            Column("top-1", 6, 7),
            Column("val top-1", judged, 2),
            Column("top-5", 6, 6),
            Column("clips/s", 7, 8),
            Column("best", 6, 3),
        )

    def heading(self, width: int) -> str:
        """The names of the columns that fit into `width`."""
        return self._line({column.heading: column.heading for column in self.columns}, width)

    def row(self, record: Mapping[str, Any], speed: float, best: float, width: int) -> str:
        """One epoch.

        Args:
            record: of the training's history.
            speed: training clips a second.
            best: the highest validation top-1 so far, in percent.
        """
        train = record["train"]
        val = record["val"]
        top1 = val[f"{self.learner}/top1"]
        cells = {
            "epoch": f"{record['epoch']}/{self.epochs}",
            "loss": f"{train['loss']:.4f}",
            "val loss": f"{val[f'{self.learner}/loss']:.4f}",
            "top-1": f"{train[f'{self.learner}/top1']:.2f}",
            "val top-1": f"{top1:.2f} ({self.right(top1)}/{self.clips})",
            "top-5": f"{val[f'{self.learner}/top5']:.2f}",
            "clips/s": f"{speed:.3g}" if speed < 1000 else f"{speed:.0f}",
            "best": f"{best:.2f}",
        }
        return self._line(cells, width)

    def right(self, top1: float) -> int:
        """How many clips of the validation split a top-1 in percent is."""
        return round(top1 * self.clips / 100)

    def _line(self, cells: Mapping[str, str], width: int) -> str:
        shown = self._fitting(width)
        # Right-justified, and longer than its column where a loss explodes: better than cut.
        return (" " * GAP).join(cells[column.heading].rjust(column.width) for column in shown)

    def _fitting(self, width: int) -> list[Column]:
        kept: set[str] = set()
        left = width + GAP
        for column in sorted(self.columns, key=lambda column: column.rank):
            if column.width + GAP > left:
                break
            left -= column.width + GAP
            kept.add(column.heading)
        return [column for column in self.columns if column.heading in kept]
