"""PyTorch eager on the CPU: the operators of a default ONNX file, one call of torch each.

The default file is the published form of a network, BatchNorm and all, so this is what a person has
who loads the public code in PyTorch and calls it, whatever network it is.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from export import runtimes
from teachers.errors import DataError


def load(model: Path, threads: int = 1) -> runtimes.Predict:
    """Clips (N, C, T, V, M) -> logits (N, K).

    Raises:
        DataError: an operator that the public networks do not have.
    """
    import torch

    torch.set_num_threads(threads)
    graph = onnx.load(model).graph
    values = {tensor.name: _tensor(tensor) for tensor in graph.initializer}
    steps = []
    for node in graph.node:
        settings = {one.name: helper.get_attribute_value(one) for one in node.attribute}
        if node.op_type == "Constant":
            values[node.output[0]] = _tensor(settings["value"])
        elif node.op_type not in _CALLS:
            raise DataError(f"{model}: PyTorch eager: no call for {node.op_type}")
        else:
            steps.append((_CALLS[node.op_type], list(node.input), list(node.output), settings))
    source, sink = graph.input[0].name, graph.output[0].name

    def predict(x: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            known = {**values, source: torch.from_numpy(np.ascontiguousarray(x, "float32"))}
            for call, inputs, outputs, settings in steps:
                found = call([known[name] for name in inputs if name], settings)
                found = found if isinstance(found, (tuple, list)) else (found,)
                known.update(zip(outputs, found, strict=True))
            return np.asarray(known[sink].numpy())

    return predict


def _tensor(content: onnx.TensorProto) -> Any:
    import torch

    return torch.from_numpy(numpy_helper.to_array(content).copy())


def _axes(inputs: list, settings: dict) -> list[int]:
    return inputs[1].tolist() if len(inputs) > 1 else list(settings["axes"])


def _conv(x: list, settings: dict) -> Any:
    import torch

    pads = settings.get("pads", [0, 0, 0, 0])
    bias = x[2] if len(x) > 2 else None
    return torch.nn.functional.conv2d(
        x[0],
        x[1],
        bias,
        settings.get("strides", [1, 1]),
        pads[: len(pads) // 2],
        settings.get("dilations", [1, 1]),
        settings.get("group", 1),
    )


def _pool(x: list, settings: dict) -> Any:
    import torch

    pads = settings.get("pads", [0, 0, 0, 0])
    return torch.nn.functional.max_pool2d(
        x[0], settings["kernel_shape"], settings.get("strides"), pads[: len(pads) // 2]
    )


def _norm(x: list, settings: dict) -> Any:
    import torch

    epsilon = settings.get("epsilon", 1e-5)
    return torch.nn.functional.batch_norm(x[0], x[3], x[4], x[1], x[2], False, 0.0, epsilon)


def _reshape(x: list, settings: dict) -> Any:
    # 0 keeps the size of its axis.
    sizes = [x[0].shape[place] if size == 0 else size for place, size in enumerate(x[1].tolist())]
    return x[0].reshape(sizes)


def _slice(x: list, settings: dict) -> Any:
    starts, ends, axes, *steps = (each.tolist() for each in x[1:])
    found = x[0]
    for place, axis in enumerate(axes):
        step = steps[0][place] if steps else 1
        index = [slice(None)] * found.ndim
        index[axis] = slice(starts[place], ends[place], step)
        found = found[tuple(index)]
    return found


def _split(x: list, settings: dict) -> Any:
    return x[0].split(x[1].tolist(), settings.get("axis", 0))


def _squeeze(x: list, settings: dict) -> Any:
    return x[0].squeeze(tuple(_axes(x, settings)))


def _unsqueeze(x: list, settings: dict) -> Any:
    found = x[0]
    for axis in sorted(_axes(x, settings)):
        found = found.unsqueeze(axis)
    return found


def _hard_swish(x: list, settings: dict) -> Any:
    import torch

    return torch.nn.functional.hardswish(x[0])


def _concat(x: list, settings: dict) -> Any:
    import torch

    return torch.cat(x, settings["axis"])


def _reduced(name: str) -> Callable[[list, dict], Any]:
    def reduce(x: list, settings: dict) -> Any:
        return getattr(x[0], name)(_axes(x, settings), keepdim=bool(settings.get("keepdims", 1)))

    return reduce


_CALLS: dict[str, Callable[[list, dict], Any]] = {
    "Add": lambda x, settings: x[0] + x[1],
    "BatchNormalization": _norm,
    "Concat": _concat,
    "Conv": _conv,
    "HardSwish": _hard_swish,
    "MatMul": lambda x, settings: x[0] @ x[1],
    "MaxPool": _pool,
    "Mul": lambda x, settings: x[0] * x[1],
    "ReduceMean": _reduced("mean"),
    "ReduceSum": _reduced("sum"),
    "Relu": lambda x, settings: x[0].relu(),
    "Reshape": _reshape,
    "Sigmoid": lambda x, settings: x[0].sigmoid(),
    "Slice": _slice,
    "Split": _split,
    "Squeeze": _squeeze,
    "Sub": lambda x, settings: x[0] - x[1],
    "Tanh": lambda x, settings: x[0].tanh(),
    "Transpose": lambda x, settings: x[0].permute(settings["perm"]),
    "Unsqueeze": _unsqueeze,
}
