"""Damaged inputs through every reader of strangers' files: each is read or refused with a message,
nothing runs, hangs, writes or fills memory.

Run: python benchmarks/fuzz.py [--inputs 100000] [--seed 1] [--only KIND]

Every input gets `--limit` seconds, and the process may map `--memory` more MB than at its start.
Model files are loaded and run in a process of their own, as `predict` does, with the same limit on
memory. Exit code 1 if any input crashed a reader, hung, ran out of memory, was refused in words that
no terminal should be sent, or if a file was written or a pickle executed; the input is kept in
`--keep`.
"""

from __future__ import annotations

import random
import re
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks import fuzz_inputs, fuzz_models, fuzz_weights
from compress.process import console
from export.runtimes import trial
from teachers.errors import FeatherboneError, printable
from teachers.terminal import ending
from teachers.terminal.arguments import Parser
from teachers.terminal.output import show
from teachers.terminal.tables import Table

BAD = ("crashed", "hung", "out of memory", "unprintable")
# Of a line.
LONGEST_MESSAGE = 2_000
MOST_LINES = 20
# What the readers' inputs are written as.
EXPECTED = {
    "clip",
    "kinetics",
    "k_train",
    "k_train_label.json",
    "k_val",
    "k_val_label.json",
    "one.json",
    "two.json",
    "clip.npy",
    "clip.csv",
    "v_00_keypoints.json",
    "v_01_keypoints.json",
    "x.npy",
    "x.npz",
    "x.pkl",
    "x.yaml",
    "labels.csv",
    "dataset.yaml",
    "deployed.json",
    "report.json",
    "model.onnx",
    "model.pdmodel",
    "model.pdiparams",
    "model.pdiparams.info",
}


class Hung(BaseException):
    """Raised by the alarm; no reader catches it."""


