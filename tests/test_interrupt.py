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


# Something that takes time to load: what the command's file imports, or what it loads later.
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
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_command_is_loaded_ends_it_at_once(when, number):
    process = started(when)
    assert process.stdout.readline() == "loading\n"
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    code = 128 + number
    assert (process.returncode, err) == (code, "error: interrupted before anything was begun\n")
    assert json.loads(out) == {"status": "interrupted", "exit_code": code, "error": "interrupted"}


# Paddle as far as signals go: its import takes SIGTERM, and `disable_signal_handler` gives the
# system's default in its place.
PADDLE = """
import os, signal, sys
signal.signal(signal.SIGTERM, lambda *_: os._exit(99))
print("importing", flush=True)
sys.stdin.readline()
def disable_signal_handler():
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
"""
LATE = """
import sys, time
from teachers.terminal import ending
@ending.command
def main():
    import paddle
    print("work", flush=True)
    time.sleep(60)
    return 0
sys.exit(main())
"""


@pytest.mark.parametrize("when", ["importing", "work"])
def test_sigterm_is_not_lost_to_paddle_whoever_imports_it(tmp_path, when):
    (tmp_path / "paddle.py").write_text(PADDLE)
    process = subprocess.Popen(
        [sys.executable, "-c", LATE],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
    )
    assert process.stdout.readline() == "importing\n"
    if when == "importing":
        # It waits for the import's end.
        process.send_signal(signal.SIGTERM)
        time.sleep(0.1)
        assert process.poll() is None
    process.stdin.write("go on\n")
    process.stdin.flush()
    if when == "work":
        assert process.stdout.readline() == "work\n"
        process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (143, "error: interrupted\n")
    assert json.loads(out)["status"] == "interrupted"


def test_sigterm_is_not_lost_to_the_real_paddle():
    process = subprocess.Popen(
        [sys.executable, "-c", LATE],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "work\n"
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (143, "error: interrupted\n")
    assert json.loads(out)["status"] == "interrupted"


def test_a_signal_after_the_last_line_changes_nothing():
    program = """
import atexit, os, signal
from teachers.terminal import interrupt
interrupt.while_loading(__name__)
from teachers.terminal import ending
atexit.register(lambda: [os.kill(os.getpid(), number) for number in interrupt.SIGNALS])
@ending.command
def main():
    return 3
raise SystemExit(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, timeout=30, check=False
    )
    assert (done.returncode, done.stderr) == (3, b"")
