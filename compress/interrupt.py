"""Ctrl-C while a file is being written: the write ends first, then the run stops."""
from __future__ import annotations

import signal
import threading
from contextlib import contextmanager


@contextmanager
def finish_first():
    """Hold SIGINT back inside the block; raise KeyboardInterrupt after it if one came."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came = []
    before = signal.signal(signal.SIGINT, lambda *_: came.append(True))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        raise KeyboardInterrupt
