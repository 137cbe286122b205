"""The benchmark of the training step runs, and compares two forms of one network."""

import json

from benchmarks import train_step


def test_prints_the_ratio_of_medians(capsys):
    assert train_step.main(["--steps", "1", "--batch", "2", "--device", "cpu"]) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert said["ratio"] == said["median_seconds"]["published"] / said["median_seconds"]["ours"]
    assert max(said["agreement"].values()) < 1e-9
