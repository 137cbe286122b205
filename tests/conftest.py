"""Shared fixtures. Real data and checkpoints are optional: tests that need them skip with a reason."""
from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import teachers  # noqa: E402, F401  (prepares the process for Paddle before anything imports it)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real data, checkpoints and golden outputs (FEATHERBONE_SHARED, else `../shared`)."""
    path = Path(os.environ.get("FEATHERBONE_SHARED", ROOT.parent / "shared"))
    if not path.is_dir():
        pytest.skip(f"needs the real data and checkpoints of {path} (set FEATHERBONE_SHARED)")
    return path
