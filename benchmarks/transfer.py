"""What fine-tuning is worth: NW-UCLA halved into five classes to train on first and five to go to.

Run: python benchmarks/transfer.py --root NW-UCLA --work DIR [--out FILE]

A CTR-GCN is trained on every other class. Then, for 5, 20 and 100 clips of each of the others and
three seeds, it is fine-tuned with a fresh classifier, and the same network is trained from nothing:
the same clips, schedule and number of iterations. Accuracy is that of the last epoch on the
camera that no training clip was seen by, so nothing is chosen on it. Every finished training is
kept in DIR; started again, the rest is done.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import teachers  # noqa: F401  (prepares the process for Paddle)

# isort: split
import json

import numpy as np
import paddle

from compress.data import nw_ucla
from compress.data.dataset import Dataset, Split
from compress.evaluation.evaluate import EvaluationSet
from compress.inputs import view as views
from compress.inputs.min_max_sample import Config as Input
from compress.inputs.view import View
from compress.process import device
from compress.training import objectives
from compress.training.curves import Curves
from compress.training.fit import fit
from compress.training.model import Model
from compress.training.settings import Config
from compress.training.trainer import Job
from compress.training.watch import Watch
from teachers import ctrgcn, networks, storage
from teachers.terminal import ending
from teachers.terminal.arguments import Parser
from teachers.terminal.output import show
from teachers.terminal.tables import Table
from teachers.weights import checkpoints, identity
from teachers.weights.transfer import Source, Target, carry

CLIPS = (5, 20, 100)
SEEDS = (1, 2, 3)
STARTS = ("fine-tuned", "from nothing")
# An epoch of so many iterations, whatever the number of clips: each ends with a validation, which
# would take longer than two batches do.
EPOCH = 40


@dataclass(frozen=True)
class Cell:
    """One training, finished."""

    start: str
    clips: int
    seed: int
    top1: float
    best_top1: float
    iterations: int
    seconds: float


@dataclass(frozen=True)
class Settings:
    """Of all trainings: the network's width, the frames it sees, and how long they last, in
    iterations."""

    width: int
    frames: int
    pretraining: int
    iterations: int
    lr: float


def half(dataset: Dataset, remainder: int) -> Dataset:
    """The classes whose number leaves this remainder by two, counted anew."""
    kept = [number for number in range(len(dataset.classes)) if number % 2 == remainder]

    def part(split: Split) -> Split:
        numbers = np.flatnonzero(np.isin(split.labels, kept))
        labels = np.searchsorted(kept, split.labels[numbers])
        return _chosen(split, numbers, labels)

    return replace(
        dataset,
        train=part(dataset.train),
        val=part(dataset.val),
        classes=tuple(dataset.classes[number] for number in kept),
        fingerprint=f"{dataset.fingerprint}/{remainder}",
    )


def few(dataset: Dataset, count: int, seed: int) -> Dataset:
    """With `count` training clips of each class, or as many as it has."""
    labels = dataset.train.labels
    rng = np.random.default_rng(seed)
    numbers: list[int] = []
    for label in range(len(dataset.classes)):
        drawn = rng.permutation(np.flatnonzero(labels == label))
        numbers.extend(drawn[:count].tolist())
    numbers.sort()
    return replace(
        dataset,
        train=_chosen(dataset.train, numbers, labels[numbers]),
        fingerprint=f"{dataset.fingerprint}/{count}/{seed}",
    )


def _chosen(split: Split, numbers: Sequence[int] | np.ndarray, labels: np.ndarray) -> Split:
    return Split(
        tuple(split.names[number] for number in numbers),
        [split.clips[number] for number in numbers],
        np.asarray(labels, "int64"),
    )


def schedule(clips: int, iterations: int, lr: float) -> Config:
    """So many iterations in epochs of `EPOCH`."""
    batch = 16
    repeat = max(round(EPOCH * batch / clips), 1)
    epochs = math.ceil(iterations / math.ceil(clips * repeat / batch))
    return Config(
        epochs=epochs,
        lr=lr,
        batch_size=batch,
        warmup_epochs=min(1.0, epochs / 2),
        weight_decay=4e-4,
        label_smoothing=0.1,
        repeat=repeat,
    )


class Bench:
    """The trainings of one work folder."""

    def __init__(self, dataset: Dataset, work: Path, settings: Settings):
        self.work = work
        self.settings = settings
        self.before = half(dataset, 0)
        self.after = half(dataset, 1)

    def pretrained(self) -> Path:
        """Weights trained on the first half of the classes."""
        path = self.work / "pretrained.npz"
        if not path.exists():
            network = self._fresh(self.before, 1)
            model = Model(network, self._view(self.before))
            config = schedule(len(self.before.train), self.settings.pretraining, self.settings.lr)
            history = self._fit(model, self.before, config, 1, "pretrained")
            top1 = history[-1]["val"]["student/top1"]
            checkpoints.save(path, network, model.about(self.before) | {"top1": top1})
        return path

    def cell(self, start: str, clips: int, seed: int) -> Cell:
        """One training, done or read back."""
        name = f"{start.replace(' ', '_')}_{clips}_{seed}"
        path = self.work / f"{name}.json"
        if path.exists():
            return Cell(**json.loads(path.read_text(encoding="utf-8")))
        dataset = few(self.after, clips, seed)
        view = self._view(dataset)
        network = self._fresh(dataset, seed)
        if start == STARTS[0]:
            network = self._carried(dataset, view)
        config = schedule(len(dataset.train), self.settings.iterations, self.settings.lr)
        began = time.monotonic()
        history = self._fit(Model(network, view), dataset, config, seed, name)
        tops = [record["val"]["student/top1"] for record in history]
        batches = math.ceil(len(dataset.train) * config.repeat / config.batch_size)
        cell = Cell(
            start,
            clips,
            seed,
            round(tops[-1], 2),
            round(max(tops), 2),
            batches * config.epochs,
            round(time.monotonic() - began, 1),
        )
        storage.write_text(path, json.dumps(asdict(cell)))
        return cell

    def _carried(self, dataset: Dataset, view: View) -> networks.nn.Layer:
        path = self.pretrained()
        spec, state, about = checkpoints.read(path)
        _, T, _, M = view.shape
        target = Target(tuple(dataset.classes), T, M, spec.skeleton)
        source = Source(str(path), spec, state, tuple(about["classes"]))
        return carry(source, target)[0]

    def _fresh(self, dataset: Dataset, seed: int) -> networks.nn.Layer:
        C, T, _, M = self._view(dataset).shape
        paddle.seed(seed)
        config = ctrgcn.Config(self.settings.width)
        classes = len(dataset.classes)
        return networks.build(ctrgcn.default_spec(classes, dataset.skeleton, T, M, C, config))

    def _view(self, dataset: Dataset) -> View:
        return views.build(nw_ucla.INPUT, Input(frames=self.settings.frames), dataset)

    def _fit(self, model: Model, dataset: Dataset, config: Config, seed: int, name: str) -> list:
        clips = EvaluationSet(dataset.val, model.view)
        watch = Watch(Curves(self.work / "curves"), name)
        job = Job(
            name,
            {"student": model},
            {},
            config,
            objectives.build(config),
            dataset,
            lambda view: clips,
            seed,
            self.work / f"{name}.state.npz",
            identity.of([config, asdict(self.settings), dataset.fingerprint, seed]),
            watch,
        )
        try:
            return fit(job).history
        finally:
            watch.end()


def table(cells: Sequence[Cell]) -> Table:
    """Mean and spread of the seeds, for each number of clips."""
    rows = []
    for clips in sorted({cell.clips for cell in cells}):
        columns = [str(clips)]
        means = []
        for start in STARTS:
            tops = [cell.top1 for cell in cells if (cell.start, cell.clips) == (start, clips)]
            means.append(float(np.mean(tops)) if tops else math.nan)
            spread = f" +- {np.std(tops, ddof=1):.2f}" if len(tops) > 1 else ""
            columns.append(f"{means[-1]:.2f}{spread} ({len(tops)})" if tops else "to come")
        rows.append((*columns, f"{means[0] - means[1]:+.2f}"))
    head = ("clips a class", *(f"{start}, top-1 %" for start in STARTS), "difference")
    return Table(head, rows, "NW-UCLA, five other classes; mean +- spread (seeds)")


@ending.command
def main(arguments: Sequence[str] | None = None) -> int:
    parser = Parser(prog="benchmarks/transfer.py", description=__doc__)
    parser.add_argument("--root", required=True, help="folder of NW-UCLA")
    parser.add_argument("--work", required=True, type=Path, help="where trainings are kept")
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--frames", type=int, default=52)
    parser.add_argument("--pretraining", type=int, default=1200, help="iterations")
    parser.add_argument("--iterations", type=int, default=400, help="of every other training")
    parser.add_argument("--lr", type=float, default=0.05)
    parser.add_argument("--out", type=Path, help="write all cells here")
    options = parser.parse_args(arguments)
    device.select("cpu")
    settings = Settings(
        options.width, options.frames, options.pretraining, options.iterations, options.lr
    )
    dataset = nw_ucla.load(nw_ucla.Config(options.root), 1)
    bench = Bench(dataset, options.work, settings)
    bench.pretrained()
    cells: list[Cell] = []
    # Seeds outermost: a bench that is stopped has whole rows of fewer seeds.
    for seed in SEEDS:
        for clips in CLIPS:
            for start in STARTS:
                cells.append(bench.cell(start, clips, seed))
                _write(options.out, settings, bench, cells)
        show(table(cells))
    ending.print_last_line({"settings": asdict(settings), "cells": [asdict(c) for c in cells]})
    return 0


def _write(path: Path | None, settings: Settings, bench: Bench, cells: Sequence[Cell]) -> None:
    if path is None:
        return
    record = {
        "settings": asdict(settings),
        "classes before": bench.before.classes,
        "classes": bench.after.classes,
        "cells": [asdict(cell) for cell in cells],
    }
    storage.write_text(path, json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
