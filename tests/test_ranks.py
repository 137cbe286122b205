"""Several processes: how a batch is shared out, and a training of two against one."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from compress.process import ranks
from compress.training import mixup, shares
from compress.training.settings import Config, Mixup
from tests import ranks_job

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def rank_of(monkeypatch):
    """(index, count): this process from now on."""

    def become(index, count):
        monkeypatch.setattr(ranks, "_group", ranks._Group(count, index))

    return become


def shared(rank_of, count, clips, batch_size, **keys):
    config = Config(epochs=1, lr=0.1, batch_size=batch_size, **keys)
    order = np.random.default_rng(5).permutation(clips)
    found = []
    for index in range(count):
        rank_of(index, count)
        found.append(shares.of_epoch(order, config, np.random.default_rng(6)))
    return order, list(zip(*found, strict=True))


@pytest.mark.parametrize("count, clips, batch_size", [(1, 26, 8), (2, 26, 8), (3, 26, 8)])
def test_every_clip_is_in_one_share_and_weighs_alike(rank_of, count, clips, batch_size):
    order, batches = shared(rank_of, count, clips, batch_size)
    assert len(batches) == 4
    for number, parts in enumerate(batches):
        chunk = order[number * batch_size : (number + 1) * batch_size]
        assert all(part.own == len(part.clips) and part.size == len(chunk) for part in parts)
        assert sum(part.weight for part in parts) == pytest.approx(1)
        # Too few for all: everybody has the whole batch
        if len(chunk) < count:
            assert all(list(part.clips) == list(chunk) for part in parts)
        else:
            assert [clip for part in parts for clip in part.clips] == list(chunk)
            assert all(part.weight == part.own / len(chunk) for part in parts)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_share_is_blended_as_the_whole_batch_would_be(rank_of, count):
    paddle = pytest.importorskip("paddle")
    order, batches = shared(rank_of, count, 26, 8, mixup=Mixup(0.5))
    rng = np.random.default_rng(6)
    for number, parts in enumerate(batches):
        chunk = order[number * 8 : number * 8 + 8].astype("float32")
        lam, permutation = mixup.draw(0.5, len(chunk), rng)
        wanted = lam * chunk + (1 - lam) * chunk[permutation]
        blended = []
        for part in parts:
            assert part.blend[0] == lam and len(part.blend[1]) == part.own
            x = paddle.to_tensor(part.clips.astype("float32"))
            blended.append(mixup.blend(x, lam, paddle.to_tensor(part.blend[1])).numpy())
        found = blended[0] if len(chunk) < count else np.concatenate(blended)
        np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_one_process_does_all_by_itself():
    assert (ranks.count(), ranks.index(), ranks.is_first()) == (1, 0, True)
    assert ranks.gathered("x") == ["x"] and ranks.from_first(lambda: 3) == 3
    problem = ValueError("x")
    assert ranks.failed(problem) is problem


@pytest.fixture(scope="module")
def of_two(tmp_path_factory, tiny_dataset, tiny_spec):
    """What two processes come to, `ranks_job.main`."""
    folder = tmp_path_factory.mktemp("ranks")
    data = folder / "data.pickle"
    data.write_bytes(pickle.dumps((tiny_dataset, tiny_spec)))
    result = folder / "runs" / "result.json"
    result.parent.mkdir()
    command = [sys.executable, "-m", "paddle.distributed.launch", "--nproc_per_node", "2"]
    command += ["--log_dir", str(folder / "log"), str(ROOT / "tests/ranks_job.py")]
    done = subprocess.run(
        [*command, str(data), str(result)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert result.exists(), done.stdout[-3000:] + done.stderr[-3000:]
    return json.loads(result.read_text())


def test_two_with_one_batch_norm_train_as_one_does(of_two, tiny_dataset, tiny_spec, tmp_path):
    """Losses to 1e-6 after one iteration, and the same clips counted; later, rounding grows."""
    losses, history, weights = ranks_job.train(tiny_dataset, tiny_spec, tmp_path)
    found = of_two["synced"]
    np.testing.assert_allclose(found[0][:2], losses[:2], atol=1e-6)
    np.testing.assert_allclose(found[0], losses, atol=1e-3)
    assert [row["val"]["student/top1"] for row in found[1]] == [
        row["val"]["student/top1"] for row in history
    ]
    for name, value in weights.items():
        np.testing.assert_allclose(found[2][name], value, atol=1e-3, err_msg=name)
    # Per process, statistics are of half a batch
    assert abs(of_two["plain"][0][0] - losses[0]) > 1e-5


def test_two_agree_and_do_the_same_again(of_two):
    assert of_two["gathered"] == [0, 1] and of_two["first"] == 0
    for name in ("synced", "plain", "again"):
        assert of_two[name][3] == 1, f"{name}: the processes end with different weights"
    assert of_two["plain"] == of_two["again"]
    assert of_two["resumed"] == [[], True]


def test_one_of_them_writes(of_two):
    assert {"plain/state.npz", "synced/state.npz"} <= set(of_two["files"])
    assert not [name for name in of_two["files"] if "partial" in name]


def test_what_stops_one_stops_all_and_is_told_by_the_first(of_two):
    assert of_two["failed"] == (
        "process 1 of 2: clip 'val13': cannot be prepared (ValueError: no such frame)"
    )
