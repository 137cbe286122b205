"""What other tools make of the same weights, each as its documentation starts: ONNX Runtime's
quantisers, PaddleSlim PTQ, OpenVINO and NNCF.

Every maker raises whatever its tool raises; `benchmarks/latency.py` reports it. OpenVINO and NNCF
are optional.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from compress.evaluation import rivals
from export import runtimes
from export.formats import onnx_model


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
}
