"""What files are written for, beside the network itself: the keys of a recipe's `export:`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# How `model.onnx` writes what it computes in eight bits: as ONNX Runtime's own operators on
# integers, or as pairs of QuantizeLinear and DequantizeLinear around standard ones.
Integers = Literal["qoperator", "qdq"]


@dataclass(frozen=True)
class Options:
    """How files are written.

    Attributes:
        skip_absent: in ONNX, persons who are not in a clip are not computed; accelerators that need
            static shapes cannot have it.
        onnx: how ONNX files in eight bits are written; `qdq` for other runtimes than ONNX Runtime.
            None: the faster one in ONNX Runtime (`export.formats.onnx_format`).
    """

    skip_absent: bool = True
    onnx: Integers | None = None


USUAL = Options()
