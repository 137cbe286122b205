"""Our deployables against what a person gets without this project from the same weights: latency,
bytes, load time, memory, top-1.

Run: python benchmarks/latency.py --weights runs/NAME/weights/student.npz [--quantized
       runs/NAME/weights/quantized.npz] [--recipe NAME -o data.name=nw_ucla -o data.root=FOLDER]
       [--csv FILE]
     python benchmarks/latency.py --network ctrgcn [--drop l10]     # NTU shape, 60 classes, fresh weights, no accuracy

Each file runs in turn with the default paddle2onnx file in ONNX Runtime, in one process; compare
the ratios to it. Quantisers calibrate on the same training clips. Tools that are not installed
(OpenVINO, NNCF: `pip install openvino nncf`) or that fail on a network are named with the reason.
Memory and load time are of a process of their own for each file.
"""

from __future__ import annotations

import gc
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
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
from compress import recipe as recipes
from compress.evaluation import accuracy
from compress.evaluation.evaluate import (
    EvaluationSet,
    training_clips,
)
from compress.plan import load_data, tasks
from compress.process import console, device
from compress.recipe import overrides
from compress.task import any_weights
from export import runtimes, verify
from export.flat.flatten import flatten
from export.flat.layers import prepared
from export.formats import onnx_int8, onnx_model, onnx_weights, paddle_model, paddle_weights, table
from export.formats.baseline import save_baseline
from export.quantize.bits import make_plan
from export.quantize.quantized import (
    Quantized,
    corrected,
)
from teachers import networks
from teachers.errors import FeatherboneError
from teachers.skeleton import NTU_25
from teachers.terminal import ending
from teachers.terminal.arguments import Parser
from teachers.terminal.output import say, show
from teachers.terminal.tables import Table
from teachers.weights import checkpoints

# As published; 64 for the others.
FRAMES = {"efficientgcn": 288, "stgcn": 100, "stgcnpp": 100}
# Not timed: ONNX Runtime and Paddle allocate their buffers in the first runs.
WARM_UP = 3
CALIBRATION_CLIPS = 128
PROBE = """
import sys, time, numpy as np
sys.path[0] = sys.argv[1]
import teachers
from pathlib import Path
from export import runtimes
kind, files, shape = sys.argv[2], [Path(one) for one in sys.argv[3].split("|")], [int(one) for one in sys.argv[4].split(",")]
if kind == "paddle": import paddle
else: import onnxruntime
def status(key): return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(key))
open("/proc/self/clear_refs", "w").write("5")  # the peak counts from here
before, started = status("VmRSS"), time.perf_counter()
predict = (runtimes.paddle_inference if kind == "paddle" else runtimes.onnx_runtime)(*files)
loaded = time.perf_counter() - started
predict(np.zeros(shape, "float32"))
print(1000 * loaded, (status("VmHWM") - before) / 1024)
"""


@dataclass
class Candidate:
    """One file in one runtime.

    Attributes:
        make: threads -> predict.
        files: whose bytes count.
        kind: "onnx" or "paddle" where `PROBE` can load it, else "".
    """

    name: str
    ours: bool
    make: Callable[[int], runtimes.Predict]
    files: list[Path]
    kind: str = ""
    found: dict = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        return sum(path.stat().st_size for path in self.files)


def onnx_file(name: str, path: Path, ours: bool = False) -> Candidate:
    """An `.onnx` file in ONNX Runtime."""
    return Candidate(
        name, ours, lambda threads: runtimes.onnx_runtime(path, threads), [path], "onnx"
    )


def paddle_folder(name: str, folder: Path, ours: bool = False, onednn: bool = False) -> Candidate:
    """Paddle's program and its parameters in Paddle Inference."""
    model, parameters = (folder / file for file in table.files("paddle"))
    return Candidate(
        name,
        ours,
        lambda threads: runtimes.paddle_inference(model, parameters, threads, onednn),
        [model, parameters],
        # `PROBE` loads files as they are served, and with oneDNN none is.
        "" if onednn else "paddle",
    )


