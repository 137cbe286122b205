"""Ctrl-C and SIGTERM are never lost: not while a file is written, not where a library swallows them,
not while the command is loaded."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from teachers.terminal import interrupt

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def listening():
    before = {number: signal.getsignal(number) for number in interrupt.SIGNALS}
    with interrupt.listening():
        yield
    assert {number: signal.getsignal(number) for number in interrupt.SIGNALS} == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_swallowed_interrupt_is_raised_at_the_next_look(number):
    interrupt.check()  # none yet
    try:
        os.kill(os.getpid(), number)
        for _ in range(1000):
            pass
    # A library that swallows everything, the interrupt too, is what the next look guards against.
    except:  # noqa: E722, S110
        pass
    with pytest.raises(KeyboardInterrupt) as stopped:
        interrupt.check()
    assert interrupt.exit_code(stopped.value) == 128 + number


def test_a_write_ends_before_the_interrupt():
    written = []
    with pytest.raises(KeyboardInterrupt), interrupt.finish_first():
        os.kill(os.getpid(), signal.SIGTERM)
        written.append("all of it")
    assert written == ["all of it"]


def test_what_is_held_inside_what_is_held_stays_held():
    written = []
    with pytest.raises(KeyboardInterrupt), interrupt.finish_first():
        with interrupt.held():
            pass
        os.kill(os.getpid(), signal.SIGINT)
        written.append("all of it")
    assert written == ["all of it"]


def test_what_nohup_ignores_stays_ignored():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        interrupt.renew()
        os.kill(os.getpid(), signal.SIGHUP)
        assert not interrupt.came()
    finally:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


# A module that a command loads stands in for Paddle: it says when it is half loaded, and goes on
# when it is told to. Both ends of what is loaded are there: first the command's file, then `loading`.
STAND_IN = """
import sys
from teachers.terminal import interrupt
if "early" in sys.argv:
    interrupt.while_loading(__name__)
from teachers.terminal import ending

def load():
    print("loading", flush=True)
    try:
        sys.stdin.readline()
    except BaseException:
        print("swallowed", flush=True)

if "early" in sys.argv:
    load()

@ending.command
def main():
    with interrupt.loading():
        load()
    print("work", flush=True)
    return 0

sys.exit(main())
"""


def started(*arguments):
    return subprocess.Popen(
        [sys.executable, "-c", STAND_IN, *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("when", ["early", "late"])
def test_ctrl_c_while_the_command_is_loaded_ends_it_at_once(when):
    process = started(when)
    assert process.stdout.readline() == "loading\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err == "error: interrupted before anything was begun\n"
    assert json.loads(out) == {"status": "interrupted", "exit_code": 130, "error": "interrupted"}


@pytest.mark.parametrize("when", ["early", "late"])
def test_sigterm_while_the_command_is_loaded_waits_and_is_not_lost(when):
    process = started(when)
    assert process.stdout.readline() == "loading\n"
    process.send_signal(signal.SIGTERM)
    time.sleep(0.2)
    assert process.poll() is None
    out, err = process.communicate("go on\n", timeout=30)
    assert process.returncode == 143
    assert err.startswith("error: interrupted") and "work" not in out
    assert json.loads(out.splitlines()[-1])["exit_code"] == 143


def test_sigterm_comes_through_although_paddle_takes_it_on_import():
    program = """
import sys, time
from teachers.terminal import ending, interrupt
@ending.command
def main():
    with interrupt.loading():
        import paddle
    print("ready", flush=True)
    time.sleep(60)
    return 0
sys.exit(main())
"""
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 143 and err == "error: interrupted\n"
    assert json.loads(out)["status"] == "interrupted"
