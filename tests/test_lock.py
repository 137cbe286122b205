"""Two processes never work in one folder, and a dead one keeps nobody out."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from compress.process import lock
from teachers.errors import BusyError

ROOT = Path(__file__).resolve().parents[1]
HOLDER = """
import sys, time
from pathlib import Path
from compress.process import lock
with lock.hold(Path(sys.argv[1]), ""):
    print("held", flush=True)
    sys.stdin.readline()
"""


def holder(path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    return process


def test_the_second_is_told_who_holds_it(tmp_path):
    path = tmp_path / "run" / "run.lock"
    process = holder(path)
    with pytest.raises(BusyError) as refused, lock.hold(path, "type the same again"):
        pytest.fail("both hold it")
    start = f"{tmp_path / 'run'}: process {process.pid} on {socket.gethostname()} (since 2"
    assert str(refused.value).startswith(start)
    assert str(refused.value).endswith("is working in it; type the same again")
    process.communicate("\n")
    with lock.hold(path, ""):
        assert json.loads(path.read_text())["pid"] == os.getpid()
    assert list((tmp_path / "run").iterdir()) == []


def test_a_lock_of_a_killed_process_is_taken_over(tmp_path):
    path = tmp_path / "run.lock"
    process = holder(path)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert path.exists()
    with lock.hold(path, ""):
        assert json.loads(path.read_text())["pid"] == os.getpid()
    assert not path.exists()


def test_a_lock_that_is_removed_in_the_moment_of_taking_it_is_taken_again(tmp_path, monkeypatch):
    path = tmp_path / "run.lock"
    taken = []
    flock = lock.fcntl.flock

    def removed_first(file, how):
        if not taken:
            # Its holder ended just now.
            path.unlink()
        taken.append(how)
        flock(file, how)

    monkeypatch.setattr(lock.fcntl, "flock", removed_first)
    with lock.hold(path, ""):
        assert len(taken) == 2 and path.exists()


def test_the_second_waits_where_that_is_asked_for(tmp_path, capsys):
    path = tmp_path / "cache.lock"
    process = holder(path)
    # It ends only once the waiting one has looked twice.
    threading.Timer(3 * lock.SECONDS, lambda: process.communicate("\n")).start()
    with lock.wait(path):
        assert process.poll() is not None or process.wait(timeout=10) == 0
    err = capsys.readouterr().err
    assert f"waiting for process {process.pid} on" in err and len(err.splitlines()) == 1
