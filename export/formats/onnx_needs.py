"""Which versions of a runtime a file needs, by its opset, its container and its operators."""

from __future__ import annotations

import onnx
import onnxruntime

from export.formats import onnx_opset
from export.formats.profiles import PROFILES

# Operators of com.microsoft that were there in ONNX Runtime 1.10 already, the oldest for opset 15;
# another one is only known to be in the version that the file was checked with.
SINCE_1_10 = frozenset(
    """
    DequantizeLinear DynamicQuantizeMatMul FusedConv FusedGemm FusedMatMul Gelu MatMulInteger16
    MatMulIntegerToFloat NhwcMaxPool QAttention QGemm QLinearAdd QLinearAveragePool QLinearConcat
    QLinearConv QLinearGlobalAveragePool QLinearLeakyRelu QLinearMul QLinearReduceMean QLinearSigmoid
    QuantizeLinear
    """.split()  # noqa: SIM905  (a literal would take a line for each word)
)
# By container (IR version) the oldest ONNX Runtime: IR 9 came with opset 19, IR 10 with 21.
CONTAINERS = {7: "1.7", 8: "1.10", 9: "1.15", 10: "1.19"}


def needs(model: onnx.ModelProto, profile: str = "ort") -> dict[str, str]:
    """See `export.formats.contract.Format`: opset, container, ONNX Runtime, the profile's own
    package, and with what the file was checked."""
    opset = onnx_opset.of(model)
    found = {"opset": str(opset), "ir_version": str(model.ir_version)}
    found["onnxruntime"] = onnx_runtime_for(model)
    place = PROFILES[profile]
    if place.package == "onnxruntime-web":
        found[place.package] = found["onnxruntime"]
    elif place.package != "onnxruntime":
        # None is refused by `onnx_rules` before a file is written.
        found[place.package] = place.version_for(opset) or "the newest"
    return found | {"checked_with": f"onnxruntime {onnxruntime.__version__}"}


def onnx_runtime_for(model: onnx.ModelProto) -> str:
    """The oldest ONNX Runtime that surely runs a model."""
    oldest = [
        PROFILES["ort"].version_for(onnx_opset.of(model)),
        next((CONTAINERS[known] for known in CONTAINERS if known >= model.ir_version), None),
    ]
    own = {node.op_type for node in model.graph.node if node.domain == "com.microsoft"}
    if own:
        oldest.append("1.10" if own <= SINCE_1_10 else None)
    # Whatever is in no table is only known to be in the version that it is checked with.
    versions = [onnxruntime.__version__ if each is None else each for each in oldest]
    return max(versions, key=lambda version: [int(part) for part in version.split(".")[:2]])
