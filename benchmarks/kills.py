"""Kills the main command at random moments, resumes it, and compares the end with a run that nobody
disturbed: deploy/ byte for byte, weights and results equal, no file too many.

Run: OMP_NUM_THREADS=1 python benchmarks/kills.py [--kills 50] [--seed 1] [--keep FOLDER]

The recipe is `ctrgcn_lite_dml_int8` (pruning, distillation, qat, both formats) at small width. A
run is killed until it gets through, then the next one begins, until there were enough kills.
Moments are drawn over the processor time of a run, so that a busy machine changes none.
SIGKILL, SIGTERM and SIGINT take turns by chance, and reach the whole process group, as those of a
terminal do. The last line of stdout is JSON; exit code 0: nothing was lost.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from teachers import storage
from teachers.terminal import ending
from teachers.terminal.arguments import Parser

ROOT = Path(__file__).resolve().parents[1]
SMALL = (
    "data.train_clips=12",
    "data.val_clips=12",
    "teacher.width=8",
    "teacher.train.epochs=3",
    "teacher.train.batch_size=12",
    "teacher.train.warmup_epochs=0",
    "steps.prune_layers.drop=[l2,l3,l4,l5,l6,l7,l8,l9,l10]",
    "steps.train.epochs=3",
    "steps.train.batch_size=12",
    "steps.train.warmup_epochs=0",
    "steps.qat.train.epochs=2",
    "steps.qat.train.batch_size=12",
    "budget.max_top1_drop=100",
)
# What a stopped command must end with; kill -9 leaves it no say.
EXIT_CODES = {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130}
# Compared by name alone. Trainings keep how long their epochs took, curves, reports and the log when
# they were written, the card its latencies. The baseline export is Paddle's own and does not ship: it
# numbers what the process has built before. In tmp/ ONNX Runtime keeps a session number.
TIMED = (
    "run/state/",
    "run/curves/",
    "run/report.",
    "run/MODEL_CARD.md",
    "run/run.log",
    "run/baseline/",
    "teachers/",
    "tmp/",
)
# Parts of a whole run: until Python comes to the command's first line nobody can answer a signal,
# and what resumes a finished training takes more than a half of it for the export.
STARTING = 0.02
OVER = 0.4


@dataclass
class Outcome:
    """What all the kills came to.

    Attributes:
        signals: kills by signal.
        early: signals that came before the command had its first line.
        problems: everything that is not as it should be, in words.
    """

    signals: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    early: int = 0
    problems: list[str] = field(default_factory=list)


def main(arguments: list[str] | None = None) -> int:
    """The command; returns 0 if nothing was lost."""
    return _main(arguments)


@ending.command
def _main(arguments: list[str] | None) -> int:
    parser = Parser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="a new folder for the runs (default: a scratch)")
    options = parser.parse_args(arguments)
    if options.keep is not None:
        return _kill(storage.make_folder(options.keep), options.kills, options.seed)
    with tempfile.TemporaryDirectory() as temporary:
        return _kill(Path(temporary), options.kills, options.seed)


def _kill(folder: Path, kills: int, seed: int) -> int:
    # Ignored where a script started this in the background, and whoever it starts would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    chance = random.Random(seed)
    undisturbed = folder / "undisturbed"
    seconds = _undisturbed(undisturbed)
    print(f"undisturbed: {seconds:.1f} s of processor time", file=sys.stderr)
    outcome = Outcome()
    while outcome.signals.total() < kills:
        outcome.runs += 1
        place = folder / f"run{outcome.runs}"
        _disturb(place, undisturbed, kills, seconds, chance, outcome)
        found = differences(undisturbed, place)
        outcome.problems += [f"run {outcome.runs}: {problem}" for problem in found]
        print(
            f"run {outcome.runs}: {outcome.signals.total()} kills so far,"
            f" {len(outcome.problems)} problems",
            file=sys.stderr,
        )
    for problem in outcome.problems:
        print(problem, file=sys.stderr)
    result = {
        "kills": outcome.signals.total(),
        "signals": dict(outcome.signals),
        "runs": outcome.runs,
        "before_the_first_line": outcome.early,
        "undisturbed_cpu_seconds": round(seconds, 1),
        "seed": seed,
        "problems": outcome.problems,
    }
    print(json.dumps(result))
    return int(bool(outcome.problems))


def _undisturbed(place: Path) -> float:
    """Processor seconds of a run that nobody disturbs."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = _start(place)
    _, err = process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"the undisturbed run failed: {err[-2000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _disturb(
    place: Path,
    undisturbed: Path,
    kills: int,
    seconds: float,
    chance: random.Random,
    outcome: Outcome,
) -> None:
    """Kill a run at random moments until it gets through, or there were enough kills."""
    while True:
        # Longer than a run now and then, or none would ever come to its end.
        moment = chance.uniform(0, 1.1 * seconds)
        number = chance.choice(list(EXIT_CODES))
        process = _start(place)
        # After enough kills it is left in peace.
        enough = outcome.signals.total() >= kills
        if not enough and _works_until(process, moment):
            os.killpg(process.pid, number)
            out, err = process.communicate()
            outcome.signals[number.name] += 1
            print(f"{number.name} after {moment:.1f} s: {process.returncode}", file=sys.stderr)
            problems = stopped_badly(process.returncode, number, moment / seconds, out, err)
            problems += shipped_half(undisturbed, place)
            outcome.early += process.returncode == -number != -signal.SIGKILL
            when = f"{number.name} after {moment:.1f} s"
            outcome.problems += [f"run {outcome.runs}, {when}: {problem}" for problem in problems]
            if process.returncode == 0:
                return
            continue
        _, err = process.communicate()
        if process.returncode != 0:
            outcome.problems.append(f"run {outcome.runs}: failed: {err[-500:]}")
        return