def limit_memory(megabytes: int) -> None:
    """Let the process map so much more than now."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    # Address space, not resident memory: Linux limits nothing else for a process that it did not
    # put into a group.
    resource.setrlimit(
        resource.RLIMIT_AS, (used + megabytes * 10**6, resource.getrlimit(resource.RLIMIT_AS)[1])
    )


def judge(read, data: bytes, limit_s: float) -> tuple[str, str]:
    """("accepted", "refused", "crashed", "hung" or "out of memory"; the message)."""
    # An alarm interrupts a loop in Python. It cannot end a hang in C code: the benchmark hangs, too.
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    try:
        read(data)
        return "accepted", ""
    except FeatherboneError as error:  # a reader that catches everything also catches this
        message = str(error)
        if "MemoryError" in message:
            return "out of memory", message
        # A set's bad clips are a line each.
        lines = message.split("\n")
        shown = all(printable(line) == line and len(line) <= LONGEST_MESSAGE for line in lines)
        if not shown or len(lines) > MOST_LINES:
            return "unprintable", repr(message[:LONGEST_MESSAGE])
        return "refused", message
    except Hung:
        return "hung", f"after {limit_s} s"
    except MemoryError:
        return "out of memory", traceback.format_exc()
    except Exception:  # noqa: BLE001  (any other exception is what the fuzzer looks for)
        return "crashed", traceback.format_exc()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def fuzz(kind: str, count: int, options, advance) -> dict:
    """One kind: how many inputs ended how, the slowest, and what went wrong first."""
    # A generator for each kind: `--only` meets the inputs that the whole run meets.
    generator = random.Random(f"{options.seed} {kind}")
    seeds = options.seeds[kind]
    read = options.readers[kind]
    tokens = (
        fuzz_inputs.TOKENS
        if "pickle" not in kind
        else fuzz_inputs.OPCODES + fuzz_inputs.GLOBALS + fuzz_weights.PLACEHOLDERS
    )
    outcomes: Counter[str] = Counter()
    # Kinds of refusals: few of them would mean that the inputs reach one check alone.
    said: Counter[str] = Counter()
    slowest = 0.0
    first = ""
    for index in range(count):
        data = None
        if generator.random() < 0.5:
            data = fuzz_models.mutated(kind, generator.choice(seeds), generator)
        if data is None:
            data = fuzz_inputs.damaged(
                generator.choice(seeds), generator.choice(seeds), generator, tokens
            )
        started = time.perf_counter()
        outcome, message = judge(read, data, options.limit)
        slowest = max(slowest, time.perf_counter() - started)
        outcomes[outcome] += 1
        said[re.sub(r"[0-9]+|'[^']*'|\([^)]*\)", "", message)[-160:][:100]] += 1
        if outcome in BAD:
            first = first or message
            options.keep.mkdir(parents=True, exist_ok=True)
            (options.keep / f"{kind.replace(' ', '_')}_{index}").write_bytes(data)
        advance(1)
    return {
        "kind": kind,
        "inputs": count,
        **{key: outcomes[key] for key in ("accepted", "refused", *BAD)},
        "refusals": len(said),
        "slowest_ms": round(1000 * slowest, 1),
        "first": first,
    }


def main(arguments: list[str] | None = None) -> int:
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=100_000, help="all kinds together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--limit", type=float, default=10.0, help="seconds an input may take")
    parser.add_argument(
        "--memory",
        type=int,
        default=1000,
        help="MB the process may map beyond what it has at its start",
    )
    parser.add_argument("--only", help="one kind")
    parser.add_argument(
        "--keep",
        type=Path,
        default=Path("runs/fuzz"),
        help="folder for inputs that a reader did not survive",
    )
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "files"
        marker = folder / "executed"
        folder.mkdir()
        # Seeds are made once: Paddle numbers the parameters of every network that it makes.
        hostile = fuzz_inputs.hostile(marker)
        options.seeds = (
            fuzz_inputs.seeds(marker)
            | fuzz_models.seeds(marker, folder, hostile)
            | fuzz_weights.seeds(hostile)
        )
        options.readers = (
            fuzz_inputs.readers(folder) | fuzz_models.readers(folder) | fuzz_weights.readers(folder)
        )
        kinds = [kind for kind in options.seeds if options.only in (None, kind)]
        trial.MEMORY = options.memory * 10**6
        # After the readers' libraries are loaded: they map gigabytes that they never touch.
        limit_memory(options.memory)
        signal.signal(signal.SIGALRM, _hung)
        before, started = _peak_mb(), time.perf_counter()
        # Rounded up, so that a small count still reaches every kind.
        each = -(-options.inputs // max(len(kinds), 1))
        with console.bar("fuzz", each * len(kinds), "inputs") as advance:
            rows = [fuzz(kind, each, options, advance) for kind in kinds]
        found = {
            "inputs": each * len(kinds),
            "written": sorted({path.name for path in folder.rglob("*")} - EXPECTED),
            # numpy's save appends .npy to the name that it is given.
            "executed": int(marker.exists() or marker.with_suffix(".npy").exists()),
            **{key: sum(row[key] for row in rows) for key in ("accepted", "refused", *BAD)},
            "seconds": round(time.perf_counter() - started, 1),
            "memory_mb": round(_peak_mb() - before, 1),
            "kinds": rows,
        }
    _show(rows)
    ending.print_last_line(found)
    # `not rows`: a mistyped `--only` must not pass for a clean run.
    bad = [found["executed"], found["written"], *(found[key] for key in BAD)]
    return int(any(bad) or not rows)


def _hung(*_) -> None:
    raise Hung


def _peak_mb() -> float:
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(each).ru_maxrss for each in who) / 1000


def _show(rows: list[dict]) -> None:
    counts = ("inputs", "accepted", "refused", "refusals", *BAD, "slowest_ms")
    cells = [(row["kind"], *(str(row[key]) for key in counts)) for row in rows]
    show(Table(("kind", *(key.replace("_", " ") for key in counts)), cells))
    for row in rows:
        if row["first"]:
            show(f"{row['kind']}: {row['first']}")


if __name__ == "__main__":
    sys.exit(main())
