"""The fuzzer: it passes on a few hundred inputs, and would notice what it looks for."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks import fuzz, fuzz_inputs
from export.formats import paddle_version
from teachers.errors import DataError

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.skipif(paddle_version.major() > 2, reason="needs Paddle 2, to write a .pdmodel")
def test_a_short_run_finds_nothing(tmp_path):
    done = subprocess.run(
        [
            sys.executable,
            ROOT / "benchmarks" / "fuzz.py",
            "--inputs",
            "704",
            "--keep",
            tmp_path / "keep",
        ],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["inputs"] == found["accepted"] + found["refused"] == 704 and found["executed"] == 0
    assert found["written"] == []
    assert (
        all(row["accepted"] and row["refused"] for row in found["kinds"])
        and not (tmp_path / "keep").exists()
    )


def refuse(data):
    raise DataError("no")


def exhaust(data):
    raise DataError("MemoryError: Unable to allocate 32.0 GiB")


@pytest.mark.parametrize(
    "read, outcome",
    [
        (len, "accepted"),
        (refuse, "refused"),
        (exhaust, "out of memory"),
        (lambda data: data["x"], "crashed"),
        (lambda data: time.sleep(5), "hung"),
    ],
)
def test_every_outcome_is_told_apart(read, outcome, monkeypatch):
    import signal

    before = signal.signal(signal.SIGALRM, fuzz._hung)
    try:
        assert fuzz.judge(read, b"", 0.05)[0] == outcome
    finally:
        signal.signal(signal.SIGALRM, before)


def test_seeds_are_valid_and_the_hostile_ones_would_execute(tmp_path):
    marker = tmp_path / "executed"
    for kind, read in fuzz_inputs.readers(tmp_path).items():
        valid = [
            data for data in fuzz_inputs.seeds(marker)[kind] if str(marker).encode() not in data
        ]
        read(valid[0])
    assert not marker.exists()
    pickle.loads(fuzz_inputs.hostile(marker)[0])
    assert marker.exists()


def test_damaged_headers_of_arrays_are_refused(tmp_path):
    """numpy 1.26 lets SyntaxError and TokenError through."""
    from compress.data import arrays

    path = tmp_path / "x.npy"
    np.save(path, np.zeros((2, 3)))
    whole = path.read_bytes()
    for damage in (
        whole.replace(b"(2, 3)", b"(2, \x00)"),
        whole.replace(b"(2, 3)", b"(2, 3 "),
        whole.replace(b"(2, 3)", b"(-2,3)"),
        whole.replace(b"(2, 3)", b"'2, 3'"),
        whole.replace(b"<f8", b"|O8"),
        whole[:-1],
        b"PK\x03\x04" + whole,
    ):
        path.write_bytes(damage)
        with pytest.raises(
            DataError, match="x.npy: not a readable .npy file of numbers, or truncated"
        ):
            arrays.open_npy(path)
