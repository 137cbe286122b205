"""Paddle Inference: a program (`model.pdmodel`, of Paddle 3 `model.json`) and `model.pdiparams`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from export.runtimes import features, paddle_program
from export.runtimes.contract import Predict, PredictFeatures, PredictOutputs
from export.runtimes.loading import loaded, running
from teachers import storage
from teachers.errors import ExportMismatch
from teachers.weights import paddle_files, pir_files


def load(files: Sequence[Path], threads: int = 1, optimised: bool = True) -> Predict:
    """See `export.runtimes.contract.Runtime`. Paddle files compute in float32 in either way."""
    model, parameters = files
    return paddle_inference(model, parameters, threads)


def load_outputs(files: Sequence[Path], threads: int = 1) -> PredictOutputs:
    """See `export.runtimes.contract.Runtime`."""
    model, parameters = files
    return _of_files(model, parameters, threads, onednn=False)


def load_with_features(files: Sequence[Path], threads: int = 1) -> PredictFeatures:
    """See `export.runtimes.contract.Runtime`."""
    from paddle import inference

    model, parameters = files
    require_readable(model)
    paddle_program.check(model, parameters)
    if is_pir(model):
        program = features.pir_with_features(pir_files.program_of(model.read_bytes()), model)
    else:
        program = features.program_with_features(paddle_files.read_program(model), model)
    # A file, for Paddle 3.3 reads no JSON from memory; it is read once, by the predictor.
    with storage.scratch() as temporary:
        changed = temporary / model.name
        changed.write_bytes(program)
        config = inference.Config(str(changed), str(parameters))
        run = _predictor(model, config, threads, onednn=False)
    return lambda x: features.split(run(x), model)


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
    run = _of_files(model, parameters, threads, onednn)
    return lambda x: run(x)[0]


def _of_files(model: Path, parameters: Path, threads: int, onednn: bool) -> PredictOutputs:
    from paddle import inference

    require_readable(model)
    paddle_program.check(model, parameters)
    config = inference.Config(str(model), str(parameters))
    return _predictor(model, config, threads, onednn)


def is_pir(model: Path) -> bool:
    """Whether a program is of Paddle 3."""
    return model.suffix == ".json"


def require_readable(model: Path) -> None:
    """
    Raises:
        ExportMismatch: the installed Paddle is older than the one that wrote the file.
    """
    import paddle

    if is_pir(model) and int(paddle.__version__.partition(".")[0]) < 3:
        raise ExportMismatch(
            f"{model}: a program of Paddle 3, and Paddle {paddle.__version__} is installed; install"
            " requirements-paddle3.txt, or serve model.onnx"
        )


def _predictor(
    model: Path, config: Any, threads: int, onednn: bool
) -> Callable[[np.ndarray], list[np.ndarray]]:
    """All outputs of an input; `model` names the file in errors."""
    import paddle
    from paddle import inference

    config.disable_glog_info()
    config.enable_memory_optim()
    if is_pir(model):
        # Without both, Paddle 3.3.1 looks for a memory pass of programs of Paddle 2, and ends.
        config.enable_new_ir(True)
        config.enable_new_executor(True)
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
    sinks = [predictor.get_output_handle(name) for name in predictor.get_output_names()]

    def predict(x: np.ndarray) -> list[np.ndarray]:
        source.copy_from_cpu(np.ascontiguousarray(x, dtype=np.float32))
        predictor.run()
        return [sink.copy_to_cpu() for sink in sinks]

    return running(model, predict)
