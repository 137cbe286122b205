"""Ctrl-C: a file that is being written ends first, and no library can swallow it.

Paddle 2.6.2 has bare `except:` clauses (in tracing, for example) in which a KeyboardInterrupt is
lost, so the signal is remembered, and looked at again between the stages of a run.
"""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager

# Of the process, as signal handlers are.
_came = False
_held = False


def remember() -> None:
    """From now on keep in mind that SIGINT came; it interrupts as before."""
    global _came
    _came = False
    _listen()


def check() -> None:
    """Raise KeyboardInterrupt if SIGINT came since `remember`, whatever has become of it."""
    if _came:
        raise KeyboardInterrupt


@contextmanager
def finish_first():
    """Hold SIGINT back inside the block; raise KeyboardInterrupt after it if one came."""
    global _held
    _listen()
    _held = True
    try:
        yield
    finally:
        _held = False
    # Outside `finally`: an error of the block itself says more than that somebody also pressed
    # Ctrl-C.
    check()


def _listen() -> None:
    # Python sets handlers in the main thread only. Set again at every use, since a library may
    # have put its own there in the meantime.
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, _interrupt)


def _interrupt(number: int, frame) -> None:
    global _came
    _came = True
    # Python's own handler raises KeyboardInterrupt here and now, in whatever line runs.
    if not _held:
        signal.default_int_handler(number, frame)
