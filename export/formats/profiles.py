"""The places that `model.onnx` goes to: what each takes, as the documents of its maker say.

Words and numbers alone, so that a recipe is read without ONNX; `export.formats.onnx_rules` holds a
finished graph against them, and needs no target for it.

Sources: ONNX Runtime, docs/Versioning.md, and its releases run (`benchmarks/LOG.md`);
onnx-tensorrt, docs/operators.md of 8.0 to 10.15; RKNN-Toolkit2, OP_Support-1.6.0.md and the notes of
that release; OpenVINO, src/frontends/onnx/docs/supported_ops.md, and its releases run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# "" is ai.onnx, the standard operators.
STANDARD = ("",)
MICROSOFT = ("", "com.microsoft")


@dataclass(frozen=True)
class Profile:
    """A place.

    Attributes:
        title: what it is called in messages.
        package: what has to be installed there, as `requires` calls it.
        oldest: by opset, the oldest version of the package that reads it; an opset in between needs
            the version of the next one.
        domains: of operators.
        allowed: the only operators that it has; None: all but `refused`.
        refused: operators that it lacks.
        static: every shape must be known before a clip comes.
        ranks: the highest number of axes of a value; None: any.
        symmetric: eight-bit values are int8 around zero.
        single: operators that take a first axis of 1 only.
        qdq: eight bits come as QuantizeLinear and DequantizeLinear around standard operators.
    """

    title: str
    package: str
    oldest: Mapping[int, str]
    domains: tuple[str, ...] = STANDARD
    allowed: frozenset[str] | None = None
    refused: frozenset[str] = frozenset()
    static: bool = False
    ranks: int | None = None
    symmetric: bool = False
    single: frozenset[str] = frozenset()
    qdq: bool = True

    def version_for(self, opset: int) -> str | None:
        """The oldest version that surely reads an opset; None: no known one does."""
        later = [known for known in self.oldest if known >= opset]
        return self.oldest[min(later)] if later else None


# 15 and 21 a release later than the opset, which is when all of their kernels were there. 19, 20
# and 21 were tried: 1.15.1, 1.17.3 and 1.18.1 load them, and the releases before do not.
ONNX_RUNTIME = {
    13: "1.7",
    14: "1.8",
    15: "1.10",
    16: "1.11",
    17: "1.12",
    18: "1.14",
    19: "1.15",
    20: "1.17",
    21: "1.19",
}
_TENSORRT_LACKS = frozenset(
    """
    Bernoulli BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor CenterCropPad Col2Im Compress
    ConcatFromSequence ConvInteger DFT Det DynamicQuantizeLinear MatMulInteger MaxRoiPool MaxUnpool
    Multinomial Optional QLinearConv QLinearMatMul Unique
    """.split()  # noqa: SIM905  (a literal would take a line for each word)
)
_RKNN_HAS = frozenset(
    """
    Add ArgMax ArgMin AveragePool BatchNormalization Cast Clip Concat Constant ConstantOfShape Conv
    ConvTranspose Cos DepthToSpace DequantizeLinear Div Dropout Elu Equal Exp EyeLike Flatten GRU
    Gather Gemm GlobalAveragePool GlobalMaxPool Greater GreaterOrEqual HardSigmoid HardSwish Identity
    InstanceNormalization LRN LSTM LeakyRelu Less LessOrEqual LogSoftmax LpNormalization MatMul Max
    MaxPool MaxRoiPool MaxUnpool Min Mul PRelu Pad Pow QuantizeLinear ReduceMax ReduceMean ReduceMin
    ReduceSum Relu Reshape Resize ReverseSequence ScatterND Shape Sigmoid Sin Size Slice Softmax
    Softplus SpaceToDepth Split Sqrt Squeeze Sub Tanh Tile Transpose Unsqueeze Where
    """.split()  # noqa: SIM905  (a literal would take a line for each word)
)

PROFILES: Mapping[str, Profile] = {
    "ort": Profile("ONNX Runtime", "onnxruntime", ONNX_RUNTIME, MICROSOFT, qdq=False),
    # The same engine as WebAssembly, released under the same numbers.
    "web": Profile("onnxruntime-web", "onnxruntime-web", ONNX_RUNTIME, MICROSOFT, qdq=False),
    "tensorrt": Profile(
        "TensorRT",
        "tensorrt",
        {13: "8.0", 17: "8.5", 19: "9.2", 20: "10.0", 24: "10.15"},
        refused=_TENSORRT_LACKS,
        static=True,
        symmetric=True,
    ),
    "openvino": Profile("OpenVINO", "openvino", {15: "2023.3", 21: "2024.4"}, static=True),
    "rknn": Profile(
        "RKNN-Toolkit2",
        "rknn-toolkit2",
        # 1.4 reads opset 12 alone.
        {19: "1.6.0"},
        allowed=_RKNN_HAS,
        static=True,
        ranks=4,
        single=frozenset({"LogSoftmax", "Slice", "Softmax", "Tile"}),
    ),
}


def needed(requires: Mapping[str, str]) -> str:
    """What files need, of `requires` in `deployed.json`, in words: "onnxruntime 1.10, opset 15"."""
    besides = ("opset", "ir_version", "checked_with", "integers")
    packages = [f"{name} {version}" for name, version in requires.items() if name not in besides]
    opset = [f"opset {requires['opset']}"] if "opset" in requires else []
    integers = [f"integers: {requires['integers']}"] if "integers" in requires else []
    return ", ".join(packages + opset + integers)
