"""One `predict` per runtime: (N, C, T, V, M) float32 -> logits (N, K), with the numbers the runtime
really returns. A new runtime is a file here and a row of `export.formats.table.RUNTIMES`."""

from __future__ import annotations

import os

import numpy as np

from export.runtimes.contract import Predict, Runtime
from export.runtimes.inference import paddle_inference
from export.runtimes.ort import onnx_runtime

__all__ = [
    "Predict",
    "Runtime",
    "default_threads",
    "in_process",
    "onnx_runtime",
    "paddle_inference",
]


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


def default_threads() -> int:
    """The threads a runtime may use: OMP_NUM_THREADS, else the cores this process may run on."""
    return int(os.environ.get("OMP_NUM_THREADS") or len(os.sched_getaffinity(0)))