def candidates(
    network, quantized: Quantized | None, calibration: np.ndarray, folder: Path
) -> tuple[list[Candidate], list[str]]:
    """(everything that could be made, why the rest could not)."""
    spec, failed = network.spec, []
    save_baseline(network, folder / "baseline")
    default = folder / "baseline" / "model.onnx"
    # The first row is what everything else is compared with: what a person gets who converts the
    # network and stops there.
    found = [onnx_file("paddle2onnx default", default)]
    found.append(
        onnx_file(
            "ours, float32", onnx_model.save(flatten(network), spec, folder / "float32")[0], True
        )
    )
    # Without a run's plan: what the step `ptq: {}` does, on the clips that the other tools
    # calibrate on.
    quantized = quantized or corrected(network, calibration, "percentile", {})
    name = "ours, int8" if quantized.plan.ranges else "ours, the given plan"
    writer = onnx_int8 if quantized.plan.ranges else onnx_weights
    found.append(
        onnx_file(
            name,
            writer.save(quantized.flat(network), spec, folder / "int8", quantized.plan)[0],
            True,
        )
    )
    flat = prepared(flatten(network))
    for kind in ("float16", "int4_weights"):
        path = onnx_weights.save(flatten(network), spec, folder / kind, make_plan(flat, kind))[0]
        found.append(onnx_file(f"ours, {kind.replace('_', ' ')}", path, True))
    for title, make in rivals.ONNX.items():
        try:
            found.append(onnx_file(title, make(default, calibration, folder)))
        except Exception as problem:  # noqa: BLE001  (what other tools raise is a result, too)
            failed.append(_failure(title, problem))
    found.append(paddle_folder("baseline Paddle export", folder / "baseline"))
    found.append(paddle_folder("baseline Paddle export, oneDNN", folder / "baseline", onednn=True))
    paddle_model.save(flatten(network), spec, folder / "paddle")
    found.append(paddle_folder("ours, Paddle float32", folder / "paddle", True))
    paddle_weights.save(quantized.flat(network), spec, folder / "paddle_int8", quantized.plan)
    found.append(paddle_folder("ours, Paddle, int8 weights", folder / "paddle_int8", True))
    for title, other in rivals.OTHERS.items():
        try:
            predict, files = other(network, default, calibration, folder)
            found.append(Candidate(title, False, predict, files))
        except Exception as problem:  # noqa: BLE001  (as above)
            failed.append(_failure(title, problem))
    return found, failed


def _failure(title: str, problem: Exception) -> str:
    """Why a tool made nothing, in a line: tools print their stack into their messages."""
    text = str(problem).strip()
    reason = text.splitlines()[-1][:160] if text else ""
    return f"{title}: {type(problem).__name__}: {reason}"


def time_in_turn(found: list[Candidate], x: np.ndarray, threads: int, rounds: int) -> None:
    """Fill `found` of every candidate: median and 95th percentile in ms, and how many times faster
    it is than the first one.

    Each runs in turn with the first one alone: all together, Paddle's predictors, which keep every
    intermediate value, would not fit into memory.
    """
    with console.bar(f"batch {len(x)}, {threads} threads", len(found), "files") as advance:
        for one in found:
            # Both are made anew for every pair: a session that has run for minutes has its memory
            # warm.
            spent = _alternate(found[0].make(threads), one.make(threads), x, rounds)
            base, own = (np.median(times) for times in spent)
            one.found[len(x), threads] = (
                float(own),
                float(np.percentile(spent[1], 95)),
                1.0 if one is found[0] else float(base / own),
            )
            # Predictors hold their buffers until they are collected, and the next pair needs the
            # room.
            gc.collect()
            advance(1)


