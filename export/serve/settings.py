"""The section `live` of a folder as it is followed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from export import deployed
from export.deployed.live import MOST_BETWEEN, USUAL_RATE, Live, for_poses
from export.preprocess import framewise, windows
from teachers.errors import DataError, quoted

# Numbers that all tracks keep: 2 GB of float32.
MOST_NUMBERS = 500_000_000


def resolved(
    said: Live | None,
    description: deployed.Description,
    steps: deployed.Steps | None = None,
    on_note: Callable[[str], None] = lambda note: None,
    pose_rate: float = USUAL_RATE,
) -> Live:
    """The settings with what is 0 filled in from the network: the windows that it was trained on, else
    its T and half of that.

    Args:
        said: None: the defaults, with no more tracks than fit into the memory that they may take.
        steps: of a continual network.
        on_note: hears of what is not as said.
        pose_rate: poses of a track a second, for the default of what is a gap.
    Raises:
        DataError: so many tracks would not fit into memory, one pose would become too many frames, or
            a class is not known.
    """
    live = said or for_poses(Live(), pose_rate)
    T = description.input.clip[1]
    trained = windows.trained(description.preprocessing)
    window = live.window or (trained[1] if trained else T)
    if trained and window > trained[1]:
        on_note(
            f"live: window: is {window}, and the network was trained on windows of up to {trained[1]}"
            " frames (input.window), so it gets as many"
        )
        window = trained[1]
    if steps is not None and framewise.pace(description.preprocessing, window, T) is None:
        on_note(
            f"live: window: {window} frames are not brought to the network's {T} by its"
            f" preprocessing, so its continual form has the mean of {T}; follow by the format onnx"
            " for another window"
        )
        window = T
    fewest = trained[0] if trained else max(1, window // 2)
    min_frames = min(live.min_frames or fewest, window)
    if steps is not None:
        _check_pace(live, framewise.pace(description.preprocessing, window, T) or 1.0)
    unknown = [name for name in live.quiet if name not in description.classes]
    if unknown:
        raise DataError(f"live: quiet: {quoted(unknown[0])} is no class of the network")
    recorded = description.recording
    numbers = window * recorded.joints * recorded.channels * (recorded.persons or 1)
    if steps is not None:
        # With the frames that wait for their call.
        numbers = steps.size + steps.pooled * math.prod(steps.clip)
    max_tracks = live.max_tracks
    if said is None and numbers * max_tracks > MOST_NUMBERS:
        max_tracks = max(1, MOST_NUMBERS // numbers)
        on_note(f"live: max_tracks: {max_tracks}, at {numbers:,} numbers each")
    if numbers * max_tracks > MOST_NUMBERS:
        raise DataError(
            f"live: {max_tracks} tracks of {window} frames are more than {MOST_NUMBERS:,}"
            f" numbers, at {numbers:,} each; take fewer tracks or shorter windows"
        )
    return replace(live, window=window, min_frames=min_frames, max_tracks=max_tracks)


def _check_pace(live: Live, pace: float) -> None:
    """That a pose does not become too many frames of a continual network, which takes `pace` of its
    own for each."""
    between = pace * max(1.0, (live.rate or 0.0) * live.max_gap)
    if between > MOST_BETWEEN:
        raise DataError(
            f"live: a pose becomes {between:,.0f} frames of the continual network, more than"
            f" {MOST_BETWEEN:,}; take a longer live.window or a shorter live.max_gap"
        )
