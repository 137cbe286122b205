"""Integers to the end: an eight-bit model whose maps stay uint8 and channels-last from the first
point to the last.

ONNX Runtime fuses Q/DQ pairs by itself, but turns maps between channels-first and channels-last
around every product over joints. Written as its own operators (QLinearConv with `channels_last`,
NhwcMaxPool, ...), maps are (B, V, T, C) throughout: a product over joints is a plain one of rank 3,
a ReLU is the lower end of a range, and nothing is turned but the input. No other runtime reads
these operators.

What has no integer form here (attention's factors, a layer that a recipe keeps in float32) stays as
it is, between a DequantizeLinear and a QuantizeLinear.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper, numpy_helper

from export.formats import onnx_model

# ONNX Runtime's own operators.
MICROSOFT = "com.microsoft"
# (B, C, V, T) -> (B, V, T, C), and back.
TO_LAST = (0, 2, 3, 1)
TO_FIRST = (0, 3, 1, 2)


@dataclass(frozen=True)
class Fused:
    """An operator that computes in integers, with what it takes in of its neighbours.

    Attributes:
        node: the float operator between DequantizeLinear and QuantizeLinear.
        relu: what the range's lower end does in its place, None: there is none.
    """

    node: onnx.NodeProto
    relu: onnx.NodeProto | None


def convert(model: onnx.ModelProto) -> int:
    """Change a model of Q/DQ pairs, in place; the same numbers but for ties in rounding.

    Returns:
        how many operators compute in integers; 0: the model is unchanged.
    """
    compiler = _Compiler(model)
    if not compiler.fused:
        return 0
    compiler.run()
    return len(compiler.fused)


class _Compiler:
    """The model's nodes one by one, and those that take their places."""

    def __init__(self, model: onnx.ModelProto):
        self.model = model
        self.graph = model.graph
        self.stored = {one.name: one for one in self.graph.initializer}
        self.maker = {name: node for node in self.graph.node for name in node.output}
        self.readers: dict[str, list[onnx.NodeProto]] = {}
        for node in self.graph.node:
            for name in node.input:
                self.readers.setdefault(name, []).append(node)
        self.shapes = _shapes(model)
        self._forms = {
            "Add": self._add,
            "Concat": self._concat,
            "Conv": self._conv,
            "MatMul": self._matmul,
            "MaxPool": self._maxpool,
            "Mul": self._mul,
            "ReduceMean": self._mean,
            "Sigmoid": self._sigmoid,
            "Split": self._split,
        }
        # By the quantised value that comes out.
        self.fused = {one.output[0]: each for one, each in self._fusable()}
        self.nodes: list[onnx.NodeProto] = []
        # Quantised values that are channels-last, under their own name.
        self.last: set[str] = set()
        self.turned: dict[tuple[str, tuple[int, ...]], str] = {}
        self.floats: set[str] = set()

    def run(self) -> None:
        """Put the new nodes in the place of the old ones."""
        inside = {id(part) for each in self.fused.values() for part in (each.node, each.relu)}
        for node in self.graph.node:
            if id(node) in inside or node.op_type == "DequantizeLinear":
                continue
            fused = self.fused.get(node.output[0]) if node.op_type == "QuantizeLinear" else None
            if fused is None:
                self._keep(node)
            else:
                self._forms[fused.node.op_type](fused.node, node)
                self.last.add(node.output[0])
        del self.graph.node[:]
        self.graph.node.extend(self.nodes)
        onnx_model.drop_unread(self.graph)
        # What it says of maps is of channels-first ones.
        kept = {name for node in self.nodes for name in node.output} - self.last
        for value in list(self.graph.value_info):
            if value.name not in kept:
                self.graph.value_info.remove(value)
        self.model.opset_import.append(helper.make_opsetid(MICROSOFT, 1))

    def _fusable(self) -> Iterator[tuple[onnx.NodeProto, Fused]]:
        """(QuantizeLinear, what it ends) of every operator with an integer form."""
        for node in self.graph.node:
            if node.op_type != "QuantizeLinear":
                continue
            maker = self._only_for(node.input[0])
            relu = None
            # A level cannot be below zero: the lower end of the range is the ReLU.
            if maker is not None and maker.op_type == "Relu" and self._zero(node) == 0:
                relu = maker
                maker = self._only_for(relu.input[0])
            if maker is not None and self._has_form(maker, node):
                yield node, Fused(maker, relu)

    def _only_for(self, value: str) -> onnx.NodeProto | None:
        """What makes a value, if one node alone reads it."""
        return self.maker.get(value) if len(self.readers[value]) == 1 else None

    def _copies(self, node: onnx.NodeProto, point: onnx.NodeProto) -> bool:
        """Whether an operator that only chooses among values keeps their range."""
        source = self.maker.get(node.input[0])
        return source is not None and list(source.input[1:]) == list(point.input[1:])

    def _has_form(self, node: onnx.NodeProto, point: onnx.NodeProto) -> bool:
        if self._rank(node.output[0]) != 4:
            return False
        data = list(node.input)
        if node.op_type == "Conv":
            data = [node.input[0]]
            weight = self.maker.get(node.input[1])
            if weight is None or not self._is_constant(node.input[1]):
                return False
            # Without an integer in the file it is a weight that a recipe keeps in another form.
            if self.stored[weight.input[0]].data_type != onnx.TensorProto.INT8:
                return False
        elif node.op_type == "MatMul":
            # Joints by a constant matrix; any other product is over other axes.
            if not self._is_constant(node.input[0]) or self._rank(node.input[0]) != 2:
                return False
            data = [node.input[1]]
        elif node.op_type == "MaxPool":
            # The largest level is the level of the largest value.
            if not self._copies(node, point):
                return False
        elif node.op_type == "ReduceMean":
            if _pooled_axis(node) is None:
                return False
        elif node.op_type == "Split":
            data = [node.input[0]]
            ends = [self.readers.get(name, []) for name in node.output]
            # All parts or none.
            if not all(
                len(readers) == 1
                and readers[0].op_type == "QuantizeLinear"
                and self._copies(node, readers[0])
                for readers in ends
            ):
                return False
        elif node.op_type not in self._forms:
            return False
        return all(self._is_quantised(name) for name in data)

    def _is_quantised(self, value: str) -> bool:
        node = self.maker.get(value)
        if node is None or node.op_type != "DequantizeLinear":
            return False
        return self._rank(value) == 4 or (node.input[0] in self.stored and self._rank(value) == 3)

    def _rank(self, value: str) -> int:
        return len(self.shapes.get(value, ()))

    def _is_constant(self, value: str) -> bool:
        node = self.maker.get(value)
        return (
            node is not None and node.op_type == "DequantizeLinear" and node.input[0] in self.stored
        )

    def _zero(self, point: onnx.NodeProto) -> int:
        return int(numpy_helper.to_array(self.stored[point.input[2]]))

    # ------------------------------------------------------------------ values

    def _operand(self, value: str) -> list[str]:
        """[levels channels-last, scale, zero point] of a dequantised value."""
        node = self.maker[value]
        levels, scale, zero = node.input
        if levels in self.stored:
            return [self._constant_last(levels), scale, zero]
        if levels in self.last:
            return [levels, scale, zero]
        return [self._turned(levels, TO_LAST), scale, zero]

    def _constant_last(self, name: str) -> str:
        turned = f"{name}l"
        if turned not in self.stored:
            array = numpy_helper.to_array(self.stored[name])
            array = array.reshape((1,) * (4 - array.ndim) + array.shape)
            self._store(np.ascontiguousarray(array.transpose(TO_LAST)), turned)
        return turned

    def _turned(self, value: str, order: tuple[int, ...]) -> str:
        """Levels with their axes in another order; once, however many read them."""
        if (value, order) not in self.turned:
            name = f"{value}{'l' if order == TO_LAST else 'f'}"
            self._emit("Transpose", [value], name, perm=list(order))
            self.turned[value, order] = name
        return self.turned[value, order]

    def _store(self, array: np.ndarray, name: str) -> str:
        if name not in self.stored:
            self.graph.initializer.append(numpy_helper.from_array(array, name))
            self.stored[name] = self.graph.initializer[-1]
        return name

    def _emit(self, kind: str, inputs: list[str], output: str, domain: str = "", **attributes):
        self.nodes.append(
            helper.make_node(kind, inputs, [output], domain=domain or None, **attributes)
        )

    def _float(self, value: str) -> None:
        """Make a dequantised value before somebody reads it."""
        if value in self.floats:
            return
        self.floats.add(value)
        node = self.maker[value]
        levels = node.input[0]
        if levels in self.last:
            levels = self._turned(levels, TO_FIRST)
        kept = onnx.NodeProto()
        kept.CopyFrom(node)
        kept.input[0] = levels
        self.nodes.append(kept)

    def _keep(self, node: onnx.NodeProto) -> None:
        """A node that stays, and the float values it reads."""
        if self._pools_last(node):
            return
        for name in node.input:
            maker = self.maker.get(name)
            if maker is not None and maker.op_type == "DequantizeLinear":
                self._float(name)
        self.nodes.append(node)

    def _pools_last(self, node: onnx.NodeProto) -> bool:
        """The mean over joints and frames, of a map as it lies."""
        maker = self.maker.get(node.input[0]) if node.op_type == "ReduceMean" else None
        if maker is None or maker.op_type != "DequantizeLinear" or maker.input[0] not in self.last:
            return False
        attributes = {one.name: helper.get_attribute_value(one) for one in node.attribute}
        if list(attributes.get("axes", ())) != [2, 3] or attributes.get("keepdims", 1):
            return False
        name = f"{node.output[0]}l"
        self._emit("DequantizeLinear", list(maker.input), name)
        self._emit("ReduceMean", [name], node.output[0], axes=[1, 2], keepdims=0)
        return True

    # --------------------------------------------------------------- operators

    def _conv(self, node: onnx.NodeProto, point: onnx.NodeProto) -> None:
        data = self._operand(node.input[0])
        weight, scales = self.maker[node.input[1]].input[:2]
        inputs = [*data, weight, scales, self._store(np.array(0, "int8"), "wz"), *point.input[1:]]
        if len(node.input) > 2:
            inputs.append(self._bias(node.input[2], data[1], scales))
        attributes = {one.name: helper.get_attribute_value(one) for one in node.attribute}
        self._emit("QLinearConv", inputs, point.output[0], MICROSOFT, channels_last=1, **attributes)

    def _bias(self, name: str, data_scale: str, scales: str) -> str:
        """The bias in the levels of the products, as ONNX Runtime makes it of a float one."""
        bias, step, each = (
            numpy_helper.to_array(self.stored[one]).astype("float64")
            for one in (name, data_scale, scales)
        )
        # Within 32 bits: `onnx_int8.room_for_biases` has seen to it.
        levels = np.round(bias / (step * each)).astype("int32")
        return self._store(levels, f"{name}{data_scale}")

    def _matmul(self, node: onnx.NodeProto, point: onnx.NodeProto) -> None:
        """A (R, V) times (B, V, T * C): joints in front, all else a row."""
        left = self.maker[node.input[0]].input
        levels, *rest = self._operand(node.input[1])
        rows, joints = self.stored[left[0]].dims
        output = point.output[0]
        # The batch is not known: 0 keeps its size.
        self._reshape(levels, [0, joints, -1], f"{output}i")
        self._emit("QLinearMatMul", [*left, f"{output}i", *rest, *point.input[1:]], f"{output}o")
        channels = self.shapes[node.input[1]][1]
        self._reshape(f"{output}o", [0, rows, -1, channels], output)

    def _add(self, node: onnx.NodeProto, point: onnx.NodeProto) -> None:
        self._elementwise("QLinearAdd", node, point)

    def _mul(self, node: onnx.NodeProto, point: onnx.NodeProto) -> None:
        self._elementwise("QLinearMul", node, point)

    def _elementwise(self, kind: str, node: onnx.NodeProto, point: onnx.NodeProto) -> None:
        operands = [part for name in node.input for part in self._operand(name)]
        self._emit(kind, [*operands, *point.input[1:]], point.output[0], MICROSOFT)

    def _sigmoid(self, node: onnx.NodeProto, point: onnx.NodeProto) -> None:
        inputs = [*self._operand(node.input[0]), *point.input[1:]]
        self._emit("QLinearSigmoid", inputs, point.output[0], MICROSOFT)

    def _mean(self, node: onnx.NodeProto, point: onnx.NodeProto) -> None:
        """Over frames or joints, as a pooling of a view: what is pooled is the whole image, the
        rest is either other images or channels."""
        levels, *rest = self._operand(node.input[0])
        channels, joints, frames = self.shapes[node.input[0]][1:]
        if _pooled_axis(node) == 3:
            before, after = [-1, frames, 1, channels], [-1, joints, 1, channels]
        else:
            before, after = [0, joints, 1, frames * channels], [0, 1, frames, channels]
        output = point.output[0]
        self._reshape(levels, before, f"{output}i")
        inputs = [f"{output}i", *rest, *point.input[1:]]
        self._emit("QLinearGlobalAveragePool", inputs, f"{output}o", MICROSOFT, channels_last=1)
        self._reshape(f"{output}o", after, output)

    def _reshape(self, value: str, sizes: list[int], output: str) -> None:
        name = "r" + "_".join(str(size) for size in sizes)
        shape = self._store(np.array(sizes, "int64"), name)
        self._emit("Reshape", [value, shape], output)

    def _split(self, node: onnx.NodeProto, point: onnx.NodeProto) -> None:
        # One node makes all parts: it stands where the first of them is wanted.
        if node.output[0] != point.input[0]:
            return
        attributes = {one.name: helper.get_attribute_value(one) for one in node.attribute}
        attributes["axis"] = TO_LAST.index(attributes.get("axis", 0) % 4)
        levels = [self._operand(node.input[0])[0], *node.input[1:]]
        parts = [self.readers[name][0].output[0] for name in node.output]
        self.nodes.append(helper.make_node("Split", levels, parts, **attributes))
        self.last.update(parts)

    def _maxpool(self, node: onnx.NodeProto, point: onnx.NodeProto) -> None:
        attributes = {one.name: helper.get_attribute_value(one) for one in node.attribute}
        levels = self._operand(node.input[0])[0]
        self._emit("NhwcMaxPool", [levels], point.output[0], MICROSOFT, **attributes)

    def _concat(self, node: onnx.NodeProto, point: onnx.NodeProto) -> None:
        axis = TO_LAST.index(helper.get_attribute_value(node.attribute[0]) % 4)
        operands = [self._operand(name) for name in node.input]
        range_ = list(point.input[1:])
        if all(one[1:] == range_ for one in operands):
            # Of one range: levels are copied as they are.
            self._emit("Concat", [one[0] for one in operands], point.output[0], axis=axis)
            return
        inputs = [*range_, *(part for one in operands for part in one)]
        self._emit("QLinearConcat", inputs, point.output[0], MICROSOFT, axis=axis)


def _pooled_axis(node: onnx.NodeProto) -> int | None:
    """Of a mean over the joints (2) or the frames (3) that keeps its axis."""
    attributes = {one.name: helper.get_attribute_value(one) for one in node.attribute}
    axes = [axis % 4 for axis in attributes.get("axes", ())]
    return axes[0] if axes in ([2], [3]) and attributes.get("keepdims", 1) else None


def _shapes(model: onnx.ModelProto) -> dict[str, list[int]]:
    """What is known of every value's shape, 0 where a size is free; constants included."""
    inferred = onnx.shape_inference.infer_shapes(model).graph
    shapes = {
        value.name: [one.dim_value for one in value.type.tensor_type.shape.dim]
        for value in (*inferred.value_info, *inferred.input, *inferred.output)
        if value.type.tensor_type.HasField("shape")
    }
    return shapes | {one.name: list(one.dims) for one in model.graph.initializer}
