"""A confusion matrix as a picture.

Drawn by Pillow, not by Matplotlib, which takes 0.6 s of CPU for 12 classes and 1.6 s for 60: more
than the 2 % of an epoch that curves may cost. This takes 15 ms.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

PICTURE_SIDE = 800  # pixels of the cells together, at most
LARGEST_CELL = 40
SMALLEST_CELL = 4
# A count in a smaller cell would touch its neighbour.
LEGIBLE_CELL = 24
NAME_LETTERS = 30
MARGIN = 10
# Of a share of 0 and of 100 %.
PAPER = (255, 255, 255)
FULL = (8, 48, 107)
INK = (0, 0, 0)


def draw_confusion(matrix: np.ndarray, class_names: list[str]) -> np.ndarray:
    """The picture (H, W, 3) uint8 of a confusion matrix (K, K), rows true and columns predicted:
    colour is the share of the true class."""
    count = len(class_names)
    if matrix.shape != (count, count):
        raise ValueError(
            f"a confusion matrix of {count} classes is ({count}, {count}), not {matrix.shape}"
        )
    cell = min(max(PICTURE_SIDE // count, SMALLEST_CELL), LARGEST_CELL)
    # A class without clips has a row of zeros, not of 0 / 0.
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    names = _names(tuple(class_names), cell)
    title = "rows: true class, columns: predicted; colour: share of the true class"
    left = names.width + 2 * MARGIN
    top = 3 * MARGIN
    side = count * cell
    width = max(left + side, int(_font(12).getlength(title)) + MARGIN) + MARGIN
    size = (width, top + side + names.width + 2 * MARGIN)
    picture = Image.new("RGB", size, PAPER)
    picture.paste(_cells(matrix, share, cell), (left, top))
    picture.paste(names, (MARGIN, top))
    # Turned, so that a column's name ends at its column.
    picture.paste(names.rotate(90, expand=True), (left, top + side + MARGIN))
    pen = ImageDraw.Draw(picture)
    pen.rectangle((left - 1, top - 1, left + side, top + side), outline=INK)
    pen.text((MARGIN, MARGIN // 2), title, fill=INK, font=_font(12))
    return np.asarray(picture)


def _cells(matrix: np.ndarray, share: np.ndarray, cell: int) -> Image.Image:
    empty = np.array(PAPER)
    colours = empty + share[..., None] * (np.array(FULL) - empty)
    pixels = colours.round().astype(np.uint8).repeat(cell, axis=0).repeat(cell, axis=1)
    cells = Image.fromarray(pixels)
    if cell >= LEGIBLE_CELL:
        pen = ImageDraw.Draw(cells)
        for row, column in zip(*np.nonzero(matrix), strict=True):
            place = (column * cell + cell // 2, row * cell + cell // 2)
            # The darker half of the colours swallows black.
            ink = PAPER if share[row, column] > 0.5 else INK
            count = f"{matrix[row, column]:g}"
            pen.text(place, count, fill=ink, font=_font(11), anchor="mm")
    return cells


@lru_cache(maxsize=4)
def _names(class_names: tuple[str, ...], cell: int) -> Image.Image:
    """The names one below the other, each at its row's end; the same in every epoch."""
    font = _font(min(12, max(cell, 6)))
    short = [name[:NAME_LETTERS] for name in class_names]
    width = int(max(font.getlength(name) for name in short)) + 1
    names = Image.new("RGB", (width, cell * len(short)), PAPER)
    pen = ImageDraw.Draw(names)
    for row, name in enumerate(short):
        pen.text((width, row * cell + cell // 2), name, fill=INK, font=font, anchor="rm")
    return names


@lru_cache(maxsize=4)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