def _alternate(
    first: runtimes.Predict, second: runtimes.Predict, x: np.ndarray, rounds: int
) -> tuple[list[float], list[float]]:
    """ms of every round of both."""
    spent: tuple[list[float], list[float]] = ([], [])
    # In turn, so that a drift of the machine (frequency, other work) meets both alike; only ratios
    # are published.
    for number in range(rounds + WARM_UP):
        for predict, times in zip((first, second), spent, strict=True):
            started = time.perf_counter()
            predict(x)
            if number >= WARM_UP:
                times.append(1000 * (time.perf_counter() - started))
    return spent


def probe(one: Candidate, shape: tuple[int, ...]) -> tuple[float | None, float | None]:
    """(load time in ms, MiB more at the peak of loading and one clip) in a process of its own."""
    if not one.kind:
        return None, None
    # In a process of its own: here the runtimes are loaded already, and the peak is that of all
    # files together.
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            PROBE,
            str(Path(__file__).resolve().parents[1]),
            one.kind,
            "|".join(map(str, one.files)),
            ",".join(str(size) for size in (1, *shape)),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    load, memory = done.stdout.split()[-2:]
    return float(load), float(memory)


def rows_of(
    found: list[Candidate], judged: dict[str, dict], probed: dict[str, tuple], batches, threads
) -> list[dict]:
    """One row for each candidate, batch size and thread count."""
    rows = []
    for size in batches:
        for count in threads:
            for one in found:
                median, p95, faster = one.found[size, count]
                rows.append(
                    {
                        "file": one.name,
                        "ours": one.ours,
                        "batch": size,
                        "threads": count,
                        "median_ms": round(median, 3),
                        "p95_ms": round(p95, 3),
                        "times_faster": round(faster, 3),
                        "bytes": one.bytes,
                        **judged.get(one.name, {}),
                        "load_ms": probed[one.name][0],
                        "memory_mib": probed[one.name][1],
                    }
                )
    return rows


def main(arguments: list[str] | None = None) -> int:
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--weights", type=Path, help="a weights file of any format this project reads"
    )
    parser.add_argument(
        "--quantized",
        type=Path,
        help="`quantized.npz` of a run of the same network; without it: ptq, percentile",
    )
    parser.add_argument("--network", help="fresh weights instead of --weights: a name of teachers/")
    parser.add_argument(
        "--drop", default="", help="with --network: blocks to leave out, l10 or l9,l10"
    )
    parser.add_argument(
        "--recipe",
        help="whose data set to calibrate and judge with; without it random clips and no accuracy",
    )
    overrides.add_option(parser)
    parser.add_argument("--batches", default="1,8")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--rounds", type=int, default=40, help="how often each file is timed")
    parser.add_argument("--csv", type=Path, help="write the table as CSV")
    options = parser.parse_args(arguments)
    if (options.weights is None) == (options.network is None) or (
        options.recipe and options.network
    ):
        parser.error("give --weights (and --recipe, to judge accuracy) or --network")
    batches, threads = (
        [int(one) for one in text.split(",")] for text in (options.batches, options.threads)
    )
    try:
        # ONNX Runtime runs on the CPU alone here; one table must not mix devices.
        device.select("cpu")
        network, clips, calibration = _subject(options)
        quantized = Quantized.read(options.quantized) if options.quantized else None
        with tempfile.TemporaryDirectory() as temporary:
            found, failed = candidates(network, quantized, calibration, Path(temporary))
            for size in batches:
                # `np.resize` repeats clips where a batch is larger than the calibration set.
                x = np.resize(calibration, (size, *network.spec.input_shape)).astype("float32")
                for count in threads:
                    time_in_turn(found, x, count, options.rounds)
            judged = _judged(network, found, clips, calibration)
            probed = {one.name: probe(one, network.spec.input_shape) for one in found}
            rows = rows_of(found, judged, probed, batches, threads)
    except FeatherboneError as error:
        say(f"error: {error}")
        return error.exit_code
    _print(rows, failed)
    if options.csv:
        write_csv(options.csv, rows, list(rows[0]))
    ending.print_last_line({"rows": rows, "failed": failed})
    return 0


