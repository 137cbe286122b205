"""Paddle Inference: `model.pdmodel` and `model.pdiparams`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from export.runtimes import paddle_program
from export.runtimes.contract import Predict
from export.runtimes.loading import loaded, running


def load(files: Sequence[Path], threads: int = 1, optimised: bool = True) -> Predict:
    """See `export.runtimes.contract.Runtime`. Paddle files compute in float32 in either way."""
    model, parameters = files
    return paddle_inference(model, parameters, threads)


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

    paddle_program.check(model, parameters)
    config = inference.Config(str(model), str(parameters))
    config.disable_glog_info()
    config.enable_memory_optim()
    if paddle.get_device().startswith("gpu"):
        # 256 MB is where the memory pool starts, not its limit
        config.enable_use_gpu(256, 0)
    config.set_cpu_math_library_num_threads(threads)
    if onednn:
        config.enable_mkldnn()
    else:
        config.disable_mkldnn()
    predictor = loaded(model, lambda: inference.create_predictor(config))
    source = predictor.get_input_handle(predictor.get_input_names()[0])
    sink = predictor.get_output_handle(predictor.get_output_names()[0])

    def predict(x: np.ndarray) -> np.ndarray:
        source.copy_from_cpu(np.ascontiguousarray(x, dtype=np.float32))
        predictor.run()
        return sink.copy_to_cpu()

    return running(model, predict)
