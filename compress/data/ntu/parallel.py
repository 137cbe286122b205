"""Work in processes of their own that know nothing of Paddle, and end by themselves when this one
is killed.

`multiprocessing` would import the main module in every worker, with Paddle in it, or fork a process
that has threads; and its workers stay behind after `kill -9`. Here a worker reads a task a line
from its standard input, which ends with this process.
"""

from __future__ import annotations

import itertools
import json
import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from teachers import errors
from teachers.errors import FeatherboneError, StorageError

# The project's folder: workers must find it wherever this process was started.
ROOT = Path(__file__).resolve().parents[3]
Json = dict[str, Any]


@dataclass
class _Worker:
    """A process and the task it has."""

    process: subprocess.Popen[bytes]
    tasks: IO[bytes]
    replies: IO[bytes]
    task: Json

    def send(self, task: Json) -> None:
        self.task = task
        try:
            self.tasks.write(json.dumps(task).encode() + b"\n")
            self.tasks.flush()
        except BrokenPipeError as error:
            raise self.ended() from error

    def receive(self) -> Json:
        line = self.replies.readline()
        # Killed in the middle of a line, the line has no end.
        if not line.endswith(b"\n"):
            raise self.ended()
        reply = json.loads(line)
        if "error" in reply:
            # By name: an exception is no JSON, and its class decides the exit code.
            kind = getattr(errors, reply["error"], FeatherboneError)
            raise kind(reply["message"])
        return reply

    def ended(self) -> StorageError:
        return StorageError(
            f"a worker process ended with code {self.process.wait()}; if memory ran out, take fewer"
            " workers. What is finished is kept: run it again to continue"
        )


def run(function: str, tasks: Iterable[Json], workers: int) -> Iterator[tuple[Json, Json]]:
    """(task, reply) of `function`, "module:name", for every task, in the order the replies come.
    Both are JSON.

    Raises:
        FeatherboneError: what the function raised; StorageError where a worker ended without a
            word. All workers are ended.
    """
    waiting = iter(tasks)
    running: list[_Worker] = []
    complete = False
    with selectors.DefaultSelector() as ready:
        try:
            for task in itertools.islice(waiting, workers):
                worker = _start(function, task)
                running.append(worker)
                ready.register(worker.replies, selectors.EVENT_READ, worker)
                worker.send(task)
            while ready.get_map():
                for key, _ in ready.select():
                    worker = key.data
                    reply = worker.receive()
                    yield worker.task, reply
                    # Tasks go out one at a time: recordings differ in length, so shares that were
                    # dealt in advance would leave processes idle at the end.
                    next_task = next(waiting, None)
                    if next_task is None:
                        ready.unregister(worker.replies)
                    else:
                        worker.send(next_task)
            complete = True
        finally:
            for worker in running:
                # Whoever still works on something is not waited for when another has failed, or
                # when the caller stops early.
                if complete:
                    worker.tasks.close()
                else:
                    worker.process.kill()
            for worker in running:
                worker.process.wait()
                worker.replies.close()


def _start(function: str, task: Json) -> _Worker:
    module, name = function.split(":")
    command = [
        sys.executable,
        "-c",
        f"from compress.data.ntu.parallel import serve; from {module} import {name}; serve({name})",
    ]
    paths = [str(ROOT)]
    if os.environ.get("PYTHONPATH"):
        paths.append(os.environ["PYTHONPATH"])
    # One thread each: there are as many processes as cores, and numpy would start as many threads
    # again in every one of them.
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    )
    assert process.stdin is not None and process.stdout is not None  # both are pipes
    return _Worker(process, process.stdin, process.stdout, task)


def serve(function: Callable[[Json], Json]) -> None:
    """A worker's life: a task in, a reply out, until there is no more."""
    # Both reach the whole group; the parent decides, and its end is the end of standard input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for line in sys.stdin:
        try:
            reply = function(json.loads(line))
        except FeatherboneError as error:
            reply = {"error": type(error).__name__, "message": str(error)}
        try:
            print(json.dumps(reply), flush=True)
        # The parent was killed. _exit, as the usual way out would flush the broken pipe once more.
        except BrokenPipeError:
            os._exit(1)
