"""Latency of one- and two-person clips: the default paddle2onnx file, and ours in float32, in both
forms of eight bits, and in Paddle Inference.

Run: python benchmarks/persons.py --network stgcnpp [--drop l10] [--weights FILE] [--batches 1,8]
       [--clips FILE.npz] [--calibration FILE.npz] [--method gradient] [--keep stem.1,i1.1]
       [--csv FILE]

All rows run in turn in one process and one thread; their ratios to the first row are what counts.
Times are of the processor, not of the clock: other work on the machine adds to the latter. `rows`
makes the table's rows, (name, callable) each; a row of another runtime is one more of those.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import teachers  # noqa: F401  (prepares the process for Paddle)

# isort: split
import numpy as np
from paddle import nn

from benchmarks.candidates import fresh
from benchmarks.tables import write_csv
from compress.process import device
from export import runtimes
from export.flat.flatten import flatten
from export.formats import onnx_format, paddle_format
from export.formats.baseline import save_baseline
from export.formats.options import Integers, Options
from export.quantize import calibrate
from export.quantize.layer_report import decibels
from export.quantize.quantized import Quantized, corrected
from teachers import cpu, networks
from teachers.errors import FeatherboneError
from teachers.terminal import ending
from teachers.terminal.arguments import Parser
from teachers.terminal.output import say, show
from teachers.terminal.tables import Table
from teachers.weights import checkpoints

Row = tuple[str, runtimes.Predict]
ROUNDS = 30
# Not timed: ONNX Runtime allocates its buffers in the first runs.
WARM_UP = 3
FORMS: tuple[Integers, ...] = ("qdq", "qoperator")


def rows(network: nn.Layer, quantized: Quantized, folder: Path) -> list[Row]:
    """The default file first, which all others are compared with."""
    save_baseline(network, folder / "baseline")
    found = [("paddle2onnx default", folder / "baseline" / "model.onnx")]
    (folder / "float32").mkdir()
    (path,) = onnx_format.save(flatten(network), network.spec, folder / "float32")
    found.append(("ours, float32", path))
    for form in FORMS:
        (folder / form).mkdir()
        flat, options = quantized.flat(network), Options(onnx=form)
        (path,) = onnx_format.save(flat, network.spec, folder / form, quantized.plan, options)
        found.append((f"ours, int8 {form}", path))
    made = [(name, runtimes.onnx_runtime(path, threads=1)) for name, path in found]
    (folder / "paddle").mkdir()
    model, parameters = paddle_format.save(flatten(network), network.spec, folder / "paddle")
    return [*made, ("ours, Paddle float32", runtimes.paddle_inference(model, parameters, 1))]


def of_persons(clips: np.ndarray, nobody: np.ndarray | float = 0.0) -> dict[str, np.ndarray]:
    """Kind of clip -> clips (N, C, T, V, M); of a network of one person the clips alone. `nobody`: of
    `teachers.networks.absent`, (C,)."""
    if clips.shape[-1] == 1:
        return {"one person": clips}
    alone = clips.copy()
    alone[..., 1:] = np.reshape(nobody, (1, -1, 1, 1, 1))
    return {"one person": alone, f"{clips.shape[-1]} persons": clips}


def in_turn(found: Sequence[Row], x: np.ndarray, rounds: int = ROUNDS) -> list[dict]:
    """Minimum and median in ms of every row on `x`, and how many times faster than the first row
    each is by both."""
    spent: list[list[float]] = [[] for _ in found]
    for number in range(rounds + WARM_UP):
        for (_, predict), times in zip(found, spent, strict=True):
            started = time.process_time()
            predict(x)
            if number >= WARM_UP:
                times.append(1000 * (time.process_time() - started))
    least, middle = ([float(f(times)) for times in spent] for f in (np.min, np.median))
    return [
        {
            "file": name,
            "min_ms": round(least[place], 3),
            "median_ms": round(middle[place], 3),
            "faster_by_min": round(least[0] / least[place], 3),
            "faster_by_median": round(middle[0] / middle[place], 3),
        }
        for place, (name, _) in enumerate(found)
    ]


def agreement(found: Sequence[Row], clips: np.ndarray) -> dict[str, dict]:
    """Against the first row: signal to noise in dB, and how many clips have the same answer."""
    expected = found[0][1](clips)
    judged = {}
    for name, predict in found:
        logits = predict(clips)
        noise = max(float(np.square(logits - expected).sum()), 1e-30)
        judged[name] = {
            "snr_db": round(decibels(float(np.square(expected).sum()), noise), 1),
            "same": int((logits.argmax(1) == expected.argmax(1)).sum()),
            "clips": len(clips),
        }
    return judged


def measured(
    found: Sequence[Row],
    clips: np.ndarray,
    batches: Sequence[int],
    rounds: int,
    nobody: np.ndarray | float = 0.0,
) -> list[dict]:
    """One record for each row, kind of clip and batch size; `nobody` as in `of_persons`."""
    judged = agreement(found, clips)
    return [
        {"persons": kind, "batch": size, **record, **judged[record["file"]]}
        for size in batches
        for kind, x in of_persons(np.resize(clips, (size, *clips.shape[1:])), nobody).items()
        for record in in_turn(found, x, rounds)
    ]


def main(arguments: list[str] | None = None) -> int:
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", help="fresh weights of this network")
    parser.add_argument("--weights", type=Path, help="instead: a weights file")
    parser.add_argument("--drop", default="", help="with --network: blocks to leave out")
    parser.add_argument("--clips", type=Path, help="an .npz with `clips` (N, C, T, V, M)")
    parser.add_argument(
        "--calibration", type=Path, help="the same with other clips, to find ranges on"
    )
    parser.add_argument("--method", default="percentile", choices=calibrate.METHODS)
    parser.add_argument("--keep", default="", help="layers whose activations stay float32")
    parser.add_argument("--batches", default="1")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--csv", type=Path)
    options = parser.parse_args(arguments)
    if (options.network is None) == (options.weights is None):
        parser.error("give --network or --weights")
    batches = [int(size) for size in options.batches.split(",")]
    try:
        # One table must not mix devices.
        device.select("cpu")
        network = (
            checkpoints.load(options.weights)
            if options.weights
            else fresh(options.network, options.drop)
        )
        clips = _clips(network, options.clips)
        kept = {name: "int8_weights" for name in options.keep.split(",") if name}
        calibration = _clips(network, options.calibration) if options.calibration else clips
        quantized = corrected(network, calibration, options.method, kept)
        with tempfile.TemporaryDirectory() as temporary:
            found = rows(network, quantized, Path(temporary))
            records = measured(found, clips, batches, options.rounds, networks.absent(network.spec))
    except FeatherboneError as error:
        say(f"error: {error}")
        return error.exit_code
    _print(records)
    if options.csv:
        write_csv(options.csv, records, list(records[0]))
    ending.print_last_line({"rows": records, "cpu": str(cpu.read())})
    return 0


def _clips(network: nn.Layer, path: Path | None) -> np.ndarray:
    if path is None:
        shape = (8, *network.spec.input_shape)
        return np.random.default_rng(0).standard_normal(shape).astype("float32")
    with np.load(path, allow_pickle=False) as stored:
        return np.asarray(stored["clips"], "float32")


def _print(records: list[dict]) -> None:
    heads = ("file", "min ms", "median ms", "by min", "by median", "dB", "same")
    for size, kind in dict.fromkeys((each["batch"], each["persons"]) for each in records):
        cells = [
            (
                each["file"],
                f"{each['min_ms']:.1f}",
                f"{each['median_ms']:.1f}",
                f"{each['faster_by_min']:.2f}",
                f"{each['faster_by_median']:.2f}",
                # The first row is what all are compared with.
                "" if each["snr_db"] > 99 else f"{each['snr_db']:.1f}",
                f"{each['same']} of {each['clips']}",
            )
            for each in records
            if (each["batch"], each["persons"]) == (size, kind)
        ]
        show(Table(heads, cells, f"{kind}, batch {size}, one thread"))


if __name__ == "__main__":
    sys.exit(main())
