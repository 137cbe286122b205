"""Every command ends in a message, a line of JSON and an exit code, whatever happens."""

import errno
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from compress import cli
from teachers.errors import BudgetExceeded, DataError
from teachers.terminal import ending

ROOT = Path(__file__).resolve().parents[1]
LONG = "x" * 300


def ended(capsys, error):
    @ending.command
    def main():
        raise error

    code = main()
    out, err = capsys.readouterr()
    last = json.loads(out)
    assert last["exit_code"] == code and last["error"] in err
    return code, last["status"], err


@pytest.mark.parametrize(
    "error, code, status, message",
    [
        (DataError("clip.npy: empty"), 1, "failed", "error: clip.npy: empty\n"),
        (BudgetExceeded("too large"), 2, "failed", "error: too large\n"),
        (KeyboardInterrupt(), 130, "interrupted", "error: interrupted\n"),
        (
            PermissionError(errno.EACCES, "Permission denied", "/data"),
            1,
            "failed",
            "error: /data: Permission denied; choose another folder, or mend its permissions\n",
        ),
        (
            OSError(errno.ENAMETOOLONG, "File name too long", "aaa"),
            1,
            "failed",
            "error: aaa: File name too long; choose a shorter name\n",
        ),
        (MemoryError(), 1, "failed", "error: out of memory"),
    ],
)
def test_what_a_user_can_cause_is_a_message(capsys, error, code, status, message):
    found_code, found_status, err = ended(capsys, error)
    assert (found_code, found_status) == (code, status)
    assert err.startswith(message) and "Traceback" not in err


def test_the_last_line_is_json_whatever_was_measured(capsys):
    def refuse(constant):
        raise ValueError(f"{constant} is no JSON")

    ending.print_last_line({"rows": [{"loss": math.nan, "max_rel_diff": math.inf, "top1": 50.0}]})
    last = json.loads(capsys.readouterr().out, parse_constant=refuse)
    assert last == {"rows": [{"loss": None, "max_rel_diff": None, "top1": 50.0}]}


def test_a_mistake_of_the_program_is_shown_whole(capsys):
    code, status, err = ended(capsys, ZeroDivisionError("division by zero"))
    assert (code, status) == (1, "failed")
    assert "Traceback" in err and "ZeroDivisionError: division by zero (a mistake in" in err


# (verb, arguments): input that no command can use, and paths longer than any file system takes.
BAD = [
    ("run", ["--nosuch"]),
    ("run", ["--recipe", LONG]),
    ("run", ["--recipe", "stgcn", "--output", LONG]),
    ("run", ["--recipe", "stgcn", "--output", LONG, "--resume"]),
    ("run", ["--recipe", "stgcn", "--output", "/proc/featherbone"]),
    ("run", ["--recipe", "stgcn", "--dry-run", "-o", "data.name=own", "-o", f"data.root={LONG}"]),
    ("run", ["--recipe", "stgcn", "--dry-run", "-o", f"teacher.weights={LONG}"]),
    ("export", ["--weights"]),
    ("export", ["--weights", LONG, "--out", "deploy"]),
    ("predict", ["--runtime", "nosuch"]),
    ("predict", [LONG, "clip.npy"]),
    ("accuracy", ["--recipe", "stgcn", "-o", "data.train_clips=12", LONG]),
    ("budget", []),
    ("budget", [LONG]),
    ("prepare", ["--workers", "0", "."]),
    ("prepare", [LONG]),
    ("convert", ["only_one"]),
    ("convert", [LONG, "net.npz"]),
    ("show", ["--draws", "x"]),
    ("show", [LONG]),
    ("show", ["clip.npy", "--output", f"{LONG}.gif"]),
    ("compare", ["one"]),
    ("compare", [LONG, LONG]),
    ("nosuch", []),
]


@pytest.mark.parametrize("verb, arguments", BAD)
def test_bad_arguments_end_every_command_alike(capsys, tmp_path, monkeypatch, verb, arguments):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clip.npy").write_bytes(b"")
    try:
        code = cli.main([verb, *arguments])
    except SystemExit as stopped:
        code = stopped.code
    out, err = capsys.readouterr()
    last = json.loads(out.splitlines()[-1])
    assert (code, last["exit_code"], last["status"]) == (1, 1, "failed")
    assert last["error"] and "Traceback" not in err
    assert "free some space" not in err


@pytest.mark.parametrize("encoding", ["gbk", "latin-1", "ascii"])
def test_an_encoding_without_a_sign_does_not_end_a_command(encoding):
    program = r"""
from teachers.terminal import ending
@ending.command
def main():
    from rich.console import Console
    print("\u2713 \u8d70\u8def \udcff")
    Console().print("[green]\u2713[/] \u2588\u2588")
    return 0
raise SystemExit(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        env=os.environ | {"PYTHONIOENCODING": encoding},
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(done.stdout.splitlines()) == 2


def test_nobody_reads_or_the_disk_is_full():
    program = """
from teachers.terminal import ending
@ending.command
def main():
    print("x" * 100_000)
    return 0
raise SystemExit(main())
"""
    command = [sys.executable, "-c", program]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        command, cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, timeout=60, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (ending.BROKEN_PIPE, b"")
    # As commands print, on either stream: rich exits with 1 by itself, which means "bad input" here.
    for stream, printed in (("stdout", "show"), ("stderr", "say")):
        program_of = program.replace('print("x" * 100_000)', f'{printed}("x" * 100_000)')
        imported = f"from teachers.terminal.output import {printed}"
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run(
            [sys.executable, "-c", f"{imported}\n{program_of}"],
            cwd=ROOT,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, stream: writer},
            timeout=60,
            check=False,
        )
        os.close(writer)
        assert (done.returncode, done.stdout or b"", done.stderr or b"") == (141, b"", b""), stream
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, timeout=60, check=False
        )
    assert done.returncode == 1
    assert done.stderr.startswith(b"error: No space left on device") and b"Trace" not in done.stderr
