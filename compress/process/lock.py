"""One process at a time in a folder; whoever comes second is told who is there.

The lock is the kernel's (`flock`; on NFS the server's), so it ends with its process, also after
kill -9 or a crash of the machine. What stands in the file is for people only.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from compress.process import console
from teachers import storage
from teachers.errors import BusyError

NAME = "run.lock"
# Between two looks at a lock that is waited for. The kernel could wait by itself, but Python
# handles no signal meanwhile that Paddle's library keeps from waking it.
SECONDS = 0.2


@contextmanager
def hold(path: Path, advice: str) -> Iterator[None]:
    """Hold the lock file `path`, which is there as long as the block lasts.

    Args:
        advice: what somebody can do who finds it held.
    Raises:
        BusyError: another process holds it; says which one, where, since when.
        StorageError: the file cannot be written.
    """

    def refuse(holder: str) -> None:
        raise BusyError(f"{path.parent}: {holder} is working in it; {advice}")

    with _held(path, refuse):
        yield


@contextmanager
def wait(path: Path, at_most: float | None = None) -> Iterator[None]:
    """The same, but waits until the lock is free, and says for whom.

    Args:
        at_most: seconds; None: as long as it takes.
    Raises:
        BusyError: it took longer.
    """
    told = False
    since = time.monotonic()

    def be_patient(holder: str) -> None:
        nonlocal told
        if at_most is not None and time.monotonic() - since > at_most:
            raise BusyError(f"{path.parent}: {holder} is working in it; try again later")
        if not told:
            console.say(f"{path.parent}: waiting for {holder}, which is working in it")
            told = True
        time.sleep(SECONDS)

    with _held(path, be_patient):
        yield


@contextmanager
def _held(path: Path, on_busy: Callable[[str], None]) -> Iterator[None]:
    file = _acquire(path, on_busy)
    try:
        _sign(file)
        yield
    finally:
        # While it is still locked: nobody else can have it, so it is our own that goes.
        path.unlink(missing_ok=True)
        file.close()


def _acquire(path: Path, on_busy: Callable[[str], None]) -> IO[str]:
    storage.make_folder(path.parent)
    while True:
        try:
            file = path.open("a+", encoding="utf-8")
        except OSError as error:
            raise storage.failure(path, error) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with file:
                holder = _holder(file)
            on_busy(holder)
            continue
        # A file system without locks (some network mounts): the work is worth more than the guard.
        except OSError:
            return file
        if _is_at(path, file):
            return file
        # Its holder ended and removed it between `open` and `flock`: what is locked here is a file
        # without a name, which the next one would not see.
        file.close()


def _is_at(path: Path, file: IO[str]) -> bool:
    with suppress(OSError):
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    return False


def _sign(file: IO[str]) -> None:
    file.seek(0)
    file.truncate()
    holder = {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": time.strftime("%Y-%m-%d %H:%M:%S"),
        "command": " ".join(sys.argv)[:200],
    }
    # A full disk must not keep anybody from resuming, for that is when it is needed.
    with suppress(OSError):
        file.write(json.dumps(holder))
        file.flush()


def _holder(file: IO[str]) -> str:
    """Who holds a lock, in words."""
    try:
        file.seek(0)
        holder = json.load(file)
        return f"process {holder['pid']} on {holder['host']} (since {holder['since']})"
    # It has the lock and has not signed yet.
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
