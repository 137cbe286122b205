"""What other tools make of the same weights, as their documentation starts: PaddleSlim's and ONNX
Runtime's quantisers, on the baseline export and the same training clips.

They run in a process of their own, so that none of them can cost a run: PaddleSlim makes Paddle
static, prints, and loads Matplotlib and OpenCV. This is the only place that imports it.

    python -m compress.evaluation.rivals NAME FOLDER CLIPS.npy
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from compress.evaluation import accuracy
from compress.evaluation.evaluate import EvaluationSet
from compress.evaluation.latency import Turn, turn_of
from compress.evaluation.record import RuntimeRow
from compress.registry import RIVALS
from export import runtimes, verify
from export.formats import onnx_model, paddle_version
from teachers.errors import FeatherboneError

BATCH = 8
# Training clips that every tool calibrates on.
CLIPS = 64
# Of one tool. PaddleSlim takes a minute for CTR-GCN with 64 clips on one thread of a Zen 3.
SECONDS = 3600
# What is kept of what a tool that failed had to say.
LINE = 160


@dataclass(frozen=True)
class Source:
    """What the tools get, and are judged on.

    Attributes:
        folder: of the run; the baseline export is in it, the tools' files stay in `compare/`.
        training: the clips to calibrate on, as the network sees them.
        clips: the validation split.
        reference: (n, K), the trained network's logits on it.
    """

    folder: Path
    training: EvaluationSet
    clips: EvaluationSet
    reference: np.ndarray


def judged(name: str, source: Source, threads: int) -> tuple[RuntimeRow, Turn | None]:
    """(a row on the whole split, what times it); a tool that fails is a result, too: the row has the
    reason as its note, and nothing to time.

    Args:
        name: a row of `registry.RIVALS`.
    """
    title = RIVALS[name]
    calibration = np.concatenate(list(source.training.batches(CLIPS)))
    folder = source.folder / "compare" / name
    problem = _make(name, source.folder / "baseline", folder, calibration)
    if problem:
        return RuntimeRow(title, note=f"made no file: {problem}"), None
    try:
        files, predict = _served(name, folder, threads)
        row, logits = accuracy.row(title, predict, source.clips, source.reference, files)
    except FeatherboneError as error:
        return RuntimeRow(title, note=f"its file does not run: {error}"), None
    snr_db = verify.closeness(logits, source.reference)["snr_db"]
    note = f"{snr_db:.1f} dB; the same weights, {len(calibration)} training clips"
    return replace(row, snr_db=snr_db, note=note), turn_of(predict, source.clips)


def _make(name: str, baseline: Path, folder: Path, calibration: np.ndarray) -> str:
    """Run a tool; returns what went wrong, "" for nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        clips = Path(temporary) / "clips.npy"
        np.save(clips, calibration.astype("float32"))
        places = [str(each.resolve()) for each in (baseline, folder, clips)]
        command = [sys.executable, "-m", __name__, name, *places]
        # The packages may lie in a checkout that the process was started outside of.
        root = str(Path(__file__).resolve().parents[2])
        paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                timeout=SECONDS,
                check=False,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
                cwd=temporary,
            )
        except subprocess.TimeoutExpired:
            return f"took more than {SECONDS} s"
    if done.returncode == 0:
        return ""
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return lines[-1][:LINE] if lines else f"exit code {done.returncode}"


def _served(name: str, folder: Path, threads: int) -> tuple[tuple[Path, ...], runtimes.Predict]:
    """A tool's files, and the runtime with them."""
    if name == "paddleslim_ptq":
        model, parameters = (next(folder.glob(f"*{end}")) for end in (".pdmodel", ".pdiparams"))
        return (model, parameters), runtimes.paddle_inference(model, parameters, threads)
    path = folder / onnx_model.MODEL
    return (path,), runtimes.onnx_runtime(path, threads)


def onnxruntime_dynamic(baseline: Path, folder: Path, calibration: np.ndarray) -> None:
    """ONNX Runtime's dynamic quantiser with its defaults; it needs no clips."""
    from onnxruntime.quantization import quantize_dynamic

    quantize_dynamic(_prepared(baseline, folder), folder / onnx_model.MODEL)


def onnxruntime_static(
    baseline: Path, folder: Path, calibration: np.ndarray, tuned: bool = True
) -> None:
    """ONNX Runtime's static quantiser.

    Args:
        tuned: with what its documentation advises for x86, uint8 activations and int8 weights by
            channel; else with its defaults.
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.left = iter(
                calibration[start : start + BATCH] for start in range(0, len(calibration), BATCH)
            )

        def get_next(self):
            x = next(self.left, None)
            return None if x is None else {"clip": np.ascontiguousarray(x, dtype="float32")}

    options = {}
    if tuned:
        options = {
            "activation_type": QuantType.QUInt8,
            "weight_type": QuantType.QInt8,
            "per_channel": True,
        }
    source, out = str(_prepared(baseline, folder)), str(folder / onnx_model.MODEL)
    quantize_static(source, out, Reader(), **options)


def _prepared(baseline: Path, folder: Path) -> Path:
    from onnxruntime.quantization.shape_inference import quant_pre_process

    # Beside the folder: what lies in it is what would ship.
    out = folder.parent / f"{folder.name}.prepared.onnx"
    # ONNX Runtime's documentation asks for this step before either quantiser.
    quant_pre_process(str(baseline / onnx_model.MODEL), str(out), skip_symbolic_shape=True)
    return out


def paddleslim_ptq(baseline: Path, folder: Path, calibration: np.ndarray) -> None:
    """PaddleSlim's `quant_post_static` in the format that it says is for deployment."""
    import paddle
    from paddleslim.quant import quant_post_static

    # quant_post_static works on static programs only.
    paddle.enable_static()
    try:
        place = paddle.CPUPlace()
        executor = paddle.static.Executor(place)
        clip = paddle.static.data("clip", [None, *calibration.shape[1:]], "float32")
        # PaddleSlim 2.6.0 rejects the `sample_generator` of older examples.
        loader = paddle.io.DataLoader(
            [np.ascontiguousarray(one, dtype="float32") for one in calibration],
            places=place,
            feed_list=[clip],
            batch_size=BATCH,
            return_list=False,
        )
        quant_post_static(
            executor=executor,
            model_dir=str(baseline),
            quantize_model_path=str(folder),
            data_loader=loader,
            model_filename=paddle_version.program(),
            params_filename=paddle_version.PARAMETERS,
            batch_nums=max(1, len(calibration) // BATCH),
            # The default format leaves a folder larger than float32's, and paddle2onnx aborts on it.
            onnx_format=True,
        )
    finally:
        paddle.disable_static()


MAKERS: dict[str, Callable[[Path, Path, np.ndarray], None]] = {
    "paddleslim_ptq": paddleslim_ptq,
    "onnxruntime_static": onnxruntime_static,
    "onnxruntime_dynamic": onnxruntime_dynamic,
}


def main(arguments: list[str]) -> None:
    """The process of one tool; what it raises is the last line that it prints."""
    name, baseline, folder, clips = arguments
    MAKERS[name](Path(baseline), Path(folder), np.load(clips))


if __name__ == "__main__":
    main(sys.argv[1:])
