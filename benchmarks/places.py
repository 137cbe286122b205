"""Our files in the runtimes of their profiles beside what else runs the same weights, for clips of two
persons and of one.

Run: python benchmarks/places.py --network ctrgcn [--drop l10] [--rounds 30] [--csv FILE]

Fresh weights at NTU's shape, one thread. Each runs in turn with the default paddle2onnx file in ONNX
Runtime, in one process; compare the ratios to it. Optional tools: `pip install openvino torch`, then
`pip install 'setuptools<75'`, for PaddleSlim needs what later ones lack; and `npm install
onnxruntime-web` in a folder that ONNXRUNTIME_WEB names.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import teachers  # noqa: F401  (prepares the process for Paddle)

# isort: split
import numpy as np
import paddle
from paddle import nn

from benchmarks import rivals
from benchmarks.tables import write_csv
from export import runtimes
from export.flat.flatten import flatten
from export.formats import onnx_format
from export.formats.baseline import save_baseline
from export.quantize.quantized import corrected
from teachers import cpu, networks
from teachers.skeleton import NTU_25
from teachers.terminal import ending
from teachers.terminal.arguments import Parser
from teachers.terminal.output import say, show
from teachers.terminal.tables import Table

# As published; 64 for the others.
FRAMES = {"efficientgcn": 288, "stgcn": 100, "stgcnpp": 100}
CALIBRATION_CLIPS = 32
WARM_UP = 2
SKIPPED = ("NNCF", "bf16")


def subject(name: str, drop: str) -> nn.Layer:
    """A network of 60 classes at NTU's shape, with weights on which every path carries a signal."""
    module = networks.module(name)
    channels = 18 if name == "efficientgcn" else 3
    spec = module.default_spec(60, NTU_25, FRAMES.get(name, 64), 2, channels, module.Config())
    spec = module.drop_blocks(spec, tuple(drop.split(","))) if drop else spec
    paddle.seed(0)
    network = networks.build(spec)
    generator = np.random.default_rng(0)
    state = networks.state_of(network)
    for key, value in state.items():
        if value.ndim <= 1 and not key.endswith("_variance"):
            state[key] = (value + generator.normal(0, 0.1, value.shape)).astype("float32")
    networks.load_state(network, state, name)
    network.eval()
    return network


def makers(network: nn.Layer, clips: np.ndarray, folder: Path) -> dict[str, Callable]:
    """What runs the network: name -> what makes its file and predicts with it; the default file
    stands first."""
    save_baseline(network, folder / "baseline")
    default = folder / "baseline" / "model.onnx"
    found: dict[str, Callable] = {"paddle2onnx default": lambda: runtimes.onnx_runtime(default)}
    quantized = corrected(network, clips, "percentile", {})
    for kind, flat, plan in (
        ("float32", flatten(network), None),
        ("int8", quantized.flat(network), quantized.plan),
    ):
        (folder / kind).mkdir()
        (file,) = onnx_format.save(flat, network.spec, folder / kind, plan)
        found[f"ONNX Runtime, our file, {kind}"] = lambda file=file: runtimes.onnx_runtime(file)
    for name, quantise in rivals.ONNX.items():
        found[name] = lambda quantise=quantise: runtimes.onnx_runtime(
            quantise(default, clips, folder)
        )
    for name, make in rivals.OTHERS.items():
        if not any(word in name for word in SKIPPED):
            found[name] = lambda make=make: make(network, default, clips, folder)[0](1)
    return found


def ratios(
    first: runtimes.Predict, second: runtimes.Predict, x: np.ndarray, rounds: int
) -> tuple[float, float, float]:
    """(times faster by the minima, by the medians; ms of the second, the least)."""
    spent: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds + WARM_UP):
        for predict, times in zip((first, second), spent, strict=True):
            started = time.perf_counter()
            predict(x)
            if number >= WARM_UP:
                times.append(1000 * (time.perf_counter() - started))
    least, middle = [min(each) for each in spent], [float(np.median(each)) for each in spent]
    return least[0] / least[1], middle[0] / middle[1], least[1]


def main(arguments: list[str] | None = None) -> int:
    """The command; returns the exit code."""
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", required=True, choices=networks.names())
    parser.add_argument("--drop", default="", help="blocks to leave out, l10 or l9,l10")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--only", action="append", default=[], help="rows with this in their name")
    parser.add_argument("--csv", type=Path, help="write the table as CSV")
    options = parser.parse_args(arguments)
    network = subject(options.network, options.drop)
    shape = (CALIBRATION_CLIPS, *network.spec.input_shape)
    clips = np.random.default_rng(1).standard_normal(shape).astype("float32")
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        found = makers(network, clips, Path(temporary))
        default, *_ = found.values()
        expected = runtimes.in_process(network)(clips[:1])
        for name, make in found.items():
            if options.only and not any(word in name for word in options.only):
                continue
            try:
                predict = make()
                answers = predict(clips[:1])
            except Exception as problem:  # noqa: BLE001  (what other tools raise is a result, too)
                say(f"left out: {name}: {type(problem).__name__}: {problem}")
                continue
            off = np.abs(answers - expected).max() / np.abs(expected).max()
            row = {"runs": name, "rel_difference": float(f"{off:.1e}")}
            for persons in (2, 1):
                x = clips[:1].copy()
                x[..., persons:] = 0
                least, middle, ms = ratios(default(), predict, x, options.rounds)
                row[f"persons{persons}_minimum"] = round(least, 2)
                row[f"persons{persons}_median"] = round(middle, 2)
                row[f"persons{persons}_ms"] = round(ms, 1)
            rows.append(row)
            say(f"{name}: {row}")
    _show(rows, f"{options.network} without {options.drop}" if options.drop else options.network)
    if options.csv:
        write_csv(options.csv, rows, list(rows[0]))
    ending.print_last_line({"cpu": str(cpu.read()), "rows": rows})
    return 0


def _show(rows: list[dict], title: str) -> None:
    columns = ("runs", "2 persons", "1 person", "rel. diff.")
    keys = ("persons2_minimum", "persons1_minimum", "rel_difference")
    cells = [[row["runs"], *(str(row[key]) for key in keys)] for row in rows]
    show(Table(columns, cells, title))


if __name__ == "__main__":
    sys.exit(main())
