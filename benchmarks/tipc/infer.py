"""Inference of a deployed folder on recordings, measured and reported in the form of Paddle's
AutoLog, which TIPC's tools read.

Run: python benchmarks/tipc/infer.py --model_dir=FOLDER --infer_dir=RECORDINGS [--enable_mkldnn=True]
     [--cpu_threads=1] [--batch_size=1] [--precision=fp32]

Options are written as TIPC writes them, `--key=value` with True and False. AutoLog itself is no
package of a fixed version, so its lines are written here. Times are means of a batch.
"""

from __future__ import annotations

import logging
import platform
import resource
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[2])

import teachers  # noqa: F401  (prepares the process for Paddle)

# isort: split
import numpy as np
import paddle

from compress.data import clips as clip_files
from export import deployed, runtimes
from export.deployed import Description
from export.serving import prepare, recording, scores_of, top_classes
from teachers.errors import DataError, ExportMismatch
from teachers.terminal import ending
from teachers.terminal.arguments import Parser
from teachers.terminal.output import show

# Enough for a mean; the chain is a test of function, not of speed.
MOST_CLIPS = 16
# Of the largest logit; see `require_alike`.
TOLERANCE = 1e-3
BOOLEANS = {"True": True, "False": False}


@dataclass
class Times:
    """Seconds of each stage, a number a batch."""

    preprocess: list[float] = field(default_factory=list)
    inference: list[float] = field(default_factory=list)
    postprocess: list[float] = field(default_factory=list)


def infer(
    batches: list[list[tuple[str, np.ndarray]]],
    description: Description,
    predict: runtimes.Predict,
    times: Times,
) -> tuple[list[dict], np.ndarray]:
    """(the best class of each clip, all logits), with the time of every stage."""
    best = []
    logits = []
    for batch in batches:
        started = time.perf_counter()
        views = [
            prepare(raw, description, name, number)
            for name, raw in batch
            for number in range(description.views)
        ]
        x = np.stack(views)
        prepared = time.perf_counter()
        logits.append(predict(x))
        inferred = time.perf_counter()
        each = logits[-1].reshape(len(batch), description.views, -1)
        for (name, _), of_clip in zip(batch, each, strict=True):
            answer = top_classes(scores_of(of_clip), description.classes, 1)[0]
            best.append({"clip": name, **answer})
        times.preprocess.append(prepared - started)
        times.inference.append(inferred - prepared)
        times.postprocess.append(time.perf_counter() - inferred)
    return best, np.concatenate(logits)


def require_alike(logits: np.ndarray, plain: np.ndarray) -> None:
    """
    Raises:
        ExportMismatch: logits of oneDNN that are not those of Paddle's own kernels. Of other
            exports of these networks oneDNN in Paddle 2.6.2 makes something else, without an error.
    """
    difference = float(np.abs(logits - plain).max() / max(float(np.abs(plain).max()), 1e-12))
    if not difference <= TOLERANCE:
        raise ExportMismatch(
            f"--enable_mkldnn=True: logits differ by {difference:.1e} of the largest from those"
            " without oneDNN; serve this network with --enable_mkldnn=False"
        )


