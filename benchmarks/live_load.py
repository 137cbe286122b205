"""How many persons a core follows, what a day of them leaves in memory, and what the service does
under many clients on this machine.

Run: python benchmarks/live_load.py DEPLOY [--tracks 500] [--seconds 10] [--clients 200] [--hours 24]

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
    options = parser.parse_args(arguments)
    found: dict[str, object] = {"tracks": tracks(options.folder, options.tracks, options.seconds)}
    found["day"] = day(options.folder, options.hours)
    if options.clients:
        found["clients"] = asyncio.run(clients(options.folder, options.clients))
    for name, values in found.items():
        say(f"{name}: {values}")
    ending.print_last_line(found)
    return 0


def tracks(folder: Path, count: int, seconds: float) -> dict[str, float]:
    """Frames of so many tracks, until the processor time is used up."""
    recogniser = Recogniser(folder, Live(stride=STRIDE, max_tracks=count))
    shape = _shape(recogniser)
    poses = np.random.default_rng(0).normal(1, 0.3, (64, *shape)).astype(np.float32)
    frames = 0
    windows = 0
    started = time.process_time()
    while time.process_time() - started < seconds:
        # Tracks begin one after the other, as people do: windows are spread over the frames.
        batch = [
            (track, poses[(frames + track) % 64], frames / RATE)
            for track in range(min(count, 1 + frames * count // 64))
        ]
        recogniser.push_many(batch)
        frames += 1
        windows += len(recogniser.answers)
    spent = time.process_time() - started
    return {
        "tracks": count,
        "frames": frames,
        "windows": windows,
        "ms_a_window": 1000 * spent / max(windows, 1),
        # A track has RATE / STRIDE windows a second.
        "tracks_a_core": windows / spent / (RATE / STRIDE),
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
