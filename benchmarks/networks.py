"""Every network of teachers/ as published: parameters, arithmetic, exported bytes and latency in
ONNX Runtime against CTR-GCN.

Run: python benchmarks/networks.py [--csv FILE]

NTU-25 skeleton, two persons, 60 classes, each network with the number of frames it was published
with; random weights, which change neither bytes nor time. Latency: batch 1, one thread, the
networks in turn in one process, median; compare the ratios.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import teachers  # noqa: F401  (prepares the process for Paddle)

# isort: split
import numpy as np
import paddle

from benchmarks.tables import write_csv
from compress.process import console
from export import package, runtimes
from export.formats import onnx_model, table
from teachers import networks
from teachers.skeleton import NTU_25
from teachers.terminal import ending
from teachers.terminal.arguments import Parser
from teachers.terminal.output import show
from teachers.terminal.tables import Table
from teachers.weights import checkpoints

# Name, settings, frames and channels, as each paper has them: EfficientGCN takes three branches of
# six channels, and 288 frames.
VARIANTS: tuple[tuple[str, dict, int, int], ...] = (
    ("ctrgcn", {}, 64, 3),
    ("ctrgcn_light_v1", {}, 64, 3),
    ("ctrgcn_light_v2", {}, 64, 3),
    ("stgcn", {}, 100, 3),
    ("stgcnpp", {}, 100, 3),
    *(("efficientgcn", {"scale": scale}, 288, 18) for scale in range(5)),
    ("efficientgcn", {"layer": "epsep"}, 288, 18),
)
# Not timed: ONNX Runtime allocates its buffers in the first runs.
WARM_UP = 5


def measure(name: str, settings: dict, frames: int, channels: int, folder: Path) -> dict:
    """Export one network; its row without latency, and under "predict" what to time."""
    module = networks.module(name)
    spec = module.default_spec(60, NTU_25, frames, 2, channels, module.Config(**settings))
    # Any weights do, but the same in each run: the verification compares real numbers.
    paddle.seed(1)
    network = networks.build(spec)
    network.eval()
    clips = np.random.default_rng(0).standard_normal((2, *spec.input_shape)).astype("float32")
    with paddle.no_grad():
        reference = network(paddle.to_tensor(clips)).numpy()
    # The files that a run would ship, checked like them: a number of a wrong file is worth nothing.
    found = package.build(network, folder, ("paddle", "onnx"), {}, clips, reference)
    size = {path.name: path.stat().st_size for path in folder.iterdir()}
    return {
        "network": " ".join([name, *(f"{key}={value}" for key, value in settings.items())]),
        "frames": frames,
        "params": networks.parameters(spec),
        "macs": networks.macs(spec),
        "paddle_bytes": sum(size[file] for file in table.files("paddle")),
        "onnx_bytes": size[onnx_model.MODEL],
        "max_rel_diff": max(one["max_rel_diff"] for one in found.values()),
        "reads": "; ".join(checkpoints.layouts()[name]),
        "predict": runtimes.onnx_runtime(folder / onnx_model.MODEL),
        "clip": clips[:1],
    }


def time_in_turn(rows: list[dict], rounds: int) -> None:
    """Median milliseconds of every row, the networks taking turns; `predict` and `clip` are taken
    off the rows."""
    spent: list[list[float]] = [[] for _ in rows]
    with console.bar("latency", rounds, "rounds") as advance:
        for _ in range(rounds + WARM_UP):
            for row, times in zip(rows, spent, strict=True):
                started = time.perf_counter()
                row["predict"](row["clip"])
                times.append(1000 * (time.perf_counter() - started))
            advance(1)
    for row, times in zip(rows, spent, strict=True):
        # What is left is JSON and CSV.
        del row["predict"], row["clip"]
        row["onnx_ms"] = float(np.median(times[WARM_UP:]))
        # CTR-GCN is the first row; ratios survive another machine, milliseconds do not.
        row["latency_ratio"] = row["onnx_ms"] / rows[0]["onnx_ms"]


def main(arguments: list[str] | None = None) -> int:
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30, help="how often each network is timed")
    parser.add_argument("--csv", type=Path, help="write the table as CSV")
    options = parser.parse_args(arguments)
    rows = []
    with (
        tempfile.TemporaryDirectory() as temporary,
        console.bar("exports", len(VARIANTS), "networks") as advance,
    ):
        for number, (name, settings, frames, channels) in enumerate(VARIANTS):
            folder = Path(temporary) / str(number)
            rows.append(measure(name, settings, frames, channels, folder))
            advance(1)
    time_in_turn(rows, options.rounds)
    cells = [
        (
            row["network"],
            row["reads"],
            str(row["frames"]),
            f"{row['params']:,}",
            f"{row['macs'] / 1e9:.3f}",
            f"{row['paddle_bytes'] / 1e6:.2f}",
            f"{row['onnx_bytes'] / 1e6:.2f}",
            f"{row['latency_ratio']:.2f}",
            f"{row['max_rel_diff']:.0e}",
        )
        for row in rows
    ]
    figures = ("frames", "params", "GMACs", "Paddle MB", "ONNX MB", "ms / CTR-GCN", "rel. diff.")
    show(Table(("network", "reads", *figures), cells, names=2))
    if options.csv:
        write_csv(options.csv, rows, list(rows[0]))
    ending.print_last_line({"rows": rows})
    return 0


if __name__ == "__main__":
    sys.exit(main())
