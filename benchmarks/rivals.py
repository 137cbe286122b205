"""What other tools make of the same weights, each as its documentation starts: ONNX Runtime's
quantisers, PaddleSlim PTQ, OpenVINO and NNCF.

Every maker raises whatever its tool raises; `benchmarks/latency.py` reports it. OpenVINO and NNCF
are optional.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from export import runtimes
from export.formats import paddle_version

BATCH = 8


def quantize_dynamic(default: Path, calibration: np.ndarray, folder: Path) -> Path:
    """ONNX Runtime's dynamic quantiser with its defaults, on its own pre-processed file."""
    from onnxruntime.quantization import quantize_dynamic as quantise

    out = folder / "dynamic.onnx"
    quantise(_prepared(default, folder), out)
    return out


def quantize_static(default: Path, calibration: np.ndarray, folder: Path) -> Path:
    """ONNX Runtime's static quantiser with its defaults, on its own pre-processed file."""
    return _static(default, calibration, folder, "static.onnx")


def quantize_static_tuned(default: Path, calibration: np.ndarray, folder: Path) -> Path:
    """The same with what its documentation advises for x86: uint8 activations, int8 weights by
    channel."""
    from onnxruntime.quantization import QuantType

    return _static(
        default,
        calibration,
        folder,
        "static_u8s8.onnx",
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
    )


def _static(default: Path, calibration: np.ndarray, folder: Path, name: str, **options) -> Path:
    from onnxruntime.quantization import CalibrationDataReader, quantize_static as quantise

    class Reader(CalibrationDataReader):
        def __init__(self):
            self.left = iter(
                calibration[start : start + BATCH] for start in range(0, len(calibration), BATCH)
            )

        def get_next(self):
            x = next(self.left, None)
            return None if x is None else {"clip": np.ascontiguousarray(x, dtype="float32")}

    out = folder / name
    quantise(str(_prepared(default, folder)), str(out), Reader(), **options)
    return out


def _prepared(default: Path, folder: Path) -> Path:
    from onnxruntime.quantization.shape_inference import quant_pre_process

    out = folder / "prepared.onnx"
    if not out.exists():
        # ONNX Runtime's documentation asks for this step before either quantiser.
        quant_pre_process(str(default), str(out), skip_symbolic_shape=True)
    return out


def paddleslim_ptq(network, default: Path, calibration: np.ndarray, folder: Path):
    """PaddleSlim's `quant_post_static` of the baseline export, in the plain predictor."""
    import paddle
    from paddleslim.quant import quant_post_static

    source, out = folder / "baseline", folder / "paddleslim"
    # quant_post_static works on static programs only.
    paddle.enable_static()
    try:
        place = paddle.CPUPlace()
        executor = paddle.static.Executor(place)
        clip = paddle.static.data("clip", [None, *network.spec.input_shape], "float32")
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
            model_dir=str(source),
            quantize_model_path=str(out),
            data_loader=loader,
            model_filename=paddle_version.program(),
            params_filename=paddle_version.PARAMETERS,
            batch_nums=len(calibration) // BATCH,
            # The default format leaves a folder larger than float32's, and paddle2onnx aborts on it.
            onnx_format=True,
        )
    finally:
        paddle.disable_static()
    files = sorted(path for path in out.iterdir() if path.suffix in (".pdmodel", ".pdiparams"))
    model, parameters = (
        next(path for path in files if path.suffix == end) for end in (".pdmodel", ".pdiparams")
    )
    return lambda threads: runtimes.paddle_inference(model, parameters, threads), files


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
