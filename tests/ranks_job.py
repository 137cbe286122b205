"""A small training that `test_ranks.py` runs in one process and, started by Paddle's launcher, in
two: `ranks_job.py DATA.pickle RESULT.json`."""

import dataclasses
import json
import os
import pickle
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
# 26 training clips: batches of 8, 8, 8 and 2.
KEYS = {"epochs": 2, "lr": 0.05, "batch_size": 8, "ema": 0.9}


def train(dataset, spec, folder, **keys):
    """(a training's losses of every batch, its history, its weights); `keys` of its Config."""
    import paddle

    from compress.evaluation.evaluate import EvaluationSet
    from compress.inputs import crop_resize, view as views
    from compress.process import ranks
    from compress.training import epoch, fit, objectives
    from compress.training.curves import Curves, NoCurves
    from compress.training.model import Model
    from compress.training.settings import Config, Mixup
    from compress.training.trainer import Job
    from compress.training.watch import Watch
    from teachers import networks
    from teachers.weights import identity

    config = Config(**KEYS, mixup=Mixup(0.5), **keys)
    paddle.seed(1)
    network = networks.build(spec)
    view = views.build("crop_resize", crop_resize.Config(frames=8, centre=False), dataset)
    losses = []

    def kept(trainer, number):
        means, of_batches = epoch.run_epoch(trainer, number)
        losses.extend(of_batches.tolist())
        return means, of_batches

    run_epoch, fit.run_epoch = fit.run_epoch, kept
    try:
        progress = fit.fit(
            Job(
                "test",
                {"student": Model(network, view)},
                {},
                config,
                objectives.build(config),
                dataset,
                lambda seen: EvaluationSet(dataset.val, seen),
                3,
                folder / "state.npz",
                identity.of([config]),
                Watch(Curves(folder / "curves") if ranks.is_first() else NoCurves(), "test"),
            )
        )
    finally:
        fit.run_epoch = run_epoch
    history = [{k: v for k, v in row.items() if k != "seconds"} for row in progress.history]
    weights = networks.state_of(network)
    return losses, history, {name: value.tolist() for name, value in weights.items()}


def _failing(dataset):
    """The data with a validation clip that cannot be read, in the second process's part."""

    class Damaged(list):
        def __getitem__(self, index):
            if index == len(self) - 1:
                raise ValueError("no such frame")
            return super().__getitem__(index)

    val = dataclasses.replace(dataset.val, clips=Damaged(dataset.val.clips))
    return dataclasses.replace(dataset, val=val)


def main():
    """In each process; the first one writes what came of it."""
    from compress.process import device, ranks

    dataset, spec = pickle.loads(Path(sys.argv[1]).read_bytes())
    result = Path(sys.argv[2])
    device.select("cpu")
    ranks.start(on_gpu=False)
    found = {"gathered": ranks.gathered(ranks.index()), "first": ranks.from_first(ranks.index)}
    for name, keys in (("synced", {"sync_bn": True}), ("plain", {}), ("again", {})):
        losses, history, weights = train(dataset, spec, result.parent / name, **keys)
        everywhere = ranks.gathered(json.dumps(weights))
        found[name] = [losses, history, weights, len(set(everywhere))]
    # With the state on disk it is resumed, and has nothing left to do.
    resumed = train(dataset, spec, result.parent / "plain")
    found["resumed"] = [resumed[0], resumed[2] == found["plain"][2]]
    try:
        train(_failing(dataset), spec, result.parent / "failing")
    except Exception as problem:  # noqa: BLE001
        found["failed"] = str(ranks.failed(problem))
    if ranks.is_first():
        found["files"] = sorted(str(p.relative_to(result.parent)) for p in result.parent.rglob("*"))
        result.with_suffix(".partial").write_text(json.dumps(found))
        result.with_suffix(".partial").rename(result)
    # The launcher ends the others as soon as one has failed.
    until = time.monotonic() + 60
    while not result.exists() and time.monotonic() < until:
        time.sleep(0.05)
    os._exit(0)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    np.seterr(all="ignore")
    main()
