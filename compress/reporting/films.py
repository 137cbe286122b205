"""Clips on the page: strips of frames, and the two sides of a confusion as films."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from compress.reporting.record import ConfusedPair, ExampleClip, Examples
from compress.reporting.stick_figures import skeletons


@dataclass(frozen=True)
class ExampleView:
    """A clip as a drawing, with its class and the student's answer."""

    name: str
    class_: str
    predicted: str
    right: bool
    svg: Markup


@dataclass(frozen=True)
class PairView:
    """`clips` of the `total` clips of one class were taken for another: one of them, and one of the
    other class that was right."""

    clips: int
    total: int
    sides: tuple[ExampleView, ...]


def clips(examples: Examples) -> tuple[ExampleView, ...]:
    """The clips that stand alone, as strips."""
    return tuple(_drawn(clip, examples, "skeletons") for clip in examples.clips)


def pairs(examples: Examples) -> tuple[PairView, ...]:
    """The confusions, as films."""
    return tuple(_pair(pair, examples) for pair in examples.pairs)


def _pair(pair: ConfusedPair, examples: Examples) -> PairView:
    sides = [pair.mistaken] if pair.other is None else [pair.mistaken, pair.other]
    return PairView(pair.clips, pair.total, tuple(_drawn(clip, examples, "film") for clip in sides))


def _drawn(clip: ExampleClip, examples: Examples, kind: str) -> ExampleView:
    svg = skeletons(clip.name, clip.frames, examples.bones, examples.side, kind)
    return ExampleView(clip.name, clip.class_, clip.predicted, clip.right, svg)
