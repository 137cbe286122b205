"""Several processes that do one run together, started by Paddle's own launcher: `python -m
paddle.distributed.launch --nproc_per_node 2 compress/run.py ...`.

Every process goes through the same run; the first one (rank 0) alone writes, prints and decides by
what is on disk. Everything here does nothing where there is one process. Paddle is loaded late: a
recipe is read without it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from teachers.errors import FeatherboneError
from teachers.terminal import output

Value = TypeVar("Value")
# Of the launcher: how many processes there are, and which of them this is.
COUNT = "PADDLE_TRAINERS_NUM"
INDEX = "PADDLE_TRAINER_ID"
LOCAL = "PADDLE_LOCAL_SIZE"
# In the store that the processes share: a process's message when it fails, and who has come to which
# meeting.
FAILED = "featherbone/failed"
WHY = "featherbone/why"
MEETING = "featherbone/meeting"
# Between two looks at a meeting, in seconds, at first and at most.
SOON = 0.0005
LATER = 0.1


class PeerEnded(FeatherboneError):
    """Another process of the run has failed or was killed; this one cannot go on without it."""


@dataclass
class _Group:
    """The processes as this one knows them; one process until `start`."""

    count: int = 1
    index: int = 0
    store: Any = None
    meetings: int = 0


_group = _Group()


def launched() -> bool:
    """Whether a launcher has started several processes."""
    return launched_as()[1] > 1


def launched_as() -> tuple[int, int]:
    """(which process of a launcher this is, of how many), for work that needs no meeting, such as
    making files; (0, 1) without a launcher."""
    return int(os.environ.get(INDEX) or 0), int(os.environ.get(COUNT) or 1)


def on_this_machine() -> int:
    """How many processes of the launcher share this machine."""
    return int(os.environ.get(LOCAL) or 1)


def count() -> int:
    """How many processes share the work."""
    return _group.count


def index() -> int:
    """Which of them this is, from 0."""
    return _group.index


def is_first() -> bool:
    """Whether this process is the one that writes."""
    return _group.index == 0


def start(on_gpu: bool) -> None:
    """Meet the other processes of the launcher: over gloo on CPUs, NCCL on GPUs. No-op without one.

    The device is current already.
    """
    if not launched():
        return
    if not on_gpu:
        # Else the GPU build would take NCCL for a run with `--device cpu`.
        os.environ["PADDLE_DISTRI_BACKEND"] = "gloo"
    from paddle import distributed
    from paddle.base import core

    distributed.init_parallel_env()
    _group.count = distributed.get_world_size()
    _group.index = distributed.get_rank()
    # The one that the processes met by. It goes on answering while collectives are blocked.
    _group.store = core.create_or_get_global_tcp_store()
    hush()


def hush() -> None:
    """Let the first process of a launcher alone talk; what stops another is printed all the same."""
    if launched_as()[0] > 0:
        output.err.quiet = True
        output.out.quiet = True


def meet() -> None:
    """Wait until every process is here, however long that takes.

    Raises:
        PeerEnded: one has failed instead.
    """
    if _group.count == 1:
        return
    _group.meetings += 1
    here = f"{MEETING}/{_group.meetings}"
    pause = SOON
    # Not by a collective: gloo, as Paddle 2.6.2 opens it, gives up after 30 seconds, and the first
    # process may write, or scan a network, for longer.
    with _together():
        _group.store.add(here, 1)
        while _group.store.add(here, 0) < _group.count:
            if (why := _told()) is not None:
                raise PeerEnded(why)
            time.sleep(pause)
            pause = min(2 * pause, LATER)


def gathered(value: Value) -> list[Value]:
    """The value of every process, in order."""
    if _group.count == 1:
        return [value]
    from paddle import distributed

    found: list[Value] = []
    meet()
    with _together():
        distributed.all_gather_object(found, value)
    return found


def from_first(make: Callable[[], Value]) -> Value:
    """What `make` returns or raises in the first process, in all of them. The others wait: it may
    read and write files and take any time, but not meet the others."""
    if _group.count == 1:
        return make()
    from paddle import distributed

    result: list[Any] = [None]
    if is_first():
        with alone():
            try:
                result = [(make(), None)]
            except FeatherboneError as problem:
                result = [(None, problem)]
    meet()
    with _together():
        distributed.broadcast_object_list(result, src=0)
    value, error = result[0]
    if error is not None:
        raise error
    return value


def only_first(do: Callable[[], object]) -> None:
    """Have the first process do something, write a file for example; afterwards it is done."""

    def done() -> None:
        do()

    from_first(done)


def add_up(values: Any) -> None:
    """Make a tensor, in place, the sum of those of all processes, which are at the same step: it
    waits for 30 seconds at most."""
    if _group.count == 1:
        return
    from paddle import distributed

    with _together():
        distributed.all_reduce(values)


def added(values: np.ndarray) -> np.ndarray:
    """The sum of the arrays of all processes, float64."""
    values = np.asarray(values, dtype=np.float64)
    # In the order of the processes, so that every one has the same bits.
    return values if _group.count == 1 else np.sum(np.stack(gathered(values)), axis=0)


def copy_first_of(tensors: Sequence[Any]) -> None:
    """Make each tensor, in place, that of the first process."""
    if _group.count == 1:
        return
    import paddle

    sent = from_first(lambda: [tensor.numpy() for tensor in tensors])
    if not is_first():
        for tensor, value in zip(tensors, sent, strict=True):
            paddle.assign(paddle.to_tensor(value), output=tensor)


@contextmanager
def alone() -> Iterator[None]:
    """Inside the block this process is the only one: what is shared out elsewhere is done here."""
    several = _group.count
    _group.count = 1
    try:
        yield
    finally:
        _group.count = several


def goes_on_alone() -> bool:
    """The work that is shared ends here: True in the first process, which goes on alone; the others
    have nothing left to do."""
    # All of them: one that is behind could still wait for the first.
    gathered(None)
    _group.count = 1
    return is_first()


def failed(problem: BaseException) -> BaseException:
    """Tell the others why this process ends; returns what stopped the run in truth, which may be
    what another one told."""
    if _group.store is None:
        return problem
    # A signal reaches all of them, and comes from the launcher when one has ended.
    if not isinstance(problem, PeerEnded | KeyboardInterrupt):
        _tell(problem)
        return problem
    told = _told()
    if told is None:
        return problem
    return PeerEnded(told)


def _tell(problem: BaseException) -> None:
    where = f"process {_group.index} of {os.environ.get(COUNT)}"
    kind = "" if isinstance(problem, FeatherboneError) else f"{type(problem).__name__}: "
    try:
        _group.store.set(WHY, f"{where}: {kind}{problem}")
        _group.store.add(FAILED, 1)
    # The process that keeps the store may be the one that has gone.
    except Exception:  # noqa: BLE001, S110  (its own message is printed all the same)
        pass


def _told() -> str | None:
    try:
        # `get` waits for what nobody has set; `add` of nothing does not.
        if _group.store.add(FAILED, 0) == 0:
            return None
        return _group.store.get(WHY).decode("utf-8", "replace")
    except Exception:  # noqa: BLE001  (the store has gone with its process)
        return None


@contextmanager
def _together() -> Iterator[None]:
    """Around what all processes do together: an error there is that another one has gone."""
    try:
        yield
    except PeerEnded:
        raise
    except Exception as error:
        raise PeerEnded(
            _told()
            or f"process {_group.index}: another process of this run has ended (killed, or out of"
            " memory?); everything finished is kept: run the same again with --resume"
        ) from error
