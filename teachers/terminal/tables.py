"""The one style of tables: names to the left, numbers to the right, never wider than the terminal.

What does not fit is not cut: headings fold first, then names, and where numbers alone are too wide,
every row becomes a paragraph of "heading value" pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table as Grid
from rich.text import Text

GAP = 2
# Narrower than that a name or a path is a column of syllables.
LEAST_NAME = 16


@dataclass(frozen=True)
class Table:
    """Rows of text cells.

    Attributes:
        names: how many columns, from the left, hold words that may fold; the others are numbers.
        bold: places of rows that stand out.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str | Text]]
    title: str = ""
    names: int = 1
    bold: frozenset[int] = frozenset()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        # A heading over nothing would read as if something had gone wrong.
        if not self.rows:
            return
        width = options.max_width
        if self.title:
            yield Text(self.title, "bold")
        if self._least_width(self.columns) <= width:
            yield self._grid(self.columns, width)
        elif self._least_width(self._folded()) <= width:
            yield self._grid(self._folded(), width)
        else:
            for place, row in enumerate(self.rows):
                yield self._paragraph(place, row, width)

    def _folded(self) -> list[str]:
        return [column.replace(" ", "\n") for column in self.columns]

    def _widths(self, columns: Sequence[str]) -> list[int]:
        """What each column needs to show all cells in one line."""
        widths = []
        for place, column in enumerate(columns):
            cells = [column, *(str(row[place]) for row in self.rows)]
            widths.append(max(cell_len(line) for cell in cells for line in cell.split("\n")))
        return widths

    def _least_width(self, columns: Sequence[str]) -> int:
        """Below this a number or a heading would be cut."""
        widths = self._widths(columns)
        names = [min(width, LEAST_NAME) for width in widths[: self.names]]
        return sum(names) + sum(widths[self.names :]) + GAP * (len(columns) - 1)

    def _grid(self, columns: Sequence[str], width: int) -> Grid:
        widths = self._widths(columns)
        # The widest name gives way first, so that short ones stay whole.
        while sum(widths) + GAP * (len(widths) - 1) > width:
            widest = max(range(self.names), key=lambda place: widths[place])
            widths[widest] -= 1
        grid = Grid(box=None, pad_edge=False, padding=(0, GAP // 2), header_style="dim")
        for place, column in enumerate(columns):
            is_name = place < self.names
            grid.add_column(
                Text(column),
                justify="left" if is_name else "right",
                width=widths[place],
                no_wrap=not is_name,
                overflow="fold",
            )
        for place, row in enumerate(self.rows):
            # Text: rich would read "[red]" in a plain string as markup.
            cells = [cell if isinstance(cell, Text) else Text(cell) for cell in row]
            grid.add_row(*cells, style="bold" if place in self.bold else None)
        return grid

    def _paragraph(self, place: int, row: Sequence[str | Text], width: int) -> Text:
        """A row where its numbers are too wide for a line: its names, and its numbers below."""
        names = "  ".join(str(cell) for cell in row[: self.names] if str(cell))
        lines = [names]
        line = ""
        for column, cell in zip(self.columns[self.names :], row[self.names :], strict=True):
            if not str(cell):
                continue
            pair = f"  {column} {cell}".rstrip()
            if line and cell_len(line) + cell_len(pair) > width:
                lines.append(line)
                line = ""
            line += pair
        lines.append(line)
        style = "bold" if place in self.bold else ""
        return Text("\n".join(filter(None, lines)), style)
