"""`featherbone predict --follow` and `--serve`: live poses through a deployed folder."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from compress.live import hub, service
from compress.live.lines import LONGEST_LINE, Lines, line_of
from export.deployed.live import USUAL_RATE
from export.serve import Event, Pose, Recogniser
from export.serving import top_classes
from teachers.errors import DataError, RecipeError
from teachers.terminal import ending
from teachers.terminal.output import say, show

STDIN = "-"
# Errors that are told one by one at the end; all of them stand among the events.
MOST_ERRORS = 20
# Without a window: that poses are too rare is said while they come, and not only at their end.
TELLING_GAPS = 10


def add_options(parser: argparse.ArgumentParser) -> None:
    """What `predict` can be told of live poses."""
    group = parser.add_argument_group("live poses (docs/streams.md)")
    group.add_argument(
        "--follow",
        action="store_true",
        help="CLIP is a file of lines of JSON, a frame a line, or - for stdin (default); print events",
    )
    group.add_argument(
        "--serve", metavar="[HOST:]PORT", help="follow poses by HTTP and WebSocket, with a page"
    )
    group.add_argument(
        "--answers", action="store_true", help="with --follow: print every window's answer, too"
    )
    group.add_argument(
        "--fps",
        type=float,
        help=f"of lines without a time, and how rare poses are (default {USUAL_RATE:g})",
    )
    group.add_argument(
        "--from-skeleton", default="", metavar="NAME", help="what the poses are of, if another"
    )


def is_asked(options: argparse.Namespace) -> bool:
    """Whether the command is about live poses."""
    return options.follow or options.serve is not None


def run(options: argparse.Namespace, demo: Iterable[tuple[str, np.ndarray]]) -> int:
    """Follow or serve; returns the exit code.

    Args:
        demo: clips (name, (C, T, V, M)) that the page plays; not read with --follow.
    """
    fps = USUAL_RATE if options.fps is None else options.fps
    if not 0.1 <= fps <= 1000:
        raise RecipeError(f"--fps {fps}: must be 0.1 to 1000 frames a second")
    clock_of = hub.clock_of if options.serve is not None else lambda track: None
    recogniser = Recogniser(
        options.model,
        runtime=options.runtime,
        on_note=_say_note,
        clock_of=clock_of,
        pose_rate=fps,
    )

    def lines() -> Lines:
        return Lines(recogniser.description, fps, options.from_skeleton)

    if options.serve is None:
        return _follow(options, recogniser, lines())
    where = service.address(options.serve)
    if where[0] not in service.LOCAL_NAMES:
        _say_note(f"{where[0]} can be reached from elsewhere, without password or encryption")
    # Here, before any client: a wrong skeleton is an error of the command.
    lines()
    played = "\n".join(_played(demo, fps))
    service.run(
        recogniser, lines, where, played, on_start=lambda url: show(f"{url}  (Ctrl-C ends)")
    )
    return 0


def _follow(options: argparse.Namespace, recogniser: Recogniser, lines: Lines) -> int:
    sources = options.clips or [Path(STDIN)]
    if len(sources) > 1:
        raise RecipeError("--follow: takes one file of lines, or - for stdin")
    counts = {"lines": 0, "poses": 0, "windows": 0, "events": 0, "errors": 0}
    errors: list[str] = []
    shown = _followed(
        _opened(sources[0]), recogniser, lines, counts, errors, with_answers=options.answers
    )
    for line in shown:
        print(json.dumps(line), flush=True)
    content = {**counts, "unusable": recogniser.unusable, "gaps": recogniser.gaps}
    if counts["errors"]:
        listed = "\n  ".join(errors)
        message = f"{counts['errors']} lines or poses were not followed:\n  {listed}"
        return ending.fail(message, DataError.exit_code, **content)
    ending.print_last_line(dict(content))
    return 0


def _followed(
    source: BinaryIO,
    recogniser: Recogniser,
    lines: Lines,
    counts: dict[str, int],
    errors: list[str],
    with_answers: bool,
) -> Iterator[dict[str, Any]]:
    """Events, errors and, where they are asked for, answers, as they come."""
    classes = recogniser.description.classes
    problems: list[str] = []
    told: set[str] = set()
    tracks: set[Any] = set()
    with source:
        while line := source.readline(LONGEST_LINE + 1):
            counts["lines"] += 1
            where = f"line {counts['lines']}"
            poses = []
            try:
                poses = lines.read(_whole(line, source), where) if line.strip() else []
            except DataError as error:
                problems.append(str(error))
            refused: list[str] = []
            events = recogniser.push_many(poses, _collect(refused))
            problems += [f"{where}: {problem}" for problem in refused]
            for note in set(lines.notes) - told:
                told.add(note)
                _say_note(f"{note} (first in {where})")
            counts["poses"] += len(poses)
            counts["windows"] += len(recogniser.answers)
            counts["events"] += len(events)
            counts["errors"] += len(problems)
            errors += problems[: MOST_ERRORS - len(errors)]
            yield from ({"error": problem} for problem in problems)
            problems.clear()
            if with_answers:
                for each in recogniser.answers:
                    top = top_classes(each.scores, classes)
                    yield hub.answer_content(each.track, each, top)
            yield from (event.content() for event in events)
            _tell_of_gaps(recogniser, counts, told, TELLING_GAPS)
    _tell_of_gaps(recogniser, counts, told, 1)
    tracks.update(recogniser.on_clock(None))
    ends: list[Event | None] = [recogniser.leave(track) for track in sorted(tracks, key=str)]
    for event in ends:
        if event is not None:
            counts["events"] += 1
            yield event.content()


def _tell_of_gaps(
    recogniser: Recogniser, counts: dict[str, int], told: set[str], least: int
) -> None:
    """Say, once, that nothing is answered because poses are too rare."""
    note = (
        "no window is answered: poses come more than live.max_gap"
        f" ({recogniser.live.max_gap:g} s) after the last one of their track, which begins anew each"
        ' time; is "time" in seconds? for poses that are rarer give --fps, or raise live.max_gap'
    )
    if recogniser.gaps >= least and not counts["windows"] and note not in told:
        told.add(note)
        _say_note(note)


def _collect(errors: list[str]) -> Callable[[Pose, DataError], None]:
    return lambda pose, error: errors.append(str(error))


def _whole(line: bytes, source: BinaryIO) -> bytes:
    """The line; of one that is too long the rest is passed over, and the reader refuses it."""
    part = line
    while not part.endswith(b"\n") and len(part) > LONGEST_LINE:
        part = source.readline(LONGEST_LINE + 1)
    return line


def _opened(path: Path) -> BinaryIO:
    if str(path) == STDIN:
        return sys.stdin.buffer
    try:
        return path.open("rb")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path") from error


def _played(clips: Iterable[tuple[str, np.ndarray]], fps: float) -> Iterator[str]:
    """Lines of clips, one after the other with a second between; each person is a track."""
    frame = 0
    for name, clip in clips:
        for step in range(clip.shape[1]):
            time = frame / fps
            persons = [
                line_of(f"{name} {person}", clip[:, step, :, person].T, time)
                for person in range(clip.shape[3])
                if np.nan_to_num(clip[:, step, :, person]).any()
            ]
            yield json.dumps({"time": round(time, 4), "persons": persons})
            frame += 1
        frame += round(fps)


def _say_note(note: str) -> None:
    say(f"note: {note}")
