"""Whether a stranger's model loads and runs at all: tried in a process of its own first, with
limits.

A runtime is C++ that trusts its files: damaged ones crash it, fill memory or never answer, and no
exception tells. Here the process that dies of them is another one.
"""

from __future__ import annotations

import contextlib
import io
import os
import resource
import select
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from export.runtimes.contract import Predict, PredictOutputs
from teachers.errors import ExportMismatch, FeatherboneError

SECONDS = 120
# Bytes beyond what this process has: networks of this kind take a tenth of it.
MEMORY = 2_000_000_000
MEMORY_PER_BYTE = 20
# Bytes of address space, of which Paddle reserves 3 GB for a network of four layers; what it touches
# is looked at every LOOK seconds.
ADDRESSES = 16_000_000_000
LOOK = 0.02
LONGEST_MESSAGE = 4_000
# Bytes of all outputs; logits take a thousandth.
LARGEST_ANSWER = 500_000_000
READ_AT_ONCE = 1 << 16
# In front of what was asked for; no message of an error begins so.
_DONE = b"\0done"


def require(
    model: Path,
    load: Callable[[], Predict],
    shape: tuple[int, ...],
    size_bytes: int,
    seconds: float = SECONDS,
) -> None:
    """Load a model and run it once on zeros, in a copy of this process; see `outputs`.

    Args:
        shape: of the input, (N, C, T, V, M).
    """
    zeros = np.zeros(shape, np.float32)

    def run() -> bytes:
        load()(zeros)
        return b""

    _tried(model, run, size_bytes, seconds)


def outputs(
    model: Path,
    load: Callable[[], PredictOutputs],
    inputs: Sequence[np.ndarray],
    size_bytes: int,
    seconds: float = SECONDS,
) -> list[list[np.ndarray]]:
    """Load a model and run it on inputs, in a copy of this process: all its outputs for each.

    Call it before this process has computed anything in threads: a copy has none of them, and
    would wait for their answers.

    Args:
        model: its file, for messages.
        load: returns what the model is run by.
        inputs: (N, ...) float32 each.
        size_bytes: of its files.
        seconds: of all inputs together.
    Raises:
        ExportMismatch: it cannot be loaded or run, crashes, or goes over a limit.
    """

    def run() -> bytes:
        predict = load()
        content = io.BytesIO()
        for x in inputs:
            found = predict(x)
            np.lib.format.write_array(content, np.array([len(found)]), allow_pickle=False)
            for each in found:
                np.lib.format.write_array(content, np.asarray(each), allow_pickle=False)
        return content.getvalue()

    content = io.BytesIO(_tried(model, run, size_bytes, seconds))

    def array() -> np.ndarray:
        # Never a pickle: what a model answers is a stranger's, too.
        return np.lib.format.read_array(content, allow_pickle=False)

    return [[array() for _ in range(int(array()[0]))] for _ in inputs]


def _tried(model: Path, run: Callable[[], bytes], size_bytes: int, seconds: float) -> bytes:
    """What `run()` returns in a copy of this process."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _child(run, seconds, writer)
    os.close(writer)
    memory = MEMORY + MEMORY_PER_BYTE * size_bytes
    answer = _answer(reader, child, memory, seconds)
    os.close(reader)
    _, status = os.waitpid(child, 0)
    if answer.startswith(_DONE):
        return answer[len(_DONE) :]
    if answer:
        raise ExportMismatch(answer.decode("utf-8", "replace"))
    cause = "crashes its runtime"
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGKILL, signal.SIGXCPU):
        cause = f"takes more than {seconds:g} s or more memory than there is"
    raise ExportMismatch(f"{model}: {cause}; the file is damaged or hostile, export it again")


def _answer(reader: int, child: int, memory: int, seconds: float) -> bytes:
    """What the child says until it ends; it is ended when it goes over a limit."""
    parts: list[bytes] = []
    size = 0
    most = _resident("self") + memory
    end = time.monotonic() + seconds
    while True:
        ready, _, _ = select.select([reader], [], [], LOOK)
        late = time.monotonic() > end or _resident(str(child)) > most or size > LARGEST_ANSWER
        # By the clock, too: what waits for ever takes no processor time.
        if late:
            os.kill(child, signal.SIGKILL)
            return b""
        if ready:
            part = os.read(reader, READ_AT_ONCE)
            if not part:
                return b"".join(parts)
            parts.append(part)
            size += len(part)


def _resident(process: str) -> int:
    """Bytes that a process has touched; 0 of one that ended."""
    try:
        pages = Path(f"/proc/{process}/statm").read_text().split()[1]
    except OSError:
        return 0
    return int(pages) * resource.getpagesize()


def _child(run: Callable[[], bytes], seconds: float, writer: int) -> None:
    """Never returns: what the parent would do after it must not be done twice."""
    try:
        # Both runtimes print what they think of a damaged file.
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        # What a person presses, or an alarm of the parent, is the parent's business.
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _limit(seconds)
        if "paddle" in sys.modules:
            # A copy of a process cannot use its GPU.
            sys.modules["paddle"].device.set_device("cpu")
        _write(writer, _DONE + run())
    except FeatherboneError as error:
        _write(writer, str(error).encode("utf-8", "replace")[:LONGEST_MESSAGE])
    # MemoryError and whatever else: the parent says that it went over a limit or crashed.
    except BaseException:  # noqa: BLE001
        os._exit(1)
    finally:
        os._exit(0)


def _write(writer: int, answer: bytes) -> None:
    # A pipe takes as much as it has room for.
    view = memoryview(answer)
    while view:
        view = view[os.write(writer, view) :]


def _limit(seconds: float) -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    for limit, value in (
        (resource.RLIMIT_AS, pages * resource.getpagesize() + ADDRESSES),
        (resource.RLIMIT_CPU, int(seconds) + 1),
        # Not a byte into any file, whatever a model finds to do.
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(limit)
        # A lower limit may be set already, and must not be raised.
        if hard != resource.RLIM_INFINITY:
            value = min(value, hard)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(limit, (value, hard))
