"""What answers on long recordings are worth, and which alarm rule is best: pure functions of scores."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import product

import numpy as np

from compress.evaluation.streams.record import Alarms
from compress.evaluation.streams.recordings import Recording
from export.deployed import Live
from export.serve.rule import Event, Rule

# Parts of an action after which it is asked what the network says.
PARTS = (0.25, 0.5, 0.75, 1.0)
# Seconds after an action in which an alarm still is of it: the window is full of it.
GRACE = 1.0
THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98)
VOTES = ((1, 1), (2, 3), (3, 4), (4, 5), (5, 7))
RELEASE = 0.6
SECONDS_AN_HOUR = 3600

# (seconds, scores (K,)) of the windows of a recording, in order.
Answers = Sequence[tuple[float, np.ndarray]]


def early(recordings: Sequence[Recording], answers: Sequence[Answers]) -> dict[str, float]:
    """{"25": share} of actions of which the newest window is right after so many percent; where
    there was no window since the start it is not."""
    right = dict.fromkeys(PARTS, 0)
    count = 0
    for recording, windows in zip(recordings, answers, strict=True):
        times = np.array([time for time, _ in windows])
        for action in recording.actions:
            count += 1
            for part in PARTS:
                # Half a frame more: the window of the very last frame is one of the action's.
                until = action.start + part * (action.end - action.start) + 0.5 / recording.rate
                place = int(np.searchsorted(times, until, side="right")) - 1
                if place >= 0 and times[place] >= action.start:
                    right[part] += int(windows[place][1].argmax()) == action.label
    return {f"{100 * part:.0f}": right[part] / max(count, 1) for part in PARTS}


def first_right(
    recordings: Sequence[Recording], answers: Sequence[Answers]
) -> tuple[float | None, float | None]:
    """Seconds from the start of an action to the first window until its end that names it, median and
    95th percentile of the actions that have one; None without any."""
    waits = []
    for recording, windows in zip(recordings, answers, strict=True):
        for action in recording.actions:
            right = (
                time - action.start
                for time, scores in windows
                # Half a frame more, as in `early`.
                if action.start <= time <= action.end + 0.5 / recording.rate
                and scores.argmax() == action.label
            )
            waits += [wait for wait in [next(right, None)] if wait is not None]
    return _percentile(waits, 50), _percentile(waits, 95)


def _percentile(values: Sequence[float], percent: float) -> float | None:
    return float(np.percentile(values, percent)) if values else None


def alarms(
    recordings: Sequence[Recording],
    answers: Sequence[Answers],
    live: Live,
    classes: Sequence[str],
) -> Alarms:
    """How the rule of `live` does with these answers."""
    waits: list[float] = []
    false = 0
    for recording, windows in zip(recordings, answers, strict=True):
        rule = Rule(live, classes)
        events = [event for time, scores in windows if (event := rule.step(0, time, scores))]
        found, wrong = _matched(recording, events)
        waits += found
        false += wrong
    count = sum(len(recording.actions) for recording in recordings)
    hours = sum(recording.seconds for recording in recordings) / SECONDS_AN_HOUR
    return Alarms(
        count,
        hours,
        len(waits) / max(count, 1),
        false,
        false / max(hours, 1e-9),
        _percentile(waits, 50),
        _percentile(waits, 95),
    )


def _matched(recording: Recording, events: Iterable[Event]) -> tuple[list[float], int]:
    """(seconds to the first right alarm of each action that had one, false alarms)."""
    first: dict[int, float] = {}
    false = 0
    for event in (event for event in events if event.kind == "start"):
        right = [
            place
            for place, action in enumerate(recording.actions)
            if action.start <= event.time <= action.end + GRACE and action.label == event.number
        ]
        if not right:
            false += 1
        for place in right[:1]:
            first.setdefault(place, event.time - recording.actions[place].start)
    return list(first.values()), false


def rules(live: Live) -> list[Live]:
    """The rules that are tried, all else as in `live`."""
    return [
        replace(live, threshold=threshold, release=RELEASE * threshold, votes=votes, of=of)
        for threshold, (votes, of) in product(THRESHOLDS, VOTES)
    ]


def chosen(tried: Sequence[tuple[Live, Alarms]], sensitivity: float) -> Live:
    """Of the rules that are at least so sensitive the one with the fewest false alarms; where none
    is, the most sensitive one. Of equals the quickest."""

    def wait(alarms: Alarms) -> float:
        return np.inf if alarms.p50_s is None else alarms.p50_s

    enough = [each for each in tried if each[1].sensitivity >= sensitivity]
    if enough:
        return min(enough, key=lambda each: (each[1].false_an_hour, wait(each[1])))[0]
    return max(tried, key=lambda each: (each[1].sensitivity, -each[1].false_an_hour))[0]
