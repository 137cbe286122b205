"""How many persons a core follows, what a day of them leaves in memory, and what the service does
under many clients on this machine.

Run: python benchmarks/live_load.py DEPLOY [--tracks 500] [--seconds 10] [--hours 24]
     [--crowd 1000] [--crowd-hours 1] [--clients 200]

DEPLOY is a deployed folder, or a model file in one. --hours 0, --crowd-hours 0 and --clients 0 leave these
parts out.

Poses are random walks; scores mean nothing. The last line of stdout is JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np

from compress.live import hub, service
from compress.live.lines import Lines, line_of
from export import deployed
from export.deployed import Live
from export.serve import Recogniser
from teachers.terminal import ending
from teachers.terminal.arguments import Parser
from teachers.terminal.output import say

RATE = 30
STRIDE = 8
FEWEST_ROUNDS = 3
# Frames that each client sends.
SENT = 20


@ending.command
def main(arguments: list[str] | None = None) -> int:
    """The command; returns the exit code."""
    parser = Parser(
        prog="python benchmarks/live_load.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tracks", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=10, help="of processor time, of each part")
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--hours", type=float, default=24)
    parser.add_argument("--crowd", type=int, default=1000)
    parser.add_argument("--crowd-hours", type=float, default=1)
    options = parser.parse_args(arguments)
    found: dict[str, object] = {"tracks": tracks(options.folder, options.tracks, options.seconds)}
    if options.hours:
        found["day"] = day(options.folder, options.hours)
    if options.crowd_hours:
        found["crowd"] = crowd(options.folder, options.crowd, options.crowd_hours)
    if options.clients:
        found["clients"] = asyncio.run(clients(options.folder, options.clients))
    for name, values in found.items():
        say(f"{name}: {values}")
    ending.print_last_line(found)
    return 0


def tracks(folder: Path, count: int, seconds: float) -> dict[str, float | int | str]:
    """Frames of so many tracks, until the processor time is used up; what comes before the first
    answers is not counted. Processor time is that of the cheapest round."""
    recogniser = Recogniser(folder, Live(stride=STRIDE, max_tracks=count))
    poses = np.random.default_rng(0).normal(1, 0.3, (64, *_shape(recogniser))).astype(np.float32)
    # Windows are spread over the frames, as those of people who come at any time.
    first = recogniser.live.min_frames + STRIDE
    frames = 0
    rounds: list[float] = []
    while sum(rounds) < seconds or len(rounds) < FEWEST_ROUNDS:
        spent = 0.0
        # Every track has one window in a round.
        for _ in range(STRIDE):
            batch = [
                (track, poses[(frames + track) % 64], frames / RATE)
                for track in range(count)
                if frames >= track % STRIDE
            ]
            started = time.process_time()
            recogniser.push_many(batch)
            spent += time.process_time() - started
            frames += 1
        if frames > first + STRIDE:
            rounds.append(spent)
    # The least: what others on the machine took from a round is not the network's.
    ms_a_frame = 1000 * min(rounds) / (STRIDE * count)
    return {
        "tracks": count,
        "runtime": recogniser.runtime,
        "window": recogniser.live.window,
        "rounds": len(rounds),
        "ms_a_frame": ms_a_frame,
        "tracks_a_core": 1000 / ms_a_frame / RATE,
    }


def day(folder: Path, hours: float) -> dict[str, float]:
    """Ten people who come and go through hours of an injected clock; a window in a minute."""
    live = Live(stride=STRIDE, max_tracks=1000)
    recogniser = Recogniser(folder, live)
    need = recogniser.live.min_frames
    shape = _shape(recogniser)
    generator = np.random.default_rng(0)
    sizes = []
    minutes = round(60 * hours)
    for minute in range(minutes):
        person = f"person {minute}"
        for frame in range(need + 1):
            pose = generator.normal(1, 0.3, shape).astype(np.float32)
            recogniser.push_many([(person, pose, 60 * minute + frame / RATE)])
        if minute in (minutes // 10, minutes - 1):
            sizes.append(_resident())
    return {
        "hours": hours,
        "persons": minutes,
        "tracks_at_the_end": len(recogniser),
        "mb_after_a_tenth": sizes[0] / 1e6,
        "mb_at_the_end": sizes[-1] / 1e6,
    }


def crowd(folder: Path, count: int, hours: float) -> dict[str, float]:
    """So many persons at once for hours of an injected clock, two poses a second; each is another
    after ten minutes, a few at a time."""
    # Who left is followed for `leave_after` more.
    recogniser = Recogniser(folder, Live(stride=STRIDE, max_tracks=count + count // 10))
    poses = np.random.default_rng(0).normal(1, 0.3, (64, *_shape(recogniser))).astype(np.float32)
    interval = recogniser.live.max_gap
    steps = round(3600 * hours / interval)
    stays = round(600 / interval)
    sizes = []
    most = answers = 0
    for step in range(steps):
        recogniser.push_many(
            ((place, (step + place) // stays), poses[(step + place) % 64], step * interval)
            for place in range(count)
        )
        most = max(most, len(recogniser))
        answers += len(recogniser.answers)
        if step in (steps // 10, steps - 1):
            sizes.append(_resident())
    return {
        "hours": hours,
        "persons": count * (1 + steps // stays),
        "windows": answers,
        "most_tracks": most,
        "mb_after_a_tenth": sizes[0] / 1e6,
        "mb_at_the_end": sizes[-1] / 1e6,
    }


async def clients(folder: Path, count: int) -> dict[str, float]:
    """Clients at once by WebSocket; every fifth sends a line that is none, every tenth reads its
    answers late."""
    import aiohttp
    from aiohttp import web

    recogniser = Recogniser(folder, Live(stride=STRIDE, min_frames=SENT), clock_of=hub.clock_of)
    description = deployed.read(folder)
    app = service.application(
        recogniser, lambda: Lines(description), service.HERE, "", hub.Limits()
    )
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, service.HERE, 0).start()
    url = f"http://{service.HERE}:{runner.addresses[0][1]}"
    pose = np.random.default_rng(0).normal(1, 0.3, _shape(recogniser)).astype(np.float32)
    before = _resident()
    started = time.monotonic()

    async def talk(session: Any, number: int) -> tuple[int, int, int]:
        replies = errors = answers = 0
        async with session.ws_connect(f"{url}/live") as socket:
            for step in range(SENT):
                bad = number % 5 == 0 and step == 3
                text = "{bad" if bad else json.dumps(line_of(1, pose, step / RATE))
                await socket.send_str(text)
            if number % 10 == 0:
                await asyncio.sleep(2)
            for _ in range(SENT):
                reply = await socket.receive_json()
                replies += 1
                errors += len(reply["errors"])
                answers += len(reply["answers"])
        return replies, errors, answers

    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        talks = await asyncio.gather(*(talk(session, number) for number in range(count)))
    seconds = time.monotonic() - started
    after = _resident()
    await runner.cleanup()
    replies, errors, answers = (sum(each) for each in zip(*talks, strict=True))
    return {
        "clients": count,
        "messages": count * SENT,
        "replies": replies,
        "errors": errors,
        "answers": answers,
        "seconds": seconds,
        "mb_more": (after - before) / 1e6,
        "tracks_left": len(recogniser),
    }


def _shape(recogniser: Recogniser) -> tuple[int, int]:
    recorded = recogniser.description.recording
    return recorded.joints, recorded.channels


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


if __name__ == "__main__":
    sys.exit(main())
