"""Ctrl-C and SIGTERM: a file that is being written ends first, no library can swallow them, and at
any moment they end in a message and not in a traceback.

Paddle 2.6.2 has bare `except:` clauses (in tracing, for example) in which a KeyboardInterrupt is
lost, so a signal is remembered, and looked at again between the stages of a run. And on import it
puts handlers of its own in the place of ours (for SIGTERM among others; with them the process may
hang), so while it is imported, whoever does that, SIGTERM waits, and then is taken back.
"""

from __future__ import annotations

import functools
import importlib.abc
import importlib.util
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

# SIGHUP as well: it comes when a terminal or a connection is closed.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# 128 + the signal's number is what shells report for a process that it ended.
EXIT_CODES = tuple(128 + number for number in SIGNALS)
# Those that Paddle replaces.
REPLACED = (signal.SIGTERM,)

# Of the process, as signal handlers are.
_came: int | None = None
_held = False
_listens = False


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
            # The process of a command that has ended and said how: nothing is left to stop, and
            # Python takes half a second to unload Paddle, in which the exit code would change.
            signal.signal(number, signal.SIG_IGN if handler is _leave else handler)


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
    """Take the signals back from whatever library has put its own handlers there."""
    # Python sets handlers in the main thread only.
    if not _listens or threading.current_thread() is not threading.main_thread():
        return
    _watch_paddle()
    for number in SIGNALS:
        # nohup's process goes on when its terminal is closed, `command &` in a script at Ctrl-C:
        # what is ignored from the start stays so.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)


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
    _watch_paddle()
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _leave)


def release_from_paddle(handlers: Mapping[signal.Signals, Any] | None = None) -> None:
    """Undo Paddle's handlers; `handlers` are those that were there before its import, by default
    those that Python knows of."""
    if handlers is None:
        handlers = {number: signal.getsignal(number) for number in REPLACED}
    # Half-way through an import that failed it has no such function.
    disable = getattr(sys.modules.get("paddle"), "disable_signal_handler", None)
    if disable is not None:
        # It sets the system's defaults.
        disable()
    # Python sets handlers in the main thread only.
    if threading.current_thread() is not threading.main_thread():
        return
    for number, handler in handlers.items():
        # None: installed by something that is not Python, and not to be had back from here.
        if handler is not None:
            signal.signal(number, handler)


class _PaddleWatch(importlib.abc.MetaPathFinder):
    """Stands before all other finders until Paddle is imported.

    Not a call beside the import: recipes, networks and runtimes are looked up by name, and each of
    them may be the first to import it.
    """

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        # Imported by another thread, it leaves the main thread's signals as they are.
        if name != "paddle" or threading.current_thread() is not threading.main_thread():
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            # Typed as a method that cannot be assigned to.
            vars(spec.loader)["exec_module"] = functools.partial(
                _import_held, spec.loader.exec_module
            )
        return spec


def _import_held(exec_module: Callable[[ModuleType], None], module: ModuleType) -> None:
    handlers = {number: signal.getsignal(number) for number in REPLACED}
    signal.pthread_sigmask(signal.SIG_BLOCK, REPLACED)
    try:
        exec_module(module)
    finally:
        release_from_paddle(handlers)
        # One that came meanwhile comes now, to the handler that was there before.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, REPLACED)


def _watch_paddle() -> None:
    watched = any(isinstance(finder, _PaddleWatch) for finder in sys.meta_path)
    if not watched and "paddle" not in sys.modules:
        sys.meta_path.insert(0, _PaddleWatch())


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
