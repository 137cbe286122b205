"""How right a network is some frames after the end of an action: what a continual form says late, beside
windows that say it at once.

Run: python benchmarks/late.py DEPLOY [DEPLOY ...] --recipe stgcnpp [--window 64] [--clips 60]

A DEPLOY is a deployed folder, or a model file in one. Validation clips are joined into recordings as
`featherbone stream-eval` does; the newest answer so many frames behind every action counts, wherever
the next action has begun by then. The last line of stdout is JSON.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np

from compress import recipe as recipes
from compress.evaluation.streams import trial
from compress.evaluation.streams.judging import Answers
from compress.evaluation.streams.recordings import Recording, joined
from compress.plan import load_data
from compress.recipe import overrides
from export.serve import Live, Recogniser
from teachers.terminal import ending
from teachers.terminal.arguments import Parser
from teachers.terminal.output import show
from teachers.terminal.tables import Table

RATE = 30.0
STRIDE = 4
LATE = (0, 20, 40, 60, 76, 90)


@ending.command
def main(arguments: list[str] | None = None) -> int:
    """The command; returns the exit code."""
    parser = Parser(
        prog="python benchmarks/late.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("targets", nargs="+", type=Path)
    parser.add_argument("--recipe", required=True)
    overrides.add_option(parser)
    parser.add_argument("--window", type=int, default=64)
    parser.add_argument("--clips", type=int, default=60)
    options = parser.parse_args(arguments)
    recipe = recipes.load(options.recipe, options.overrides)
    data = load_data(recipe)
    recordings = joined(data.val, RATE, options.clips, trial.CLIPS_A_RECORDING, recipe.seed)
    live = Live(window=options.window, stride=STRIDE, min_frames=options.window // 2, rate=RATE)
    found = {}
    for target in options.targets:
        recogniser = Recogniser(target, live)
        answers = [trial.answers(recogniser, each, lambda frames: None) for each in recordings]
        found[str(target)] = {late: right(recordings, answers, late) for late in LATE}
    rows = [(name, *(f"{value:.1f}" for value in row.values())) for name, row in found.items()]
    show(Table(("right %, frames later", *map(str, LATE)), rows))
    ending.print_last_line({"clips": options.clips, "right": found})
    return 0


def right(recordings: Sequence[Recording], answers: Sequence[Answers], late: int) -> float:
    """Percent of actions that the newest answer names, `late` frames behind their end; those that the
    recording does not reach are left out."""
    count = named = 0
    for recording, windows in zip(recordings, answers, strict=True):
        times = np.array([time for time, _ in windows])
        for action in recording.actions:
            # Half a frame more: the window of the very last frame is one of the action's.
            until = action.end + (late + 0.5) / recording.rate
            if until > recording.seconds + 1 / recording.rate:
                continue
            count += 1
            place = int(np.searchsorted(times, until, side="right")) - 1
            named += place >= 0 and int(windows[place][1].argmax()) == action.label
    return 100 * named / max(count, 1)


if __name__ == "__main__":
    sys.exit(main())
