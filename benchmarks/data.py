"""Data: does the loader keep up with training, how long does a prepared set take to open, how fast
are raw recordings prepared.

Run: python benchmarks/data.py [--clips 400] [--open-clips 114480] [--nw-ucla FOLDER]

Everything is measured in one process, one after the other: samples a second of the loader alone
(augmentation included, two threads) against those that a training step of CTR-GCN consumes; seconds
to open a prepared set; clips a second prepared from generated `.skeleton` files with planted
defects, against a straightforward reader, which splits lines one by one, in one process.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import teachers  # noqa: F401  (prepares the process for Paddle)

# isort: split
import numpy as np
import paddle

from benchmarks import raw_ntu
from benchmarks.train_step import Stepper
from compress.data import loader, ntu, nw_ucla
from compress.data.ntu import build, clean, naming, shards
from compress.data.ntu.skeleton_text import Body, Recording
from compress.inputs import (
    crop_resize,
    min_max_sample,
    view as views,
)
from compress.process import device
from compress.reporting import provenance
from compress.training.mixup import soft_labels
from teachers import ctrgcn, networks, storage
from teachers.errors import DataError
from teachers.terminal import ending
from teachers.terminal.arguments import Parser
from teachers.terminal.output import show

INPUTS = {"ntu": crop_resize, "nw_ucla": min_max_sample}
# Of the loader, at least: in a few batches one would time the start of its threads.
SAMPLES = 1500


def plain_reader(path: Path) -> Recording:
    """What one writes in ten minutes, as most published programs have it: line by line, joint by
    joint; believes every number."""
    lines = path.read_text().splitlines()
    frames = int(lines[0])
    at = 1
    bodies: dict[str, tuple[list, list, list]] = {}
    for frame in range(frames):
        count = int(lines[at])
        at += 1
        for position in range(count):
            name = lines[at].split()[0]
            joints = np.zeros((25, 3), np.float32)
            number = int(lines[at + 1])
            at += 2
            for joint in range(number):
                joints[joint] = np.array(lines[at].split()[:3], dtype=np.float32)
                at += 1
            there, places, values = bodies.setdefault(name, ([], [], []))
            there.append(frame)
            places.append(position)
            values.append(joints)
    return Recording(
        frames,
        {
            name: Body(np.array(there), np.array(places), np.stack(values))
            for name, (there, places, values) in bodies.items()
        },
    )


def preparation(root: Path, count: int, workers: int | None) -> dict:
    """Clips a second: ours with its cache written, and the plain reader with nothing written."""
    # Generated, for the public recordings may not be handed on; defects as often as one in ten, far
    # more than the real set has.
    planted = raw_ntu.write(root, count)
    started = time.perf_counter()
    # At least eight shards, or small sets would keep only one of several processes busy.
    report = build.open_or_build(
        root,
        "ctrgcn",
        workers=workers,
        # Here, not in the user's cache folder: it goes when the recordings go.
        folder=root / build.BESIDE,
        shard_clips=max(8, min(build.SHARD_CLIPS, count // 8)),
    ).report
    ours = time.perf_counter() - started
    files = sorted(root.rglob("*.skeleton"))
    failed = 0
    started = time.perf_counter()
    for path in files:
        try:
            clean.ctrgcn(plain_reader(path))
        except (ValueError, IndexError):  # it has no other answer to a broken file
            failed += 1
    plain = time.perf_counter() - started
    return {
        "files": planted["found"],
        "prepared": report["clips"]["prepared"],
        "skipped": report["skipped_because"],
        "clips_per_second": planted["found"] / ours,
        "plain_clips_per_second": planted["found"] / plain,
        "times_faster": plain / ours,
        "plain_failed": failed,
    }


def opening(root: Path) -> dict:
    """Seconds to open a set that is prepared, the median of five."""
    # The median of five: the first opening reads the disk, later ones the page cache.
    spent = []
    for _ in range(5):
        started = time.perf_counter()
        dataset = ntu.load(ntu.Config(str(root)), seed=1)
        spent.append(time.perf_counter() - started)
    return {"clips": len(dataset.train) + len(dataset.val), "seconds": float(np.median(spent))}


def large(root: Path, count: int) -> Path:
    """A folder of empty files and the cache that so many clips would have, but for its frames: for
    opening alone."""
    root.mkdir()
    for index in range(count):
        # Opening looks at names, sizes and times of the recordings, never into them.
        (root / f"{raw_ntu.name_of(index, 60)}.skeleton").touch()

    def stand_in(task: dict) -> dict:
        names = np.array([name[: naming.LENGTH] for name in task["files"]], f"S{naming.LENGTH}")
        arrays = {
            "names": names,
            "lengths": np.ones(len(names), np.int64),
            "frames": np.zeros(150 * len(names), np.float32),
        }
        meta = {"skipped": [], "repaired": [], "digest": "", "files": len(names)}
        storage.write_arrays(Path(task["target"]), arrays, meta)
        summary = shards.summary(Path(task["target"]))
        assert summary is not None, "it was written a line ago"
        return summary

    # With one worker all is done in this process, where a function can be replaced; to write so
    # many recordings first would take far longer than what is measured.
    made, shards.make = shards.make, stand_in
    try:
        build.open_or_build(root, "ctrgcn", workers=1, folder=root / build.BESIDE)
    finally:
        shards.make = made
    return root


def against_training(dataset, batch: int, steps: int, workers: int) -> dict:
    """Samples a second of the loader alone, and of a training step of CTR-GCN on its batches."""
    module = INPUTS[dataset.name]
    through = views.build(dataset.input, module.Config(), dataset)
    # A small set is read several times over, up to SAMPLES.
    order = np.tile(np.arange(len(dataset.train)), -(-SAMPLES // len(dataset.train)))
    first = None
    seen = 0
    started = time.perf_counter()
    chunks = loader.cut(order, batch)
    for x, _ in loader.batches(
        dataset.train, through.augment, chunks, (1,), workers, through.augment_batch
    ):
        first = x if first is None else first
        seen += len(x)
    loading = seen / (time.perf_counter() - started)
    if first is None:
        raise DataError(f"{dataset.name}: has no training clip; give a folder with some")
    C, T, _, M = through.shape
    step = Stepper(
        networks.build(ctrgcn.default_spec(len(dataset.classes), dataset.skeleton, T, M, C))
    )
    x = paddle.to_tensor(first)
    classes = paddle.to_tensor(np.arange(len(first)) % len(dataset.classes))
    labels = soft_labels(classes, len(dataset.classes))
    # The first step builds kernels and buffers, and is left out.
    spent = [step(x, labels)[1] for _ in range(steps + 1)][1:]
    training = len(first) / float(np.median(spent))
    return {
        "input": list(through.shape),
        "loader_samples_per_second": loading,
        "training_samples_per_second": training,
        "ratio": loading / training,
    }


def main(arguments: list[str] | None = None) -> int:
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=400, help="generated recordings")
    parser.add_argument(
        "--open-clips",
        type=int,
        default=0,
        help="also open a set of so many clips (NTU RGB+D 120 has 114480 files)",
    )
    parser.add_argument(
        "--nw-ucla", type=Path, help="the NW-UCLA folder, to measure its loader too"
    )
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args(arguments)
    device.select("auto")
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), options)
    prepared = found["preparation"]
    show(
        f"preparation: {prepared['clips_per_second']:.0f} clips/s ({options.workers} processes,"
        f" cache written), plain reader {prepared['plain_clips_per_second']:.0f} clips/s (nothing"
        f" written, {prepared['plain_failed']} files it cannot read):"
        f" {prepared['times_faster']:.1f}x"
    )
    for one in found["opening"]:
        show(f"opening {one['clips']} prepared clips: {one['seconds']:.3f} s")
    for name, one in found["loader"].items():
        show(
            f"{name} {one['input']}: loader {one['loader_samples_per_second']:.0f} samples/s, a"
            f" training step consumes {one['training_samples_per_second']:.1f}: {one['ratio']:.0f}x"
        )
    ending.print_last_line(
        {
            **found,
            "commit": provenance.commit(),
            "hardware": asdict(provenance.hardware()),
            "versions": provenance.versions(),
        },
    )
    return 0


def measure(folder: Path, options) -> dict:
    """All figures."""
    found: dict = {
        "preparation": preparation(folder / "raw", options.clips, options.workers),
        "opening": [opening(folder / "raw")],
    }
    if options.open_clips:
        found["opening"].append(opening(large(folder / "many", options.open_clips)))
        shutil.rmtree(folder / "many")
    # The set that was just prepared: this figure needs no public recordings.
    sets = {"ntu": ntu.load(ntu.Config(str(folder / "raw")), seed=1)}
    if options.nw_ucla:
        sets["nw_ucla"] = nw_ucla.load(nw_ucla.Config(str(options.nw_ucla)), seed=1)
    found["loader"] = {
        name: against_training(dataset, options.batch, options.steps, options.workers)
        for name, dataset in sets.items()
    }
    return found


if __name__ == "__main__":
    sys.exit(main())
