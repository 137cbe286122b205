"""EfficientGCN weights from the published key names to ours; the graphs that a checkpoint stores
are kept as they are.

The shapes and names tell everything but the frames, the persons (pooled over) and strides above 2.
"""

from __future__ import annotations

import re

import numpy as np

from teachers.efficientgcn.layers import HOPS, LAYERS, hop_adjacency, temporal_steps
from teachers.efficientgcn.network import Block, Config, Spec
from teachers.errors import CheckpointError
from teachers.skeleton import NTU_25, UCLA_20
from teachers.weights.published import (
    NO_HINTS,
    Hints,
    StrictReader,
    check_graph,
    classes,
    classifier,
    under,
)

READS = ("EfficientGCN's own repository (torch)", "its Paddle reproduction")
# As published.
FRAMES = 288
PERSONS = 2


def is_published(arrays: dict[str, np.ndarray]) -> bool:
    """Whether the key names are those of EfficientGCN."""
    return any(re.fullmatch(r"input_branches\.\d+\.stem_scn\.conv\.A", name) for name in arrays)


def from_published(
    arrays: dict[str, np.ndarray], hints: Hints = NO_HINTS
) -> tuple[Spec, dict[str, np.ndarray]]:
    """Spec and our state from published names.

    Raises:
        CheckpointError: a key is missing or left over, or the shapes are not those of one
            EfficientGCN.
    """
    spec = _spec_of(arrays, hints)
    take = StrictReader(arrays)
    state: dict[str, np.ndarray] = {}
    # Published blocks are numbered anew in each branch and in the main stream.
    branched = [block for block in spec.blocks if block.branched]
    main = [block for block in spec.blocks if not block.branched]
    per_branch = spec.channels // spec.branches
    for number in range(spec.branches):
        branch = f"input_branches.{number}"
        stem = under("bn", take.norm(f"{branch}.init_bn"))
        stem |= under("graph", _graph(take, f"{branch}.stem_scn", per_branch, spec.stem, spec))
        stem |= under("temporal", _temporal(take, f"{branch}.stem_tcn", "basic", spec.stem, 0, 1))
        state |= under(f"stem.{number}", stem)
        for index, block in enumerate(branched):
            state |= under(
                f"{block.id}.{number}", _block(take, f"{branch}.block-{index}", block, spec)
            )
    for index, block in enumerate(main):
        state |= under(block.id, _block(take, f"main_stream.block-{index}", block, spec))
    state |= classifier(take, "classifier.fc", spec.classes)
    take.finish("EfficientGCN")
    return spec, state


def _spec_of(arrays: dict[str, np.ndarray], hints: Hints) -> Spec:
    branches = len({name.split(".")[1] for name in arrays if name.startswith("input_branches.")})
    stem, per_branch = _graph_shape(arrays, "input_branches.0.stem_scn")
    graph = arrays.get("input_branches.0.stem_scn.conv.A")
    if graph is None or graph.ndim != 3 or graph.shape[0] != HOPS:
        raise CheckpointError(f"has no 'input_branches.0.stem_scn.conv.A' of shape ({HOPS}, V, V)")
    # The recipe's config may be another network's: a weights file names its network itself.
    config = hints.config if isinstance(hints.config, Config) else Config()
    skeleton = hints.graph(graph.shape[-1], (NTU_25, UCLA_20))
    check_graph(graph, skeleton)
    streams = [
        (stream, index)
        for stream in ("input_branches.0", "main_stream")
        for index in range(_count(arrays, rf"{stream}\.block-(\d+)_scn"))
    ]
    # B0's branches have no temporal layer: the first block that has one tells the kind of all.
    with_layers = [
        f"{stream}.block-{index}"
        for stream, index in streams
        if _count(arrays, rf"{stream}\.block-{index}_tcn-(\d+)")
    ]
    first = with_layers[0] if with_layers else ""
    layer = _layer_of(arrays, first, config.layer)
    blocks = tuple(_block_spec(arrays, stream, index, layer) for stream, index in streams)
    if not blocks:
        raise CheckpointError("has no 'main_stream.block-0_scn.conv.gcn.weight'")
    # Only how a fresh graph is normalised; the stored one is used whatever it is. Two hops at
    # least, for the published graph has subsets of 0, 1 and 2.
    max_hop = config.max_hop
    for hop in range(HOPS - 1, skeleton.joints):
        if np.allclose(hop_adjacency(skeleton, hop), graph, atol=1e-5):
            max_hop = hop
            break
    return Spec(
        blocks,
        classes(arrays, "classifier.fc", hints),
        skeleton,
        hints.frames or FRAMES,
        hints.persons or PERSONS,
        per_branch * branches,
        branches,
        stem,
        "input_branches.0.stem_scn.conv.edge" in arrays,
        max_hop,
        config.dropout,
    )


def _count(arrays: dict[str, np.ndarray], pattern: str) -> int:
    matches = (re.match(pattern, name) for name in arrays)
    return len({match[1] for match in matches if match})


def _graph_shape(arrays: dict[str, np.ndarray], name: str) -> tuple[int, int]:
    """(channels, input channels) of a graph convolution."""
    weight = arrays.get(f"{name}.conv.gcn.weight")
    if weight is None or weight.ndim != 4 or weight.shape[0] % HOPS:
        raise CheckpointError(
            f"has no {name + '.conv.gcn.weight'!r} of shape ({HOPS} * C, Cin, 1, 1)"
        )
    return weight.shape[0] // HOPS, weight.shape[1]


