"""The process is prepared for Paddle by whatever of the project is imported first."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def test_paddleslim_imports_after_paddle_in_a_fresh_interpreter():
    """Paddle before zlib breaks scipy and sklearn behind paddleslim; `teachers` must prevent it."""
    if importlib.util.find_spec("paddleslim") is None:
        pytest.skip("needs PaddleSlim, which the set of Paddle 3 leaves out")
    code = "import teachers, paddle, paddleslim, sklearn; print('ok')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout.strip().endswith("ok"), done.stderr[-2000:]


def test_project_imports_without_a_warning():
    code = "import compress.pipeline, export.serving, benchmarks.accuracy; print('ok')"
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:__main__", "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout.strip().endswith("ok"), done.stderr[-2000:]
    assert "Warning" not in done.stderr
