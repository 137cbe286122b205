"""What other tools make of the same weights, each as its documentation starts: ONNX Runtime's
quantisers, PaddleSlim PTQ, OpenVINO and NNCF, onnxruntime-web, PyTorch eager; and what the runtimes
among them do with our files.

Every maker raises whatever its tool raises; `benchmarks/latency.py` reports it. OpenVINO, NNCF,
onnxruntime-web and PyTorch are optional.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from compress.evaluation import rivals
from export import runtimes
from export.flat.flatten import flatten
from export.formats import onnx_format, onnx_model
from export.formats.options import Options
from export.quantize.quantized import corrected
from export.runtimes.shapes import fitted


def quantize_dynamic(default: Path, calibration: np.ndarray, folder: Path) -> Path:
    """ONNX Runtime's dynamic quantiser with its defaults, on its own pre-processed file."""
    return _quantised(rivals.onnxruntime_dynamic, default, calibration, folder / "dynamic")


def quantize_static(default: Path, calibration: np.ndarray, folder: Path) -> Path:
    """ONNX Runtime's static quantiser with its defaults, on its own pre-processed file."""
    plain = partial(rivals.onnxruntime_static, tuned=False)
    return _quantised(plain, default, calibration, folder / "static")


def quantize_static_tuned(default: Path, calibration: np.ndarray, folder: Path) -> Path:
    """The same with what its documentation advises for x86: uint8 activations, int8 weights by
    channel."""
    return _quantised(rivals.onnxruntime_static, default, calibration, folder / "static_u8s8")


def _quantised(make: Callable, default: Path, calibration: np.ndarray, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    make(default.parent, folder, calibration)
    return folder / onnx_model.MODEL


def paddleslim_ptq(network, default: Path, calibration: np.ndarray, folder: Path):
    """PaddleSlim's `quant_post_static` of the baseline export, in the plain predictor."""
    out = folder / "paddleslim"
    rivals.paddleslim_ptq(folder / "baseline", out, calibration)
    model, parameters = (next(out.glob(f"*{end}")) for end in (".pdmodel", ".pdiparams"))
    return lambda threads: runtimes.paddle_inference(model, parameters, threads), [
        model,
        parameters,
    ]


def openvino(precision: str) -> Callable:
    """OpenVINO on the default ONNX file in "f32" or "bf16"."""

    def make(network, default: Path, calibration: np.ndarray, folder: Path):
        import openvino as ov

        return _compiled(
            ov.convert_model(str(default)), folder / f"openvino_{precision}.xml", precision
        )

    return make


def nncf_int8(network, default: Path, calibration: np.ndarray, folder: Path):
    """NNCF's post-training quantisation with its defaults, in OpenVINO."""
    import nncf
    import openvino as ov

    clips = [np.ascontiguousarray(one[None], dtype="float32") for one in calibration]
    # NNCF stops at 300 samples by default; here every tool sees the same clips.
    model = nncf.quantize(
        ov.convert_model(str(default)), nncf.Dataset(clips), subset_size=len(clips)
    )
    return _compiled(model, folder / "nncf.xml", "f32")


def torch_eager(network, default: Path, calibration: np.ndarray, folder: Path):
    """The published form, operator by operator."""
    from benchmarks import torch_eager as eager

    eager.load(default)
    return lambda threads: eager.load(default, threads), [default]


def web(network, default: Path, calibration: np.ndarray, folder: Path):
    """onnxruntime-web on the default ONNX file."""
    from benchmarks import web as runtime

    runtime.folder()
    return lambda threads: runtime.load(default, threads), [default]


def ours(profile: str, int8: bool) -> Callable:
    """Our file for a profile in the runtime that it is for, "openvino" or "web"."""

    def make(network, default: Path, calibration: np.ndarray, folder: Path):
        quantized = corrected(network, calibration, "percentile", {}) if int8 else None
        flat = flatten(network) if quantized is None else quantized.flat(network)
        place = folder / f"{profile}_{'int8' if int8 else 'float32'}"
        place.mkdir(exist_ok=True)
        plan = None if quantized is None else quantized.plan
        files = onnx_format.save(flat, network.spec, place, plan, Options(profile=profile))
        if profile == "web":
            from benchmarks import web as runtime

            runtime.folder()
            return lambda threads: runtime.load(files[0], threads), files
        import openvino as ov

        model = ov.convert_model(str(files[0]))
        # Compiled for the batch that is timed: a batch of one is what the profile writes.
        predict, made = _compiled(model, place / "model.xml", "f32")
        shape = [1, *network.spec.input_shape]
        return lambda threads: _first(fitted(_listed(predict(threads)), shape)), made

    return make


def _listed(predict: runtimes.Predict) -> Callable[[np.ndarray], list[np.ndarray]]:
    return lambda x: [predict(x)]


def _first(run: Callable[[np.ndarray], list[np.ndarray]]) -> runtimes.Predict:
    return lambda x: run(x)[0]


def _compiled(model, path: Path, precision: str):
    import openvino as ov

    # By default this stores weights as float16: what a person gets who calls it.
    ov.save_model(model, str(path))

    def make(threads: int) -> runtimes.Predict:
        settings = {
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": precision,
            # One stream without pinning: as the other runtimes are timed, one clip at a time.
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,
        }
        compiled = ov.Core().compile_model(str(path), "CPU", settings)
        return lambda x: np.array(compiled(np.ascontiguousarray(x, dtype="float32"))[0])

    return make, [path, Path(os.path.splitext(path)[0] + ".bin")]


ONNX = {
    "ONNX Runtime quantize_static, defaults": quantize_static,
    "ONNX Runtime quantize_static, U8S8 by channel": quantize_static_tuned,
    "ONNX Runtime quantize_dynamic": quantize_dynamic,
}
OTHERS = {
    "PaddleSlim quant_post_static": paddleslim_ptq,
    "OpenVINO float32": openvino("f32"),
    "OpenVINO bf16": openvino("bf16"),
    "OpenVINO, NNCF int8": nncf_int8,
    "OpenVINO, our file, float32": ours("openvino", int8=False),
    "OpenVINO, our file, int8": ours("openvino", int8=True),
    "onnxruntime-web": web,
    "onnxruntime-web, our file, float32": ours("web", int8=False),
    "onnxruntime-web, our file, int8": ours("web", int8=True),
    "PyTorch eager, published form": torch_eager,
}