def _layer_of(arrays: dict[str, np.ndarray], block: str, default: str) -> str:
    """The kind of a block's temporal layers, told by the names of their convolutions."""
    start = f"{block}_tcn-0."
    steps = {
        name[len(start) :].split(".")[0]
        for name, value in arrays.items()
        if name.startswith(start) and value.ndim == 4
    }
    # Every kind may have one.
    steps -= {"residual"}
    for layer in LAYERS:
        if steps == {step.name for step in temporal_steps(layer, 1, 1, 1)}:
            return layer
    if steps:
        raise CheckpointError(
            f"{block}_tcn-0 has the convolutions {', '.join(sorted(steps))}, those of no known"
            f" temporal layer ({', '.join(LAYERS)})"
        )
    return default


def _block_spec(arrays: dict[str, np.ndarray], stream: str, index: int, layer: str) -> Block:
    name = f"{stream}.block-{index}"
    branched = stream != "main_stream"
    channels, last = _graph_shape(arrays, f"{name}_scn")
    depth = _count(arrays, rf"{re.escape(name)}_tcn-(\d+)")
    layer = _layer_of(arrays, name, layer)
    # The convolution whose outputs are the channels inside a layer; the other kinds have none.
    narrow = {"sg": "point_conv1", "epsep": "expand_conv", "bottleneck": "reduct_conv"}.get(layer)
    needed = [f"{name}_att.att.fcn.0.weight"]
    if depth and narrow:
        needed.append(f"{name}_tcn-0.{narrow}.0.weight")
    for key in needed:
        if key not in arrays:
            raise CheckpointError(f"has no {key!r}")
    # 0 where no tensor shows a width: a fresh network's spec says the same there.
    hidden = arrays[needed[1]].shape[0] if len(needed) > 1 else 0
    # A temporal layer keeps its width, so its residual is a conv only where it has a stride.
    stride = 2 if f"{name}_tcn-0.residual.0.weight" in arrays else 1
    block_id = f"{'i' if branched else 'm'}{index + 1}"
    attention = arrays[needed[0]].shape[0]
    return Block(block_id, last, channels, stride, depth, layer, hidden, attention, branched)


def _graph(take: StrictReader, name: str, Cin: int, C: int, spec: Spec) -> dict[str, np.ndarray]:
    weight = take(f"{name}.conv.gcn.weight")
    bias = take(f"{name}.conv.gcn.bias")
    if weight.shape != (HOPS * C, Cin, 1, 1):
        raise CheckpointError(
            f"{name}.conv.gcn.weight has shape {weight.shape}, expected {(HOPS * C, Cin, 1, 1)}"
        )
    weight = weight.reshape(HOPS, C, Cin)
    # As `SpatialGraph` orders them: inputs (Cin, hop) where the graph comes first, else outputs
    # (C, hop).
    if Cin < C:
        weight = weight.transpose(1, 2, 0).reshape(C, -1, 1, 1)
    else:
        weight = weight.transpose(1, 0, 2).reshape(-1, Cin, 1, 1)
    parts = {
        "values.weight": weight,
        "values_bias": bias.reshape(HOPS, C).T,
        "adjacency": take(f"{name}.conv.A"),
    }
    if spec.edge:
        parts["edge"] = take(f"{name}.conv.edge")
    parts |= under("bn", take.norm(f"{name}.bn"))
    if Cin != C:
        parts |= under("residual", _conv_norm(take, f"{name}.residual.0", f"{name}.residual.1"))
    return parts


def _temporal(
    take: StrictReader, name: str, layer: str, channels: int, hidden: int, stride: int
) -> dict[str, np.ndarray]:
    parts: dict[str, np.ndarray] = {}
    for step in temporal_steps(layer, channels, hidden, stride):
        # The published Basic layer is one conv with a name, the others are Sequentials.
        if layer == "basic":
            convolution = _conv_norm(take, f"{name}.conv", f"{name}.bn")
        else:
            convolution = _conv_norm(take, f"{name}.{step.name}.0", f"{name}.{step.name}.1")
        parts |= under(step.name, convolution)
    if stride != 1:
        parts |= under("residual", _conv_norm(take, f"{name}.residual.0", f"{name}.residual.1"))
    return parts


def _conv_norm(take: StrictReader, conv: str, norm: str) -> dict[str, np.ndarray]:
    return {"conv.weight": take.conv(conv)} | under("bn", take.norm(norm, take(f"{conv}.bias")))


def _block(take: StrictReader, name: str, block: Block, spec: Spec) -> dict[str, np.ndarray]:
    C = block.out_channels
    attention = f"{name}_att.att"
    parts = under("graph", _graph(take, f"{name}_scn", block.in_channels, C, spec))
    for number in range(block.depth):
        layer = _temporal(
            take,
            f"{name}_tcn-{number}",
            block.layer,
            C,
            block.hidden,
            1 if number else block.stride,
        )
        parts |= under(f"temporal.{number}", layer)
    parts |= under("attention.reduce", _conv_norm(take, f"{attention}.fcn.0", f"{attention}.fcn.1"))
    for ours, theirs in (("joint", "conv_v"), ("frame", "conv_t")):
        parts[f"attention.{ours}.weight"] = take(f"{attention}.{theirs}.weight")
        parts[f"attention.{ours}_bias"] = take(f"{attention}.{theirs}.bias").reshape(-1, 1)
    return parts | under("attention.bn", take.norm(f"{name}_att.bn"))
