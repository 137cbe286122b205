"""Damaged inputs through every reader of strangers' files: each is read or refused with a message,
nothing runs, hangs or fills memory.

Run: python benchmarks/fuzz.py [--inputs 100000] [--seed 1] [--only KIND]

Every input gets `--limit` seconds, and the process may map `--memory` more MB than at its start.
Exit code 1 if any input crashed a reader, hung, ran out of memory, or if a pickle was executed; the
input is kept in `--keep`.
"""

from __future__ import annotations

import random
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

from benchmarks import fuzz_inputs
from compress.process import console
from teachers.errors import FeatherboneError
from teachers.terminal import ending
from teachers.terminal.arguments import Parser
from teachers.terminal.output import show
from teachers.terminal.tables import Table

BAD = ("crashed", "hung", "out of memory")


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
        return ("out of memory" if "MemoryError" in str(error) else "refused"), str(error)
    except Hung:
        return "hung", f"after {limit_s} s"
    except MemoryError:
        return "out of memory", traceback.format_exc()
    except Exception:  # noqa: BLE001  (any other exception is what the fuzzer looks for)
        return "crashed", traceback.format_exc()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def fuzz(kind: str, count: int, options, folder: Path, advance) -> dict:
    """One kind: how many inputs ended how, the slowest, and what went wrong first."""
    # A generator for each kind: `--only` meets the inputs that the whole run meets.
    generator = random.Random(f"{options.seed} {kind}")
    seeds = fuzz_inputs.seeds(folder / "executed")[kind]
    read = fuzz_inputs.readers(folder)[kind]
    tokens = (
        fuzz_inputs.TOKENS if "pickle" not in kind else fuzz_inputs.OPCODES + fuzz_inputs.GLOBALS
    )
    outcomes: Counter[str] = Counter()
    slowest = 0.0
    first = ""
    for index in range(count):
        data = fuzz_inputs.damaged(
            generator.choice(seeds), generator.choice(seeds), generator, tokens
        )
        started = time.perf_counter()
        outcome, message = judge(read, data, options.limit)
        slowest = max(slowest, time.perf_counter() - started)
        outcomes[outcome] += 1
        if outcome in BAD:
            first = first or message
            options.keep.mkdir(parents=True, exist_ok=True)
            (options.keep / f"{kind.replace(' ', '_')}_{index}").write_bytes(data)
        advance(1)
    return {
        "kind": kind,
        "inputs": count,
        **{key: outcomes[key] for key in ("accepted", "refused", *BAD)},
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
        kinds = [kind for kind in fuzz_inputs.seeds(marker) if options.only in (None, kind)]
        # After the readers' libraries are loaded: they map gigabytes that they never touch.
        limit_memory(options.memory)
        signal.signal(signal.SIGALRM, _hung)
        before, started = _peak_mb(), time.perf_counter()
        # Rounded up, so that a small count still reaches every kind.
        each = -(-options.inputs // max(len(kinds), 1))
        with console.bar("fuzz", each * len(kinds), "inputs") as advance:
            rows = [fuzz(kind, each, options, folder, advance) for kind in kinds]
        found = {
            "inputs": each * len(kinds),
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
    return int(bool(found["executed"] or any(found[key] for key in BAD) or not rows))


def _hung(*_) -> None:
    raise Hung


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def _show(rows: list[dict]) -> None:
    counts = ("inputs", "accepted", "refused", *BAD, "slowest_ms")
    cells = [(row["kind"], *(str(row[key]) for key in counts)) for row in rows]
    show(Table(("kind", *(key.replace("_", " ") for key in counts)), cells))
    for row in rows:
        if row["first"]:
            show(f"{row['kind']}: {row['first']}")


if __name__ == "__main__":
    sys.exit(main())