def _works_until(process: subprocess.Popen[str], moment: float) -> bool:
    """Wait until a process has worked `moment` seconds; False where it ended before."""
    ticks = os.sysconf("SC_CLK_TCK")
    while process.poll() is None:
        # After the name in brackets, which may hold anything: `man proc_pid_stat`.
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        if (int(fields[11]) + int(fields[12])) / ticks >= moment:
            return True
        time.sleep(0.01)
    return False


def _start(place: Path) -> subprocess.Popen[str]:
    """The command in a folder of its own, as a terminal starts it: in a process group of its own.
    It resumes what was begun."""
    scratch = storage.make_folder(place / "tmp")
    command = [sys.executable, str(ROOT / "compress/run.py"), "--recipe", "ctrgcn_lite_dml_int8"]
    for override in SMALL:
        command += ["-o", override]
    command += ["--device", "cpu", "--output", "run"]
    if (place / "run" / "recipe.json").exists():
        command.append("--resume")
    return subprocess.Popen(
        command,
        cwd=place,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env=os.environ | {"TMPDIR": str(scratch.absolute())},
    )


def stopped_badly(
    returncode: int, number: signal.Signals, moment: float, out: str, err: str
) -> list[str]:
    """What is wrong with how a stopped command ended; `moment` is a part of a whole run."""
    problems = []
    early = moment < STARTING
    # One that resumes a finished training may be over in that very moment.
    late = moment > OVER and returncode == 0
    if returncode != EXIT_CODES[number] and not (early and returncode in (-number, 1)) and not late:
        problems.append(f"exit code {returncode}: {err[-300:]}")
    if "Traceback" in err and not early:
        problems.append(f"a traceback: {err[-500:]}")
    if returncode == EXIT_CODES[number] and number != signal.SIGKILL:
        last = json.loads(out.splitlines()[-1]) if out else {}
        if (last.get("status"), last.get("exit_code")) != ("interrupted", returncode):
            problems.append(f"last line {last}")
    return problems


def shipped_half(undisturbed: Path, place: Path) -> list[str]:
    """Files in deploy/ that are not those of the undisturbed run, to the byte."""
    whole = contents(undisturbed / "run" / "deploy")
    found = contents(place / "run" / "deploy")
    return [f"deploy/{name} is not whole" for name in found if found[name] != whole.get(name)]


def differences(undisturbed: Path, place: Path) -> list[str]:
    """What sets a finished run apart from the undisturbed one, times aside."""
    expected = contents(undisturbed)
    found = contents(place)
    problems = [f"{name} is missing" for name in sorted(expected.keys() - found.keys())]
    problems += [f"{name} is a stray" for name in sorted(found.keys() - expected.keys())]
    for name in sorted(expected.keys() & found.keys()):
        timed = name.startswith(TIMED)
        if not timed and expected[name] != found[name]:
            problems.append(f"{name} differs")
    if results(undisturbed) != results(place):
        problems.append("run/report.json has other results")
    return problems


def contents(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder, by its path in it."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def results(place: Path) -> dict:
    """What a run reports, without its times."""
    report = json.loads((place / "run" / "report.json").read_text(encoding="utf-8"))
    return _timeless({key: report[key] for key in report if key != "provenance"})


def _timeless(value):
    if isinstance(value, dict):
        timed = ("seconds", "p50_ms", "p95_ms", "spread_ms", "origin")
        return {key: _timeless(entry) for key, entry in value.items() if key not in timed}
    if isinstance(value, list):
        return [_timeless(entry) for entry in value]
    return value


if __name__ == "__main__":
    sys.exit(main())
