"""Kills one process, drawn by chance, of a run that several share, with kill -9; the others must end
by themselves. The run is resumed and compared with one that nobody disturbed: `kills.py` for
`python -m paddle.distributed.launch`.

Run: OMP_NUM_THREADS=1 python benchmarks/rank_kills.py [--processes 2] [--kills 10] [--seed 1]

The last line of stdout is JSON; exit code 0: nothing was lost.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks import kills
from teachers import storage
from teachers.terminal import ending
from teachers.terminal.arguments import Parser

# The longest that the others may live after one was killed, in seconds.
AT_MOST = 60


def main(arguments: list[str] | None = None) -> int:
    """The command; returns 0 if nothing was lost."""
    return _main(arguments)


@ending.command
def _main(arguments: list[str] | None) -> int:
    parser = Parser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="a new folder for the runs (default: a scratch)")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) if options.keep is None else storage.make_folder(options.keep)
        return _kill(folder, options.processes, options.kills, random.Random(options.seed))


def _kill(folder: Path, processes: int, wanted: int, chance: random.Random) -> int:
    undisturbed = folder / "undisturbed"
    started = _start(undisturbed, processes)
    seconds, shared = _worked(started, processes)
    if started.wait() != 0:
        raise RuntimeError(f"the undisturbed run failed: {_said(undisturbed)}")
    problems: list[str] = []
    ranks: list[int] = []
    lived: list[float] = []
    runs = 0
    while len(ranks) < wanted:
        runs += 1
        place = folder / f"run{runs}"
        while True:
            launcher = _start(place, processes)
            rank = chance.randrange(processes)
            # Longer than a run now and then, or none would ever come to its end. The others end
            # before the export.
            moment = chance.uniform(0, 1.1 * (shared if rank else seconds))
            if len(ranks) >= wanted or not _kill_one(launcher, rank, moment):
                break
            ranks.append(rank)
            when = time.monotonic()
            try:
                launcher.wait(AT_MOST)
            except subprocess.TimeoutExpired:
                problems.append(f"run {runs}: the others lived on after rank {rank} was killed")
                launcher.kill()
            lived.append(time.monotonic() - when)
            print(
                f"rank {rank} after {moment:.1f} s, gone {lived[-1]:.1f} s later", file=sys.stderr
            )
        if launcher.wait() != 0:
            problems.append(f"run {runs}: failed: {_said(place)}")
        else:
            problems += [f"run {runs}: {found}" for found in kills.differences(undisturbed, place)]
        print(f"run {runs}: {len(ranks)} kills so far, {problems}", file=sys.stderr)
    result = {
        "processes": processes,
        "kills": len(ranks),
        "of_rank": {rank: ranks.count(rank) for rank in range(processes)},
        "runs": runs,
        "longest_until_all_had_ended_s": round(max(lived, default=0.0), 1),
        "cpu_seconds_of_first": round(seconds, 1),
        "problems": problems,
    }
    print(json.dumps(result))
    return int(bool(problems))


def _start(place: Path, processes: int) -> subprocess.Popen[bytes]:
    """The command under the launcher; it resumes what was begun."""
    storage.make_folder(place)
    storage.make_folder(_logs(place))
    command = [sys.executable, "-m", "paddle.distributed.launch"]
    command += ["--nproc_per_node", str(processes), "--log_dir", str(_logs(place))]
    command += [str(kills.ROOT / "compress/run.py"), "--recipe", "ctrgcn_lite_dml_int8"]
    for override in kills.SMALL:
        command += ["-o", override]
    command += ["--device", "cpu", "--output", "run"]
    if (place / "run" / "recipe.json").exists():
        command.append("--resume")
    with open(_logs(place) / "launcher.log", "wb") as log:
        return subprocess.Popen(
            command,
            cwd=place,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=os.environ | {"PYTHONPATH": str(kills.ROOT)},
        )


def _logs(place: Path) -> Path:
    # Beside the run's own folder, for the launcher draws the names.
    return place.with_name(f"{place.name}-logs")


def _said(place: Path) -> str:
    return (_logs(place) / "launcher.log").read_text(encoding="utf-8", errors="replace")[-2000:]


def _processes(launcher: subprocess.Popen[bytes]) -> list[int]:
    """The launcher's processes, in the order of their ranks."""
    try:
        children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text()
    except OSError:
        return []
    return sorted(int(child) for child in children.split())


def _cpu_seconds(process: int) -> float | None:
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _worked(launcher: subprocess.Popen[bytes], processes: int) -> tuple[float, float]:
    """Processor seconds of the first process when it has ended, and when the others had."""
    seconds = 0.0
    shared = 0.0
    while launcher.poll() is None:
        running = _processes(launcher)
        for process in running[:1]:
            seconds = max(seconds, _cpu_seconds(process) or 0.0)
        if len(running) == processes:
            shared = seconds
        time.sleep(0.05)
    return seconds, shared


def _kill_one(launcher: subprocess.Popen[bytes], rank: int, moment: float) -> bool:
    """Kill a process when the first has worked so long; False where the run ended before."""
    while launcher.poll() is None:
        running = _processes(launcher)
        if len(running) > rank and (_cpu_seconds(running[0]) or 0.0) >= moment:
            os.kill(running[rank], signal.SIGKILL)
            return True
        time.sleep(0.02)
    return False


if __name__ == "__main__":
    sys.exit(main())
