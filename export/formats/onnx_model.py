"""ONNX export of the flat network through paddle2onnx, as `model.onnx`."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import onnx
from paddle import nn

from export.flat.layers import prepared
from export.formats import onnx_simplify, paddle_model, paddle_version
from teachers import storage
from teachers.layers import AsWritten

MODEL = "model.onnx"
OPSET = 15


def save(flat: nn.Sequential, spec, folder: Path) -> list[Path]:
    """Write `model.onnx` of a flat network, input `clip` (N, C, T, V, M) with a free batch size,
    output `logits` (N, K); the flat network stays as it is."""
    return write(convert(flat, spec), folder)


def write(model: onnx.ModelProto, folder: Path, name: str = MODEL) -> list[Path]:
    """Check the model and write it into a folder."""
    onnx.checker.check_model(model)
    storage.write_bytes(folder / name, model.SerializeToString())
    return [folder / name]


def convert(flat: nn.Sequential, spec) -> onnx.ModelProto:
    """The float32 model of a flat network in any form; it stays as it is."""
    return traced(prepared(flat), spec)


def traced(flat: nn.Layer, spec) -> onnx.ModelProto:
    """The model of a flat network in the form made for ONNX, its observers traced with it."""
    model = from_paddle(AsWritten(flat), paddle_model.clip_input(spec))
    name_batches(model, spec)
    return model


def from_paddle(
    network: nn.Layer, inputs: list, outputs: Sequence[str] = ("logits",)
) -> onnx.ModelProto:
    """The model of a network as paddle2onnx has it, tidied up.

    Args:
        inputs: of `paddle.static.InputSpec`.
        outputs: their names.
    """
    # paddle2onnx reads files alone, and they must not be left in the deployed folder
    with storage.scratch() as temporary:
        prefix = temporary / "model"
        paddle_model.trace(network, inputs, prefix)
        paddle_version.to_onnx(prefix, OPSET)
        model = onnx.load(f"{prefix}.onnx")
    onnx_simplify.simplify(model.graph)
    # In this order: biases are recognised by being initialisers
    tidy(model, outputs)
    biases_into_convs(model.graph)
    return model


def name_batches(model: onnx.ModelProto, spec) -> None:
    """Say that every map has the same batch size, which no runtime can tell after the persons are
    reshaped into it.

    ONNX Runtime fuses a convolution with the sum behind it only if it knows that the shapes are
    equal.
    """
    shapes = onnx.shape_inference.infer_shapes(model).graph.value_info
    known = {one.name: one.type.tensor_type for one in shapes}
    # A clip's persons beside its channels, not in the batch yet.
    clips = {
        node.output[0]
        for node in model.graph.node
        if node.op_type == "Transpose" and node.input[0] == model.graph.input[0].name
    }
    stored = {one.name: one for one in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type != "Reshape" or node.output[0] not in known:
            continue
        if node.input[0] in clips and onnx.numpy_helper.to_array(stored[node.input[1]])[0] == 0:
            continue
        kind = known[node.output[0]]
        dims = [one.dim_value or None for one in kind.shape.dim]
        if (
            len(dims) == 4
            # Maps of (N * M, C, V, T), told from other reshapes by their joints
            and dims[0] is None
            and None not in dims[1:]
            and dims[2] == spec.input_shape[2]
        ):
            model.graph.value_info.append(
                onnx.helper.make_tensor_value_info(node.output[0], kind.elem_type, ["B", *dims[1:]])
            )


def tidy(model: onnx.ModelProto, outputs: Sequence[str] = ("logits",)) -> None:
    """Weights as initialisers under their own names, short names for other values, `outputs` for the
    results, no names for nodes."""
    merge_constants(model.graph)
    names = (one.name for one in model.graph.output)
    shorten(model.graph, dict(zip(names, outputs, strict=True)))
    # Under the old names; runtimes infer shapes by themselves
    del model.graph.value_info[:]


def merge_constants(graph: onnx.GraphProto) -> int:
    """Every Constant node with a tensor as an initialiser, and each content once; returns how many
    copies there were.

    paddle2onnx writes every weight as a Constant node, several times over if several
    operators read it.
    """
    kept = {one.name for one in graph.output}
    stored: dict[tuple, str] = {}
    rename: dict[str, str] = {}
    for tensor in [one for one in graph.initializer if one.name not in kept]:
        name = stored.setdefault(_content(tensor), tensor.name)
        if name != tensor.name:
            rename[tensor.name] = name
            graph.initializer.remove(tensor)
    nodes = []
    for node in graph.node:
        constant = node.op_type == "Constant" and node.output[0] not in kept
        if not constant or not node.attribute[0].HasField("t"):
            nodes.append(node)
            continue
        tensor, name = node.attribute[0].t, node.output[0]
        if name != (first := stored.setdefault(_content(tensor), name)):
            rename[name] = first
            continue
        tensor.name = name
        graph.initializer.append(tensor)
    # At once: to remove them one by one takes a second with a thousand
    del graph.node[:]
    graph.node.extend(nodes)
    read_instead(graph, rename)
    return len(rename)


def _content(tensor: onnx.TensorProto) -> tuple:
    # By content: the copies of a weight have different names, and would be stored once each
    nameless = onnx.TensorProto()
    nameless.CopyFrom(tensor)
    nameless.ClearField("name")
    return tensor.data_type, tuple(tensor.dims), nameless.SerializeToString()


def read_instead(graph: onnx.GraphProto, new: dict[str, str]) -> None:
    """Let nodes read other values."""
    for node in graph.node:
        node.input[:] = [new.get(name, name) for name in node.input]


def shorten(graph: onnx.GraphProto, rename: dict[str, str]) -> None:
    """Short names for what nodes make, but for what `rename` names otherwise; no names and
    documentation of nodes."""
    kept = {one.name for one in (*graph.initializer, *graph.input)}
    # Names of a stranger's weights may be as short as ours
    taken = kept | set(rename.values())
    free = (name for name in (f"v{number}" for number in itertools.count(1)) if name not in taken)
    for node in graph.node:
        # No runtime reads them, and every byte of the file counts
        node.name, node.doc_string = "", ""
        for name in node.output:
            if name and name not in rename:
                rename[name] = next(free)
        for names in (node.input, node.output):
            names[:] = [name if name in kept else rename.get(name, name) for name in names]
    for one in graph.output:
        one.name = rename.get(one.name, one.name)


def biases_into_convs(graph: onnx.GraphProto) -> int:
    """Conv, then Add of a constant (C, 1, 1) -> Conv with that bias; returns how many."""
    stored = {one.name: one for one in graph.initializer}
    # An output of the model is read by whoever runs it
    readers = Counter(name for node in graph.node for name in node.input)
    readers.update(one.name for one in graph.output)
    convs = {
        node.output[0]: node
        for node in graph.node
        if node.op_type == "Conv" and len(node.input) == 2 and node.input[1] in stored
    }
    count = 0
    for node in [one for one in graph.node if one.op_type == "Add"]:
        source, constant = node.input
        if source not in convs:
            source, constant = constant, source
        conv, bias = convs.get(source), stored.get(constant)
        # A result that is read twice would get the bias in both places
        if conv is None or bias is None or readers[source] > 1:
            continue
        # A constant for each joint is no bias of a Conv
        if not is_bias(bias.dims, stored[conv.input[1]].dims):
            continue
        values = onnx.numpy_helper.to_array(bias).reshape(-1)
        name = f"{bias.name.removesuffix('.b')}.bias"
        while name in stored:  # equal constants share one initialiser
            name += "_"
        graph.initializer.append(onnx.numpy_helper.from_array(values, name))
        stored[name] = graph.initializer[-1]
        conv.input.append(graph.initializer[-1].name)
        conv.output[0] = node.output[0]
        graph.node.remove(node)
        count += 1
    drop_unread(graph)
    return count


def is_bias(dims, weight) -> bool:
    """Whether a constant of this shape is one number for each channel of a convolution's result;
    `weight`: the shape of its weight, (C, ...)."""
    wide = [1] * (len(weight) - len(dims)) + list(dims)
    return wide == [1, weight[0], *[1] * (len(weight) - 2)]


def drop_unread(graph: onnx.GraphProto) -> None:
    """Remove initialisers that no node reads."""
    read = {name for node in graph.node for name in node.input}
    read |= {one.name for one in graph.output}
    for one in [one for one in graph.initializer if one.name not in read]:
        graph.initializer.remove(one)
