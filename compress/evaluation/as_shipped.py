"""Networks exported as a deployed folder ships them, to be weighed and timed: what the teacher would
cost without compression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from paddle import nn

from compress.evaluation.evaluate import EvaluationSet
from compress.evaluation.latency import Turn, together, turn_of
from export import deployed, package, verify
from export.formats.options import USUAL, Options
from export.runtimes import in_process

# A few clips tell a broken export from a whole one: its accuracy is known from the trained network.
COMPARED = 4


@dataclass(frozen=True)
class Source:
    """A network to be exported.

    Attributes:
        about: what it was trained on, for `export.package.build`.
        clips: the split as it sees it.
    """

    network: nn.Layer
    about: dict
    clips: EvaluationSet


@dataclass(frozen=True)
class Shipped:
    """Exported networks: bytes of all their files, and how each format is run."""

    bytes: int
    turns: dict[str, Turn]


def ship(
    sources: Sequence[Source],
    folder: Path,
    formats: tuple[str, ...],
    threads: int,
    options: Options = USUAL,
) -> Shipped:
    """Export into `folder`, several networks into numbered folders within it, all of which run for
    every clip.

    Raises:
        FeatherboneError: see `export.package.build`.
    """
    size_bytes = 0
    turns: dict[str, list[Turn]] = {name: [] for name in formats}
    for number, source in enumerate(sources, start=1):
        place = folder if len(sources) == 1 else folder / str(number)
        sample = next(source.clips.batches(COMPARED))[:COMPARED]
        reference = verify.run(place, in_process(source.network), sample)
        package.build(
            source.network, place, formats, source.about, sample, reference, options=options
        )
        description = deployed.read(place)
        for kind, predict in deployed.predictors(place, description, threads).items():
            turns[kind].append(turn_of(predict, source.clips))
        size_bytes += sum(file.stat().st_size for file in place.iterdir() if file.is_file())
    return Shipped(size_bytes, {kind: together(each) for kind, each in turns.items()})