def report(options, shape: tuple[int, ...], clips: int, times: Times) -> list[str]:
    """AutoLog's lines."""
    milliseconds = {
        name: 1000 * float(np.mean(getattr(times, name)))
        for name in ("preprocess", "inference", "postprocess")
    }
    # One line, by which TIPC's tools find all three.
    stages = ", ".join(f"{name}_time(ms): {value:.1f}" for name, value in milliseconds.items())
    total = sum(times.preprocess) + sum(times.inference) + sum(times.postprocess)
    # The most there was, where AutoLog has the mean of samples: that misses the peak.
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return [
        "---------------------- Env info ----------------------",
        f" OS_version: {platform.system()} {platform.release()}",
        "---------------------- Paddle info ----------------------",
        f" paddle_version: {paddle.__version__}",
        f" paddle_commit: {paddle.version.commit}",
        " log_api_version: 1.0",
        "----------------------- Conf info -----------------------",
        " runtime_device: cpu",
        " ir_optim: True",
        " enable_memory_optim: True",
        " enable_tensorrt: False",
        f" enable_mkldnn: {options.enable_mkldnn}",
        f" cpu_math_library_num_threads: {options.cpu_threads}",
        "----------------------- Model info ----------------------",
        f" model_name: {options.model_name}",
        f" precision: {options.precision}",
        "----------------------- Data info -----------------------",
        f" batch_size: {options.batch_size}",
        f" input_shape: {','.join(map(str, shape))}",
        f" data_num: {clips}",
        "----------------------- Perf info -----------------------",
        f" cpu_rss(MB): {rss:.1f}, gpu_rss(MB): None, gpu_util: None%",
        f" total time spent(s): {total:.4f}",
        f" {stages}",
    ]


def recordings(folder: Path, description: Description) -> list[tuple[str, np.ndarray]]:
    """The first MOST_CLIPS clips of a folder, in the order of their names.

    Raises:
        DataError: there are none, or one cannot be read.
    """
    files = sorted(path for path in folder.glob("*") if path.is_file())[:MOST_CLIPS]
    found = [clip for path in files for clip in clip_files.read_clip(path, recording(description))]
    if not found:
        raise DataError(f"--infer_dir {folder}: holds no clips; run prepare.sh first")
    return found


@ending.command
def main(arguments: list[str] | None = None) -> int:
    """The command; returns the exit code."""
    options = _options(arguments)
    description = deployed.read(options.model_dir)
    if "paddle" not in description.files:
        raise DataError(f"{options.model_dir}: holds no Paddle files; export them first")
    deployed.try_out(options.model_dir, description)
    model, weights = (options.model_dir / name for name in description.files["paddle"])
    onednn = BOOLEANS[options.enable_mkldnn]
    predict = runtimes.paddle_inference(model, weights, options.cpu_threads, onednn)
    clips = recordings(options.infer_dir, description)
    size = options.batch_size
    batches = [clips[start : start + size] for start in range(0, len(clips), size)]
    # The first run allocates memory and chooses kernels.
    infer(batches[:1], description, predict, Times())
    times = Times()
    best, logits = infer(batches, description, predict, times)
    if onednn:
        plain = runtimes.paddle_inference(model, weights, options.cpu_threads)
        require_alike(logits, infer(batches, description, plain, Times())[1])
    for answer in best:
        show(f"{answer['clip']}: {answer['class']} ({100 * answer['score']:.1f}%)")
    if BOOLEANS[options.enable_benchmark]:
        for line in report(options, description.input.clip, len(clips), times):
            # AutoLog's lines come through logging, with date, name and level before them.
            now = time.strftime("%Y/%m/%d %H:%M:%S")
            show(f"[{now}] root {logging.getLevelName(logging.INFO)}: {line}")
    ending.print_last_line({"clips": len(clips), "answers": best})
    return 0


def _options(arguments: list[str] | None):
    parser = Parser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--model_dir", type=Path, required=True, help="a deployed folder")
    parser.add_argument("--infer_dir", type=Path, required=True, help="a folder of clips")
    parser.add_argument("--model_name", default="model")
    parser.add_argument("--use_gpu", choices=("False",), default="False")
    parser.add_argument("--enable_mkldnn", choices=tuple(BOOLEANS), default="False")
    parser.add_argument("--cpu_threads", type=int, default=1)
    parser.add_argument("--batch_size", type=int, default=1)
    parser.add_argument("--precision", choices=("fp32",), default="fp32")
    parser.add_argument("--enable_benchmark", choices=tuple(BOOLEANS), default="True")
    options = parser.parse_args(arguments)
    if options.batch_size < 1 or options.cpu_threads < 1:
        parser.error("--batch_size and --cpu_threads: must be at least 1")
    return options


if __name__ == "__main__":
    sys.exit(main())
