"""Ctrl-C and SIGTERM: a file that is being written ends first, no library can swallow them, and at
any moment they end in a message and not in a traceback.

Paddle 2.6.2 has bare `except:` clauses (in tracing, for example) in which a KeyboardInterrupt is
lost, so a signal is remembered, and looked at again between the stages of a run. And on import it
puts handlers of its own in the place of ours (for SIGTERM among others; with them the process may
hang), so while anything is loaded SIGTERM waits, and the handlers are set again afterwards.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

# SIGHUP as well: it comes when a terminal or a connection is closed.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# 128 + the signal's number is what shells report for a process that it ended.
EXIT_CODES = tuple(128 + number for number in SIGNALS)
# Those that Paddle replaces. Not Ctrl-C: a person is not kept waiting for imports.
REPLACED = (signal.SIGTERM,)

# Of the process, as signal handlers are.
_came: int | None = None
_held = False
_listens = False
_waiting = False
_released = False


class Interrupted(KeyboardInterrupt):
    """A signal stopped the command. A KeyboardInterrupt, so that no `except Exception` takes it."""

    def __init__(self, number: int):
        super().__init__(signal.Signals(number).name)
        self.number = number


def exit_code(stopped: BaseException | None = None) -> int:
    """130 for Ctrl-C, 143 for SIGTERM."""
    number = getattr(stopped, "number", None) or _came or signal.SIGINT
    return 128 + number


def came() -> bool:
    """Whether a signal came since the command began, whatever has become of it."""
    return _came is not None


def check() -> None:
    """Raise Interrupted if a signal came, whatever has become of it."""
    if _came is not None:
        raise Interrupted(_came)


@contextmanager
def listening() -> Iterator[None]:
    """Inside the block, signals are remembered and raise Interrupted."""
    global _came, _listens
    # A command that another one calls (`featherbone run`) has the signals already.
    if _listens or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    _came = None
    _listens = True
    # Held: what came while the command was loaded comes now, and is for `check` to raise.
    with held():
        pass
    try:
        yield
    finally:
        _listens = False
        for number, handler in before.items():
            # While loading they print and leave, which is wrong once a command has ended.
            signal.signal(number, signal.SIG_DFL if handler is _leave else handler)


@contextmanager
def finish_first() -> Iterator[None]:
    """Hold signals back inside the block; raise Interrupted after it if one came."""
    with held():
        yield
    # Not where the block raised: its error says more than that somebody also pressed Ctrl-C.
    check()


@contextmanager
def held() -> Iterator[None]:
    """Hold signals back inside the block; `check` still tells."""
    global _held
    outer = _held
    _held = True
    renew()
    try:
        yield
    finally:
        _held = outer


def renew() -> None:
    """Take the signals back from Paddle, if it was loaded since."""
    global _waiting
    # Python sets handlers in the main thread only.
    if threading.current_thread() is not threading.main_thread():
        return
    _release_from_paddle()
    if _listens:
        for number in SIGNALS:
            # nohup's process goes on when its terminal is closed, `command &` in a script at
            # Ctrl-C: what is ignored from the start stays so.
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, _interrupt)
    if _waiting:
        _waiting = False
        signal.pthread_sigmask(signal.SIG_UNBLOCK, REPLACED)


def while_loading(module: str) -> None:
    """Called by a command's file first of all, with its `__name__`: until the command begins, a
    signal ends the process with a message.

    Nothing was begun, and an exception in the middle of an import is a traceback through other
    people's code, or is lost there.
    """
    # Imported, the module is somebody else's, and so are the signals.
    if module == "__main__":
        _leave_on_signals()


@contextmanager
def loading() -> Iterator[None]:
    """The same for what a command loads late, before it has begun anything."""
    if not _listens:
        yield
        return
    _leave_on_signals()
    try:
        yield
    finally:
        renew()


def _leave_on_signals() -> None:
    global _waiting
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _leave)
    # They wait in the kernel, and come when `renew` lets them.
    _waiting = True
    signal.pthread_sigmask(signal.SIG_BLOCK, REPLACED)


def _release_from_paddle() -> None:
    """Undo Paddle's handlers, once it is loaded."""
    global _released
    # Half-way through its import it has no such function yet.
    disable = getattr(sys.modules.get("paddle"), "disable_signal_handler", None)
    if _released or disable is None:
        return
    _released = True
    # It sets the system's defaults, also for handlers that a program around us has installed.
    handlers = {number: signal.getsignal(number) for number in REPLACED}
    disable()
    for number, handler in handlers.items():
        # None: installed by something that is not Python, and not to be had back from here.
        if handler is not None:
            signal.signal(number, handler)


def _interrupt(number: int, frame) -> None:
    global _came
    _came = number
    # As Python's own handler does, here and now, in whatever line runs.
    if not _held:
        raise Interrupted(number)


def _leave(number: int, frame) -> None:
    # What `ending` prints, which is not to be imported from here.
    line = {"status": "interrupted", "exit_code": 128 + number, "error": "interrupted"}
    # Past Python's streams: the signal may have come in the middle of a print.
    os.write(2, b"error: interrupted before anything was begun\n")
    if not os.isatty(1):
        os.write(1, json.dumps(line).encode() + b"\n")
    # No clean-up: modules are half loaded, and nothing has been opened.
    os._exit(128 + number)
