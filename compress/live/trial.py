"""A deployed folder tried on long recordings: `featherbone stream-eval`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from compress.live import judging
from compress.live.judging import Alarms, Answers
from compress.live.recordings import Recording
from export import deployed
from export.deployed import Live
from export.serve import Recogniser

SENSITIVITIES = (0.7, 0.8, 0.9, 0.95)
STRIDES = (1, 4, 16)
# Windows of the folders in turn at each stride, of which the least is kept; frames of whole calls of a
# continual network, which takes 2, 4 or 8 at once.
COSTED_WINDOWS = 8
ROUNDS = 3


@dataclass(frozen=True)
class Choice:
    """The rule that training-side recordings choose for a sensitivity, and how it did."""

    wanted: float
    live: Live
    training: Alarms
    judged: Alarms


@dataclass(frozen=True)
class Outcome:
    """A folder's figures.

    Attributes:
        early: share right after so many percent of an action, by `judging.early`.
        cost_ms: milliseconds of processor time a frame, by stride.
    """

    folder: str
    size_bytes: int
    runtime: str
    early: dict[str, float]
    choices: tuple[Choice, ...]
    cost_ms: dict[str, float]


def outcome(
    folder: Path,
    live: Live,
    training: Sequence[Recording],
    judged: Sequence[Recording],
    advance: Callable[[int], None] = lambda windows: None,
) -> Outcome:
    """What a folder is worth: rules are chosen on `training` alone. `cost_ms` is still empty."""
    recogniser = Recogniser(folder, live)
    classes = recogniser.description.classes
    learnt = [answers(recogniser, each, advance) for each in training]
    asked = [answers(recogniser, each, advance) for each in judged]
    tried = [
        (rule, judging.alarms(training, learnt, rule, classes))
        for rule in judging.rules(recogniser.live)
    ]
    choices = []
    for wanted in SENSITIVITIES:
        rule = judging.chosen(tried, wanted)
        choices.append(
            Choice(
                wanted,
                rule,
                next(each for tried_rule, each in tried if tried_rule is rule),
                judging.alarms(judged, asked, rule, classes),
            )
        )
    names = [name for group in recogniser.description.files.values() for name in group]
    size = sum((folder / name).stat().st_size for name in names if (folder / name).is_file())
    return Outcome(
        str(folder), size, recogniser.runtime, judging.early(judged, asked), tuple(choices), {}
    )


def answers(
    recogniser: Recogniser, recording: Recording, advance: Callable[[int], None]
) -> Answers:
    """(seconds, scores) of the windows of a recording, which is one track."""
    found: list[tuple[float, np.ndarray]] = []
    for frame, pose in enumerate(recording.poses):
        recogniser.push(0, pose, recording.time(frame))
        found += [(answer.time, answer.scores) for answer in recogniser.answers]
        advance(1)
    recogniser.leave(0)
    return found


def costs(folders: Sequence[Path], live: Live, recording: Recording) -> list[dict[str, float]]:
    """{stride: milliseconds of processor time a frame} of each folder, all in turn, the least of
    some rounds."""
    best: list[dict[str, float]] = [{} for _ in folders]
    for stride in STRIDES:
        recognisers = [Recogniser(folder, replace(live, stride=stride)) for folder in folders]
        for recogniser in recognisers:
            _warm(recogniser, recording)
        for round_ in range(ROUNDS):
            for number, recogniser in enumerate(recognisers):
                spent = _spent(recogniser, recording, stride, round_)
                least = best[number].get(str(stride), np.inf)
                best[number][str(stride)] = min(least, spent)
    return best


def _warm(recogniser: Recogniser, recording: Recording) -> None:
    """A full window, so that what is measured is of full ones."""
    for frame in range(recogniser.live.window):
        pose = recording.poses[frame % len(recording.poses)]
        recogniser.push(0, pose, frame / recording.rate)


def _spent(recogniser: Recogniser, recording: Recording, stride: int, round_: int) -> float:
    frames = COSTED_WINDOWS * stride
    first = recogniser.live.window + round_ * frames
    started = time.process_time()
    for frame in range(first, first + frames):
        pose = recording.poses[frame % len(recording.poses)]
        recogniser.push(0, pose, frame / recording.rate)
    return 1000 * (time.process_time() - started) / frames


def write_defaults(folder: Path, live: Live) -> None:
    """The settings into the folder's `deployed.json`, which is sealed anew."""
    deployed.write(folder, replace(deployed.read(folder), live=live))
