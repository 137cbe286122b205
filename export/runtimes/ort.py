"""ONNX Runtime: `model.onnx`, on the CPU, and on a GPU where onnxruntime-gpu is installed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from export.runtimes import features, onnx_graph
from export.runtimes.contract import Predict, PredictFeatures, PredictOutputs
from export.runtimes.loading import loaded, running
from export.runtimes.shapes import fitted
from teachers.errors import ExportMismatch
from teachers.storage.bounded import read_bytes

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
# TF32, its default on Ampere and later, keeps ten bits of a product's inputs: logits of float32 files
# are off by up to 7e-4 of the largest on an H200, and by 5e-7 without it.
CUDA_EXACTLY = (CUDA, {"use_tf32": "0"})


def load(files: Sequence[Path], threads: int = 1, optimised: bool = True) -> Predict:
    """See `export.runtimes.contract.Runtime`."""
    (model,) = files
    return onnx_runtime(model, threads, optimised)


def load_outputs(files: Sequence[Path], threads: int = 1) -> PredictOutputs:
    """See `export.runtimes.contract.Runtime`."""
    (model,) = files
    onnx_graph.check(model)
    return _session(model, str(model), threads)


def load_with_features(files: Sequence[Path], threads: int = 1) -> PredictFeatures:
    """See `export.runtimes.contract.Runtime`."""
    (model,) = files
    onnx_graph.check(model)
    data = read_bytes(model, onnx_graph.LARGEST_MODEL, ExportMismatch)
    run = _session(model, features.onnx_with_features(data, model), threads)
    return lambda x: features.split(run(x), model)


def onnx_runtime(
    model: Path, threads: int = 1, optimised: bool = True, spinning: bool = True
) -> Predict:
    """ONNX Runtime on the CPU.

    Args:
        optimised: as it is served. Without its graph optimisations a file with eight-bit
            activations is computed operator by operator in float32: slowly, alike on every CPU.
        spinning: its threads wait for the next clips in a loop, which is fastest where nothing else
            needs their cores.
    Raises:
        ExportMismatch: the runtime cannot load or run the file.
    """
    onnx_graph.check(model)
    run = _session(model, str(model), threads, optimised, spinning)
    return lambda x: run(x)[0]


def has_cuda() -> bool:
    """Whether the installed ONNX Runtime has code for GPUs; there may be none all the same."""
    import onnxruntime

    return CUDA in onnxruntime.get_available_providers()


def on_gpu(model: Path, threads: int = 1) -> Predict:
    """ONNX Runtime on the first GPU; operators that it has no code for run on the CPU.

    Raises:
        ExportMismatch: no GPU, or the libraries of its release of CUDA are missing.
    """
    onnx_graph.check(model)
    session = opened(model, str(model), threads, providers=(CUDA_EXACTLY, CPU))
    if session.get_providers()[0] != CUDA:
        raise ExportMismatch(
            f"{model}: ONNX Runtime cannot use a GPU here; install the CUDA and cuDNN that"
            " onnxruntime-gpu asks for (pip install 'onnxruntime-gpu[cuda,cudnn]'), and see that"
            " nvidia-smi lists one"
        )
    run = _running(model, session)
    return lambda x: run(x)[0]


def _session(
    model: Path, source: str | bytes, threads: int, optimised: bool = True, spinning: bool = True
) -> Callable[[np.ndarray], list[np.ndarray]]:
    """All outputs of an input, of a file or of its content; `model` names it in errors."""
    return _running(model, opened(model, source, threads, optimised, spinning))


def _running(model: Path, session: Any) -> Callable[[np.ndarray], list[np.ndarray]]:
    inputs = session.get_inputs()
    if len(inputs) != 1:
        raise ExportMismatch(
            f"{model}: has {len(inputs)} inputs, expected one; export the network alone"
        )
    name = inputs[0].name

    def run(x: np.ndarray) -> list[np.ndarray]:
        found = session.run(None, {name: np.ascontiguousarray(x, dtype=np.float32)})
        return [np.asarray(output) for output in found]

    return running(model, fitted(run, inputs[0].shape))


def opened(
    model: Path,
    source: str | bytes,
    threads: int,
    optimised: bool = True,
    spinning: bool = True,
    providers: Sequence[Any] = (CPU,),
) -> Any:
    """The session of a file or of its content; `model` names it in errors.

    Raises:
        ExportMismatch: it cannot be loaded.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    if not spinning:
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # 1 is float32. By default the product with weights that pass a DequantizeLinear rounds its input
    # to eight bits (MatMulNBits), by which logits are off by a hundredth.
    options.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", "1")
    # Errors alone: warnings about initialisers that it folds say nothing to the reader of a run
    options.log_severity_level = 3
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return loaded(
        model,
        lambda: onnxruntime.InferenceSession(source, options, providers=list(providers)),
    )
