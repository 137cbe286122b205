"""`--deterministic`: set before Paddle is loaded, and in the report."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from compress.process import deterministic
from compress.reporting.record import Provenance, Report, from_json, to_json
from export.formats import paddle_version
from teachers.errors import RecipeError

ROOT = Path(__file__).resolve().parents[1]
# A process of its own: this one has loaded Paddle, which reads flags once.
SCRIPT = """
import json, os
os.environ["OMP_NUM_THREADS"] = "2"
from compress.process import deterministic
fixed = deterministic.enforce()
import teachers, paddle
# Paddle 3 has no such flag.
known = paddle.__version__.startswith("2.")
flags = paddle.get_flags("FLAGS_cpu_deterministic") if known else None
print(json.dumps([fixed, os.environ["OMP_NUM_THREADS"], flags]))
"""


def test_paddle_reads_what_is_set():
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, check=True
    )
    fixed, threads, flags = json.loads(done.stdout.splitlines()[-1])
    assert fixed == list(deterministic.settings())
    # Over the shell's two.
    assert threads == "1"
    assert flags in ({"FLAGS_cpu_deterministic": True}, None)
    assert (flags is None) == (paddle_version.major() > 2)
    # No warning of a flag that Paddle does not know.
    assert "deterministic" not in done.stderr


def test_where_paddle_is_loaded_it_is_refused_and_nothing_is_set(monkeypatch):
    monkeypatch.setitem(sys.modules, "paddle", None)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    with pytest.raises(RecipeError, match="Paddle is loaded already.* FLAGS_cudnn_deterministic=1"):
        deterministic.enforce()
    assert os.environ["OMP_NUM_THREADS"] == "3"


def test_the_report_says_what_was_set():
    report = Report(
        recipe="x", output="x", provenance=Provenance(deterministic=deterministic.settings())
    )
    again = from_json(json.loads(json.dumps(to_json(report))))
    assert again.provenance.deterministic == deterministic.settings()
    # Reports of before the field.
    older = to_json(report)
    del older["provenance"]["deterministic"]
    assert from_json(older).provenance.deterministic == ()
