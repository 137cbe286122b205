"""Clips as pictures: stick figures in rows, as a strip of frames or an animation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont

from teachers import storage
from teachers.skeleton import Skeleton

PERSONS = ("#1f6fb4", "#d9661f", "#2f8f4e", "#8a4fa3")
INK, PAPER, GRID, GREY = "#222222", "#ffffff", "#d8d8d8", "#888888"
# Drawn so much larger and then reduced: Pillow does not smooth the lines it draws.
SCALE = 2
# Pixels: a panel's side, the space around it, a line of text.
PANEL = 200
# Of an animation, wide enough for what stands above it.
MOVING = 300
MARGIN = 8
LINE = 20
# Of an animation; a clip of NTU RGB+D has up to 300, and a GIF of all of them would be megabytes.
MOST_FRAMES = 120
# GIF counts in hundredths of a second, so Kinect's 30 a second cannot be said exactly.
# 25 frames a second.
FRAME_MS = 40


@dataclass(frozen=True)
class Row:
    """What is drawn in one row: a caption and a clip (C, T, V, M), of which the first two channels
    are seen.

    Attributes:
        down: y grows downwards, as in images; in camera coordinates of metres it grows upwards.
    """

    caption: str
    clip: np.ndarray
    down: bool = False

    def points(self, frame: int) -> list[tuple[int, np.ndarray]]:
        """(person, (V, 2)) of everybody who is there, y downwards."""
        flat = self.clip[:2, frame] * np.array([1, 1 if self.down else -1]).reshape(2, 1, 1)
        return [
            (person, flat[..., person].T)
            for person in range(flat.shape[-1])
            # Zeros are a person who is not there; drawn, they would be a dot at the origin.
            if self.clip[:, frame, :, person].any()
        ]

    def limits(self) -> tuple[np.ndarray, float]:
        """(the middle (2,), the half width) of a square around everybody in every frame."""
        flat = self.clip[:2] * np.array([1, 1 if self.down else -1]).reshape(2, 1, 1, 1)
        seen = flat.transpose(1, 3, 2, 0)[self.clip.any(axis=(0, 2))]  # (frames and persons, V, 2)
        if not len(seen):
            return np.zeros(2), 1.0
        low = seen.min(axis=(0, 1))
        high = seen.max(axis=(0, 1))
        # One square for the whole clip, or a person who walks would seem to stand. Nobody fills it
        # to its edge, and a clip whose joints are all at one place has no size to divide by.
        return (low + high) / 2, max(float((high - low).max()) / 2 * 1.08, 1e-6)


def strip(rows: Sequence[Row], skeleton: Skeleton, title: str, frames: int = 8) -> Image.Image:
    """One picture: the title, and of every row `frames` frames from first to last."""
    sheet, draw = _sheet(len(rows), frames, title)
    for line, row in enumerate(rows):
        # Rounded before the cast, which cuts: a float just below a whole number would lose a frame.
        chosen = np.linspace(0, row.clip.shape[1] - 1, frames).round().astype(int)
        _row(draw, row, line, chosen, skeleton)
    return _reduced(sheet)


def animation(rows: Sequence[Row], skeleton: Skeleton, title: str) -> list[Image.Image]:
    """The frames of an animation, the rows side by side, each from its first frame to its last."""
    count = min(max(row.clip.shape[1] for row in rows), MOST_FRAMES)
    pictures = []
    for step in range(count):
        sheet, draw = _sheet(1, len(rows), title, MOVING)
        # Each by its share of its own length: clips of different lengths begin and end together.
        for column, row in enumerate(rows):
            shown = np.array([step * row.clip.shape[1] // count])
            _row(draw, row, 0, shown, skeleton, MOVING, column)
        pictures.append(_reduced(sheet))
    return pictures


def save(pictures: Image.Image | list[Image.Image], path: Path) -> None:
    """Write a picture, or a list of them as an animated GIF, atomically.

    Raises:
        StorageError: it cannot be written.
    """
    with storage.atomic(path) as temporary:
        if isinstance(pictures, list):
            # GIF has 256 colours a frame; dithering would make the paper flicker.
            coloured = [
                picture.quantize(palette=_palette(), dither=Image.Dither.NONE)
                for picture in pictures
            ]
            coloured[0].save(
                temporary,
                "GIF",
                save_all=True,
                append_images=coloured[1:],
                duration=FRAME_MS,
                # For ever, in GIF's terms; without the entry a viewer plays it once.
                loop=0,
            )
        else:
            pictures.save(temporary, "PNG")


def _sheet(
    rows: int, columns: int, title: str, side: int = PANEL
) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    width = columns * side + 2 * MARGIN
    height = LINE + rows * (side + LINE) + 2 * MARGIN
    sheet = Image.new("RGB", (width * SCALE, height * SCALE), PAPER)
    draw = ImageDraw.Draw(sheet)
    _write(draw, MARGIN, MARGIN, title, width - 2 * MARGIN)
    return sheet, draw


def _row(
    draw: ImageDraw.ImageDraw,
    row: Row,
    line: int,
    frames: np.ndarray,
    skeleton: Skeleton,
    side: int = PANEL,
    first: int = 0,
) -> None:
    top = MARGIN + LINE + line * (side + LINE)
    _write(draw, MARGIN + first * side, top, row.caption, len(frames) * side)
    middle, half = row.limits()
    for column, frame in enumerate(frames, start=first):
        left = MARGIN + column * side
        upper = top + LINE
        draw.rectangle(
            [value * SCALE for value in (left, upper, left + side - 1, upper + side - 1)],
            outline=GRID,
            width=SCALE,
        )
        for person, points in row.points(int(frame)):
            # Four pixels short of the outline: joints are dots of radius 2.
            at = ((points - middle) / half * (side / 2 - 4) + side / 2 + (left, upper)) * SCALE
            _figure(draw, at, skeleton, PERSONS[person % len(PERSONS)])
        _write(draw, left + 4, upper + 2, str(int(frame)), side, GREY)


def _figure(draw: ImageDraw.ImageDraw, points: np.ndarray, skeleton: Skeleton, colour: str) -> None:
    for child, parent in skeleton.bones:
        draw.line(
            [tuple(points[child - 1]), tuple(points[parent - 1])], fill=colour, width=2 * SCALE
        )
    # After the bones, whose ends would cover the dots.
    for x, y in points:
        draw.ellipse([x - 2 * SCALE, y - 2 * SCALE, x + 2 * SCALE, y + 2 * SCALE], fill=INK)


@cache
def _palette() -> Image.Image:
    """Every colour that is drawn with, in eight steps to the paper: one for all frames, so that
    nothing flickers."""
    inks = np.array([ImageColor.getrgb(colour) for colour in (*PERSONS, INK, GRID, GREY)])
    shades = np.linspace(0, 1, 8).reshape(1, 8, 1)
    # Seven inks in eight shades are 56 colours, well within the 256 of a GIF.
    picture = Image.new("P", (1, 1))
    picture.putpalette(
        (inks[:, None] * (1 - shades) + np.array(ImageColor.getrgb(PAPER)) * shades)
        .astype(np.uint8)
        .tobytes()
    )
    return picture


@cache
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    # Pillow's own: a font of the system would make pictures differ from machine to machine.
    return ImageFont.load_default(12 * SCALE)


def _write(
    draw: ImageDraw.ImageDraw, x: int, y: int, text: str, width: int, colour: str = INK
) -> None:
    """A line of text, with dots at its end where it would be wider than `width`."""
    font = _font()
    cut = text
    while cut and draw.textlength(cut + "..." * (cut != text), font) > width * SCALE:
        cut = cut[:-1]
    draw.text((x * SCALE, y * SCALE), cut + "..." * (cut != text), colour, font)


def _reduced(sheet: Image.Image) -> Image.Image:
    # SCALE is whole, so the mean over boxes is exact; a resampling filter would only cost more.
    return sheet.reduce(SCALE)
