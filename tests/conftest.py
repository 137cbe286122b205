"""Shared fixtures. Real data and checkpoints are optional: what needs them skips and says why."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault(
    "OMP_NUM_THREADS", "1"
)  # tests run in two processes; two threads in each would slow both down

import teachers  # noqa: F401  (prepares the process for Paddle before anything imports it)

# isort: split


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real data, checkpoints and golden outputs (FEATHERBONE_SHARED, else
    `../shared`)."""
    path = Path(os.environ.get("FEATHERBONE_SHARED", ROOT.parent / "shared"))
    if not path.is_dir():
        pytest.skip(f"needs the real data and checkpoints of {path} (set FEATHERBONE_SHARED)")
    return path


@pytest.fixture(scope="session", autouse=True)
def _cache_of_these_tests(tmp_path_factory):
    """No test reads or writes the caches of whoever runs it."""
    os.environ["FEATHERBONE_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session", autouse=True)
def _signals_of_a_terminal():
    """Signals are taken as in a terminal: what a shell starts in the background ignores Ctrl-C, and
    hands that on to every process that a test starts."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
            signal.signal(number, usual)


TINY = [
    "-o",
    "data.train_clips=24",
    "-o",
    "data.val_clips=12",
    "-o",
    "teacher.width=8",
    "-o",
    "teacher.train.epochs=1",
    "-o",
    "steps.train.epochs=2",
    "-o",
    "budget.max_top1_drop=100",
]


@pytest.fixture(scope="session")
def tiny_spec():
    """A CTR-GCN of four narrow blocks on five joints, two persons, three classes: input (3, 8, 5,
    2)."""
    from teachers import ctrgcn
    from teachers.skeleton import Skeleton

    five = Skeleton("five", 5, ((2, 1), (3, 1), (4, 1), (5, 4)), centre=1)
    full = ctrgcn.default_spec(
        classes=3, skeleton=five, frames=8, persons=2, config=ctrgcn.Config(8)
    )
    return ctrgcn.drop_blocks(full, ("l2", "l3", "l6", "l7", "l9", "l10"))


@pytest.fixture(scope="session")
def tiny_dataset():
    """Forty clips of three classes that differ in which joint moves; input (3, 8, 5, 2)."""
    import numpy as np

    from compress.data.dataset import Dataset, Split
    from teachers.skeleton import Skeleton

    generator = np.random.default_rng(7)

    def split(name: str, count: int) -> Split:
        labels = np.arange(count, dtype=np.int64) % 3
        clips = generator.normal(0, 0.3, (count, 3, 8, 5, 2)).astype("float32")
        for clip, label in zip(clips, labels, strict=True):
            clip[:, :, label] += np.sin(np.arange(8, dtype="float32"))[None, :, None]
        # Whoever changes them changes them for every test behind.
        labels.flags.writeable = clips.flags.writeable = False
        return Split(tuple(f"{name}{index}" for index in range(count)), list(clips), labels)

    five = Skeleton("five", 5, ((2, 1), (3, 1), (4, 1), (5, 4)), centre=1)
    return Dataset(
        "tiny",
        split("train", 26),
        split("val", 14),
        ("one", "two", "three"),
        five,
        2,
        3,
        "tiny",
        (),
        "none",
    )


@pytest.fixture(scope="session")
def tiny_view():
    """The tiny clips as they are, turned a little in training."""
    from compress.inputs.view import View
    from export.preprocess import ops

    def augment(clip, rng):
        return ops.rotate(clip, ops.rotation(*rng.uniform(-0.2, 0.2, 3)))

    return View("tiny", (3, 8, 5, 2), (), augment, "tiny view")


@pytest.fixture(scope="session")
def randomised():
    """A function that gives a network weights at which every path carries a signal (alpha and
    BatchNorm included)."""
    import numpy as np

    from teachers import networks

    def randomise(network, seed: int = 0):
        generator = np.random.default_rng(seed)
        state = networks.state_of(network)
        for name, value in state.items():
            if name.endswith("_variance"):
                state[name] = generator.uniform(0.5, 2.0, value.shape).astype("float32")
            elif value.ndim <= 1 or "bias" in name:
                state[name] = (value + generator.normal(0, 0.3, value.shape)).astype("float32")
        networks.load_state(network, state, "test")
        network.eval()
        return network

    return randomise