def _subject(options) -> tuple[nn.Layer, EvaluationSet | None, np.ndarray]:
    """(the network, its validation split or None, clips to calibrate with)."""
    if options.recipe:
        recipe = recipes.load(options.recipe, options.overrides)
        with console.reading() as progress:
            dataset = load_data(recipe, progress)
        task = tasks(recipe, dataset)[1]
        model = any_weights(options.weights, task)
        calibration = training_clips(dataset.train, model.view, CALIBRATION_CLIPS)
        return (
            model.network,
            EvaluationSet(dataset.val, model.view, model.view.clips),
            np.concatenate(list(calibration.batches(64))),
        )
    network = checkpoints.load(options.weights) if options.weights else _fresh(options)
    return (
        network,
        None,
        np.random.default_rng(0).standard_normal((8, *network.spec.input_shape)).astype("float32"),
    )


def _fresh(options):
    module = networks.module(options.network)
    paddle.seed(1)
    # The shape that papers quote: NTU RGB+D 60, two persons. Three branches of six channels are
    # EfficientGCN's input.
    spec = module.default_spec(
        60,
        NTU_25,
        FRAMES.get(options.network, 64),
        2,
        18 if options.network == "efficientgcn" else 3,
    )
    network = networks.build(
        module.drop_blocks(spec, tuple(options.drop.split(","))) if options.drop else spec
    )
    network.eval()
    return network


def _judged(
    network, found: list[Candidate], clips: EvaluationSet | None, calibration: np.ndarray
) -> dict[str, dict]:
    """Top-1 and agreement with the network by name; without data agreement on the calibration
    clips."""
    predict = runtimes.in_process(network)
    reference = (
        # Agreement needs no labels, so without data it is still measured, on eight clips.
        accuracy.score("the network", predict, clips)[1] if clips else predict(calibration[:8])
    )
    judged = {}
    for one in found:
        run = one.make(runtimes.default_threads())
        if clips:
            scores, logits = accuracy.score(one.name, run, clips)
            judged[one.name] = {"top1": round(scores.top1, 2)}
        else:
            logits = verify.run(Path(one.name), run, calibration[:8])
            judged[one.name] = {}
        difference = verify.difference(logits, reference)
        judged[one.name] |= {
            "agreement": round(difference["agreement"], 4),
            "max_rel_diff": float(f"{difference['max_rel_diff']:.2e}"),
        }
    return judged


def _print(rows: list[dict], failed: list[str]) -> None:
    # A table for each batch and number of threads: in one of all of them the two columns and the
    # ten of figures would not fit a terminal.
    for batch, threads in dict.fromkeys((row["batch"], row["threads"]) for row in rows):
        _print_table(
            batch,
            threads,
            [row for row in rows if row["batch"] == batch and row["threads"] == threads],
        )
    for line in failed:
        say(f"not compared: {line}")


def _print_table(batch: int, threads: int, rows: list[dict]) -> None:
    cells = [
        (
            row["file"],
            f"{row['median_ms']:.1f}",
            f"{row['p95_ms']:.1f}",
            f"{row['times_faster']:.2f}",
            f"{row['bytes'] / 1e6:.2f}",
            f"{row['top1']:.2f}" if "top1" in row else "",
            f"{row['agreement']:.3f}",
            f"{row['max_rel_diff']:.0e}",
            "" if row["load_ms"] is None else f"{row['load_ms']:.0f}",
            "" if row["memory_mib"] is None else f"{row['memory_mib']:.0f}",
        )
        for row in rows
    ]
    figures = ("p50 ms", "p95 ms", "times faster", "MB", "top-1", "agree", "rel. diff.")
    ours = frozenset(place for place, row in enumerate(rows) if row["ours"])
    title = f"batch {batch}, threads {threads}"
    show(Table(("file", *figures, "load ms", "MiB"), cells, title, bold=ours))


if __name__ == "__main__":
    sys.exit(main())
