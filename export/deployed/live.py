"""How a deployed network follows live poses: the section `live` of `deployed.json`."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

# What a stranger's file may claim, for it becomes memory and time of whoever serves it.
MOST_FRAMES = 10_000
MOST_VOTES = 1_000
MOST_TRACKS = 100_000
MOST_SECONDS = 86_400.0
# That one pose may become, of `rate` over a gap: a quarter of a second of a core.
MOST_BETWEEN = 3_000
# Poses a second, where nobody says how many come.
USUAL_RATE = 30.0


@dataclass(frozen=True)
class Live:
    """Windows, tracks and the alarm rule. The defaults are used where a folder says nothing.

    Attributes:
        window: frames of a window, the newest ones of a track; 0: the most that the network was
            trained on (`input.window` of the recipe), else as many as its T.
        stride: a window is answered every so many frames of a track.
        min_frames: of a track that has fewer nothing is answered; 0: the fewest that the network was
            trained on, else half a window.
        rate: frames a second that the network was trained on, to which poses are interpolated;
            None: frames as they come. At most 3,000 frames in `max_gap`.
        max_gap: seconds without a pose after which a track begins anew.
        leave_after: seconds without a pose after which a person has left.
        threshold: a window whose best score is lower shows an unknown action.
        release: an action that is on stays on while its score is at least this (hysteresis).
        votes, of: an action is on while `votes` of the last `of` windows say so (k of n).
        cool_down: seconds after its end in which a class does not start again on its track.
        quiet: names of classes that are no action, such as standing.
        max_tracks: at once; more are refused.
    """

    window: int = 0
    stride: int = 8
    min_frames: int = 0
    rate: float | None = None
    max_gap: float = 0.5
    leave_after: float = 2.0
    threshold: float = 0.5
    release: float = 0.3
    votes: int = 2
    of: int = 3
    cool_down: float = 1.0
    quiet: tuple[str, ...] = ()
    max_tracks: int = 1000

    def __post_init__(self):
        for key, low, high in (
            ("window", 0, MOST_FRAMES),
            ("stride", 1, MOST_FRAMES),
            ("min_frames", 0, self.window or MOST_FRAMES),
            ("max_gap", 0, MOST_SECONDS),
            ("leave_after", self.max_gap, MOST_SECONDS),
            ("threshold", 0, 1),
            ("release", 0, self.threshold),
            ("of", 1, MOST_VOTES),
            ("votes", 1, self.of),
            ("cool_down", 0, MOST_SECONDS),
            ("max_tracks", 1, MOST_TRACKS),
        ):
            value = getattr(self, key)
            # Not a number fails the comparison, too.
            if not low <= value <= high:
                raise ValueError(f"live: {key}: must be {low:g} to {high:g}, is {value}")
        if self.rate is not None and not (0.1 <= self.rate <= 1000 and math.isfinite(self.rate)):
            raise ValueError(f"live: rate: must be 0.1 to 1000 frames a second, is {self.rate}")
        if self.rate is not None and self.rate * self.max_gap > MOST_BETWEEN:
            raise ValueError(
                f"live: max_gap: is {self.max_gap:g} s, in which a pose becomes"
                f" {self.rate * self.max_gap:,.0f} frames at rate {self.rate:g}; must be at most"
                f" {MOST_BETWEEN / self.rate:g} s, for {MOST_BETWEEN:,} frames"
            )


def for_poses(live: Live, rate: float) -> Live:
    """The settings with the default of what is a gap, or more where poses come so rarely, `rate` times
    a second, that two of them would be one."""
    max_gap = max(Live.max_gap, 2 / rate)
    leave_after = max_gap * Live.leave_after / Live.max_gap
    return replace(live, max_gap=max_gap, leave_after=leave_after)
