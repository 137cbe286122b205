"""A deployed folder made of a few ONNX operators: the mean of x, y and z decides the class. Live
poses can be tested without Paddle and without training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from export import deployed
from export.deployed.record import FORMAT, VERSION, Description, Input, Output, Recorded
from teachers.skeleton import Skeleton

V = 5
T = 8
CLASSES = ("still", "wave", "jump")
FIVE = Skeleton("five", V, ((2, 1), (3, 1), (4, 1), (5, 4)), centre=1)
# Of class k, channel k alone counts: poses of 4 along it give it a score above 0.95.
WEIGHTS = np.eye(3, dtype=np.float32)


def make(folder: Path, persons: int = 1, **said) -> Path:
    """Write the folder; `said` goes into its description."""
    folder.mkdir(parents=True, exist_ok=True)
    nodes = [
        helper.make_node("ReduceMean", ["clip"], ["mean"], axes=[2, 3, 4], keepdims=0),
        helper.make_node("MatMul", ["mean", "weights"], ["logits"]),
    ]
    shape = [3, T, V, persons]
    graph = helper.make_graph(
        nodes,
        "live",
        [helper.make_tensor_value_info("clip", TensorProto.FLOAT, ["N", *shape])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 3])],
        [numpy_helper.from_array(WEIGHTS, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    onnx.save(model, str(folder / "model.onnx"))
    description = Description(
        format=FORMAT,
        version=VERSION,
        counted_from=0,
        network="means",
        classes=CLASSES,
        input=Input("clip", (None, *shape)),
        output=Output("logits", (None, 3)),
        skeleton=FIVE,
        recorded=Recorded(channels=3, joints=V, persons=persons),
        preprocessing=({"op": "sample", "frames": T},),
        files={"onnx": ("model.onnx",)},
        **said,
    )
    deployed.write(folder, description)
    return folder


def pose(number: int, size: float = 4.0) -> np.ndarray:
    """(V, 3) of which the network says class `number`; every joint is another one."""
    joints = np.full((V, 3), 0.01, np.float32) * np.arange(1, V + 1, dtype=np.float32)[:, None]
    joints[:, number] += size
    return joints
