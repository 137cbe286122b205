"""One `predict` per runtime: (N, C, T, V, M) float32 -> logits (N, K), with the numbers the runtime
really returns."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from teachers.errors import ExportMismatch

Predict = Callable[[np.ndarray], np.ndarray]


def in_process(network) -> Predict:
    """A Paddle network in this process, in evaluation mode."""
    import paddle

    def predict(x: np.ndarray) -> np.ndarray:
        was_training = network.training
        network.eval()
        with paddle.no_grad():
            logits = network(paddle.to_tensor(x)).numpy()
        if was_training:
            network.train()
        return logits

    return predict


def paddle_inference(
    model: Path, parameters: Path, threads: int = 1, onednn: bool = False
) -> Predict:
    """Paddle Inference. oneDNN is off: with it the CPU predictor of Paddle 2.6.2 returns wrong
    logits for these networks.

    Buffers are used again within a run (`enable_memory_optim`): fresh ones cost a fifth of the
    time. On a GPU build with a GPU the predictor runs there.

    Raises:
        ExportMismatch: the runtime cannot load or run the file.
    """
    import paddle
    from paddle import inference

    config = inference.Config(str(model), str(parameters))
    config.disable_glog_info()
    config.enable_memory_optim()
    if paddle.get_device().startswith("gpu"):
        config.enable_use_gpu(256, 0)
    config.set_cpu_math_library_num_threads(threads)
    if onednn:
        config.enable_mkldnn()
    else:
        config.disable_mkldnn()
    predictor = _loaded(model, lambda: inference.create_predictor(config))
    source = predictor.get_input_handle(predictor.get_input_names()[0])
    sink = predictor.get_output_handle(predictor.get_output_names()[0])

    def predict(x: np.ndarray) -> np.ndarray:
        source.copy_from_cpu(np.ascontiguousarray(x, dtype=np.float32))
        predictor.run()
        return sink.copy_to_cpu()

    return predict


def onnx_runtime(model: Path, threads: int = 1, optimised: bool = True) -> Predict:
    """ONNX Runtime on the CPU.

    Args:
        optimised: as it is served. Without its graph optimisations a file with eight-bit
            activations is computed operator by operator in float32: slowly, alike on every CPU.
    Raises:
        ExportMismatch: the runtime cannot load or run the file.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = _loaded(
        model,
        lambda: onnxruntime.InferenceSession(
            str(model), options, providers=["CPUExecutionProvider"]
        ),
    )
    name = session.get_inputs()[0].name
    return lambda x: session.run(None, {name: np.ascontiguousarray(x, dtype=np.float32)})[0]


def default_threads() -> int:
    """The threads a runtime may use here: OMP_NUM_THREADS, else the cores this process may run on."""
    return int(os.environ.get("OMP_NUM_THREADS") or len(os.sched_getaffinity(0)))


def _loaded(model: Path, create: Callable):
    try:
        return create()
    except Exception as error:  # each runtime raises its own kinds
        first = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
        raise ExportMismatch(
            f"{model}: its runtime cannot load it ({first}); export it again"
        ) from error
