"""Ctrl-C is never lost: not while a file is written, and not where a library swallows it."""

import os
import signal

import pytest

from compress.process import interrupt


@pytest.fixture(autouse=True)
def remembered():
    before = signal.getsignal(signal.SIGINT)
    interrupt.remember()
    yield
    interrupt.remember()
    signal.signal(signal.SIGINT, before)


def test_a_swallowed_interrupt_is_raised_at_the_next_look():
    interrupt.check()  # none yet
    try:
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(1000):
            pass
    # A library that swallows everything, the interrupt too, is what the next look guards against.
    except:  # noqa: E722, S110
        pass
    with pytest.raises(KeyboardInterrupt):
        interrupt.check()


def test_a_write_ends_before_the_interrupt():
    written = []
    with pytest.raises(KeyboardInterrupt), interrupt.finish_first():
        os.kill(os.getpid(), signal.SIGINT)
        written.append("all of it")
    assert written == ["all of it"]
