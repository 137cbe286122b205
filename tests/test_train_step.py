"""The benchmark of the training step runs, and compares two forms of one network."""

import json

import pytest

from benchmarks import train_step


def test_prints_the_ratio_of_medians(capsys):
    assert train_step.main(["--steps", "1", "--batch", "2", "--device", "cpu"]) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert said["ratio"] == said["median_seconds"]["published"] / said["median_seconds"]["ours"]
    assert max(said["agreement"].values()) < 1e-9


def test_a_step_of_pytorch_does_the_same_work(capsys):
    pytest.importorskip("torch")
    from benchmarks import torch_step

    assert torch_step.main(["--steps", "1", "--batch", "2"]) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    for kind in ("training", "distilling"):
        ours, theirs = said[kind]["losses"]
        # The first of the same weights; those after an update amplify its last bits.
        assert ours[0] == pytest.approx(theirs[0], rel=1e-5)
        assert ours[1] == pytest.approx(theirs[1], rel=0.2)
