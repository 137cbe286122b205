"""Deployed networks tried on long recordings: `featherbone stream-eval`, and `streams:` of a recipe."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from compress.data.dataset import Dataset
from compress.evaluation.stream_settings import SENSITIVITIES, Config
from compress.evaluation.streams import judging
from compress.evaluation.streams.judging import Answers
from compress.evaluation.streams.record import Choice, Followed, Streams
from compress.evaluation.streams.recordings import Recording, joined
from compress.process import console
from export import deployed
from export.deployed.live import Live, for_poses
from export.preprocess import windows
from export.serve import Recogniser

CLIPS_A_RECORDING = 25
STRIDES = (1, 4, 16)
# Windows of the targets in turn at each stride, of which the least is kept; frames of whole calls of a
# continual network, which takes 2, 4 or 8 at once.
COSTED_WINDOWS = 8
ROUNDS = 3


def run(targets: Mapping[str, Path], config: Config, dataset: Dataset, seed: int) -> Streams:
    """Everything on the same recordings; rules are chosen on those of training clips.

    Args:
        targets: by name, deployed folders or model files in one, which say by what they are served.
    Raises:
        CheckpointError, ExportMismatch, DataError: one cannot follow live poses.
    """
    training, judged = (
        joined(split, config.rate, config.clips, CLIPS_A_RECORDING, seed)
        for split in (dataset.train, dataset.val)
    )
    frames = sum(len(each.poses) for each in (*training, *judged))
    lives = {name: live_of(target, config, dataset) for name, target in targets.items()}
    found = []
    for name, target in targets.items():
        with console.bar(f"following {name}", frames, "frames") as advance:
            found.append(followed(name, target, lives[name], training, judged, advance))
    pairs = [(target, lives[name]) for name, target in targets.items()]
    prices = costs(pairs, judged[0])
    return Streams(
        dataset.name,
        config.rate,
        config.stride,
        config.sensitivity,
        (_actions(training), _actions(judged)),
        (_hours(training), _hours(judged)),
        tuple(replace(each, cost_ms=price) for each, price in zip(found, prices, strict=True)),
    )


def live_of(target: Path, config: Config, dataset: Dataset) -> Live:
    """How a target is followed before a rule is chosen."""
    trained = windows.trained(deployed.read(folder_of(target)).preprocessing)
    if config.window or trained is None:
        lengths = [np.shape(clip)[1] for clip in dataset.train.clips[:]]
        window = config.window or max(2, int(np.median(lengths)))
    else:
        window = trained[1]
    fewest = trained[0] if trained else max(1, window // 2)
    # Recordings are at the data's own rate: nothing is interpolated.
    live = Live(
        window=window, stride=config.stride, min_frames=min(fewest, window), rate=config.rate
    )
    return for_poses(live, config.rate)


def folder_of(target: Path) -> Path:
    """The deployed folder of a target."""
    return target if target.is_dir() else target.parent


def followed(
    name: str,
    target: Path,
    live: Live,
    training: Sequence[Recording],
    judged: Sequence[Recording],
    advance: Callable[[int], None] = lambda windows: None,
) -> Followed:
    """What a target is worth: rules are chosen on `training` alone. `cost_ms` is still empty."""
    recogniser = Recogniser(target, live)
    description = recogniser.description
    classes = description.classes
    learnt = [answers(recogniser, each, advance) for each in training]
    asked = [answers(recogniser, each, advance) for each in judged]
    tried = [
        (rule, judging.alarms(training, learnt, rule, classes))
        for rule in judging.rules(recogniser.live)
    ]
    choices = []
    for wanted in SENSITIVITIES:
        rule = judging.chosen(tried, wanted)
        on_training = next(each for tried_rule, each in tried if tried_rule is rule)
        choices.append(
            Choice(wanted, rule, on_training, judging.alarms(judged, asked, rule, classes))
        )
    files = [folder_of(target) / file for file in description.files[recogniser.runtime]]
    return Followed(
        name,
        recogniser.runtime,
        sum(file.stat().st_size for file in files),
        recogniser.live.window,
        recogniser.live.min_frames,
        judging.early(judged, asked),
        *judging.first_right(judged, asked),
        tuple(choices),
        {},
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


def costs(targets: Sequence[tuple[Path, Live]], recording: Recording) -> list[dict[str, float]]:
    """{stride: milliseconds of processor time a frame} of each target, all in turn, the least of
    some rounds."""
    best: list[dict[str, float]] = [{} for _ in targets]
    for stride in STRIDES:
        recognisers = [Recogniser(target, replace(live, stride=stride)) for target, live in targets]
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


def rule_of(found: Followed, sensitivity: float) -> Live:
    """The rule that was found for a sensitivity."""
    return _choice(found, sensitivity).live


def reached(found: Followed, sensitivity: float) -> float:
    """How sensitive that rule is on the recordings that chose it."""
    return _choice(found, sensitivity).training.sensitivity


def _choice(found: Followed, sensitivity: float) -> Choice:
    return next(each for each in found.choices if each.wanted == sensitivity)


def write_defaults(folder: Path, live: Live) -> None:
    """The settings into the folder's `deployed.json`, which is sealed anew."""
    deployed.write(folder, replace(deployed.read(folder), live=live))


def _actions(recordings: Sequence[Recording]) -> int:
    return sum(len(each.actions) for each in recordings)


def _hours(recordings: Sequence[Recording]) -> float:
    return sum(each.seconds for each in recordings) / judging.SECONDS_AN_HOUR
