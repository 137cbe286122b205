"""Work in processes of their own that know nothing of Paddle, and end by themselves when this one
is killed.

`multiprocessing` would import the main module in every worker, with Paddle in it, or fork a process
that has threads; and its workers stay behind after `kill -9`. Here a worker reads a task a line
from its standard input, which ends with this process.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from teachers.errors import FeatherboneError, StorageError

ROOT = Path(__file__).resolve().parents[2]


def run(function: str, tasks: Iterable[dict], workers: int) -> Iterator[tuple[dict, dict]]:
    """(task, reply) of `function`, "module:name", for every task, in the order the replies come.
    Both are JSON.

    Raises:
        FeatherboneError: what the function raised; StorageError where a worker ended without a
            word. All workers are ended.
    """
    module, name = function.split(":")
    command = [
        sys.executable,
        "-c",
        f"from compress.data.ntu.parallel import serve; from {module} import {name}; serve({name})",
    ]
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    waiting, processes, at_work = iter(tasks), [], {}
    with selectors.DefaultSelector() as ready:
        try:
            for task in (task for _, task in zip(range(workers), waiting)):
                process = subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
                )
                processes.append(process)
                at_work[process.pid] = task
                ready.register(process.stdout, selectors.EVENT_READ, process)
                _send(process, task)
            while ready.get_map():
                for key, _ in ready.select():
                    process, reply = key.data, _receive(key.data)
                    yield at_work[process.pid], reply
                    if (task := next(waiting, None)) is None:
                        ready.unregister(process.stdout)
                    else:
                        at_work[process.pid] = task
                        _send(process, task)
        finally:
            for process in processes:
                process.kill() if sys.exc_info()[0] else process.stdin.close()
            for process in processes:
                process.wait()
                process.stdout.close()


def serve(function: Callable[[dict], dict]) -> None:
    """A worker's life: a task in, a reply out, until there is no more."""
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C reaches the whole group; the parent decides
    for line in sys.stdin:
        try:
            reply = function(json.loads(line))
        except FeatherboneError as error:
            reply = {"error": type(error).__name__, "message": str(error)}
        try:
            print(json.dumps(reply), flush=True)
        except BrokenPipeError:  # the parent was killed
            os._exit(1)


def _send(process: subprocess.Popen, task: dict) -> None:
    try:
        process.stdin.write(json.dumps(task).encode() + b"\n")
        process.stdin.flush()
    except BrokenPipeError as error:
        raise _ended(process) from error


def _receive(process: subprocess.Popen) -> dict:
    line = process.stdout.readline()
    if not line.endswith(b"\n"):
        raise _ended(process)
    reply = json.loads(line)
    if "error" in reply:
        from teachers import errors  # its names are the tree of errors

        raise getattr(errors, reply["error"], FeatherboneError)(reply["message"])
    return reply


def _ended(process: subprocess.Popen) -> StorageError:
    return StorageError(
        f"a worker process ended with code {process.wait()}; if memory ran out, take fewer workers."
        " What is finished is kept: run it again to continue"
    )
