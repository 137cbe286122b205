"""ST-GCN weights between the published key names and ours.

PYSKL's and mmaction2's names are the ones read here; those of the first repository and of
PaddleVideo, whose blocks share one stored graph, are renamed to them. A stored graph is kept as it
is. What shapes do not tell: frames, persons, and whether a stage that widens also halves the frames
(`hints.config`, else it does).
"""

from __future__ import annotations

import re
from typing import TypeVar

import numpy as np

from teachers import stages
from teachers.errors import CheckpointError
from teachers.skeleton import COCO_17, NTU_25_PYSKL, OPENPOSE_18
from teachers.stages import Block, graph_of
from teachers.stgcn.network import SUBSETS, Spec
from teachers.weights.published import (
    NO_HINTS,
    Hints,
    StrictReader,
    check_graph,
    classes,
    classifier,
    under,
)

READS = (
    "PYSKL and mmaction2 (torch)",
    "its first repository and mmaction2 0.x (torch)",
    "PaddleVideo",
)
# Layers of a block in the first repository: here.
_FIRST = {
    "gcn.conv": "gcn.conv",
    "tcn.0": "gcn.bn",
    "tcn.2": "tcn.conv",
    "tcn.3": "tcn.bn",
    "residual.0": "residual.conv",
    "residual.1": "residual.bn",
}


def is_published(arrays: dict[str, np.ndarray]) -> bool:
    """Whether the key names are those of ST-GCN."""
    # STGCN++ shares PYSKL's prefixes, but has branches under `tcn` and no `tcn.conv`.
    first = "st_gcn_networks.0.gcn.conv.weight" in arrays
    return (
        first or {"gcn.0.gcn.PA", "gcn.0.gcn.conv.weight", "gcn.0.tcn.conv.weight"} <= arrays.keys()
    )


def from_published(
    arrays: dict[str, np.ndarray], hints: Hints = NO_HINTS
) -> tuple[Spec, dict[str, np.ndarray]]:
    """Spec and our state from published names.

    Raises:
        CheckpointError: a key is missing or left over, or the shapes are not those of one ST-GCN.
    """
    if any(name.startswith("st_gcn_networks.") for name in arrays):
        arrays = _renamed(arrays)
    spec = spec_of(arrays, hints, Spec)
    # Fixed in ST-GCN: what is learnt is the importance beside it.
    if "gcn.0.gcn.A" in arrays:
        check_graph(arrays["gcn.0.gcn.A"], spec.skeleton)
    take = StrictReader(arrays)
    state = around(take, spec.classes)
    for index, block in enumerate(spec.blocks):
        tensors = under("graph.conv", graph_conv(take, f"gcn.{index}.gcn.conv", block))
        tensors |= {
            "graph.adjacency": take(f"gcn.{index}.gcn.A"),
            "graph.importance": take(f"gcn.{index}.gcn.PA"),
        }
        tensors |= under("graph.bn", take.norm(f"gcn.{index}.gcn.bn")) | {
            "temporal.conv.weight": take.conv(f"gcn.{index}.tcn.conv")
        }
        tensors |= under(
            "temporal.bn", take.norm(f"gcn.{index}.tcn.bn", take(f"gcn.{index}.tcn.conv.bias"))
        )
        state |= under(block.id, tensors | residual(take, index, block))
    take.finish("ST-GCN")
    return spec, state


AnySpec = TypeVar("AnySpec", bound=stages.Spec)


def spec_of(
    arrays: dict[str, np.ndarray], hints: Hints, kind: type[AnySpec], block: type[Block] = Block
) -> AnySpec:
    """The spec that the shapes under PYSKL's names tell, completed by the hints; of ST-GCN or
    STGCN++.

    Raises:
        CheckpointError: the shapes are not those of one such network.
    """
    # The hint may be another network's config: a weights file names its network, not the recipe.
    down = getattr(hints.config, "down", None)
    blocks: list[Block] = []
    numbers = {name.split(".")[1] for name in arrays if re.match(r"gcn\.\d+\.", name)}
    for index in range(len(numbers)):
        name = f"gcn.{index}.gcn.conv.weight"
        rows, Cin = _shape(arrays, name, 4)[:2]
        if rows % SUBSETS or (blocks and Cin != blocks[-1].out_channels):
            before = f", behind {blocks[-1].out_channels}" if blocks else ""
            raise CheckpointError(
                f"{name} has {Cin} -> {rows} channels, expected {SUBSETS} graphs for each"
                f" channel{before}"
            )
        C = rows // SUBSETS
        projects = f"gcn.{index}.residual.conv.weight" in arrays
        # Between equal widths nothing but a stride needs a projection; between others only the
        # config can tell.
        halves = projects and (Cin == C or down is None or index + 1 in down)
        blocks.append(block(f"l{index + 1}", Cin, C, 2 if halves else 1, index > 0))
    channels = blocks[0].in_channels
    skeleton = hints.graph(_joints(arrays, channels), (NTU_25_PYSKL, COCO_17, OPENPOSE_18))
    return kind(
        tuple(blocks),
        classes(arrays, classifier_name(arrays), hints),
        graph_of(skeleton),
        # PYSKL's clips; pooling over frames and persons hides both numbers from the shapes.
        hints.frames or 100,
        hints.persons or 2,
        channels,
    )


def around(take: StrictReader, count: int) -> dict[str, np.ndarray]:
    """What lies outside the blocks, in our names: the input's BatchNorm and the classifier of so
    many classes."""
    head = classifier(take, classifier_name(take.left), count)
    return under("data_bn", take.norm("data_bn")) | head


def classifier_name(arrays: dict[str, np.ndarray]) -> str:
    """PYSKL's classifier is `fc_cls`, mmaction2's and PaddleVideo's `fc`, the first repository's
    `fcn`."""
    for name in ("fc_cls", "fcn"):
        if f"{name}.weight" in arrays:
            return name
    return "fc"


def graph_conv(take: StrictReader, name: str, block: Block) -> dict[str, np.ndarray]:
    """`GraphConv` from the published 1x1 conv, whose output channels are ordered (subset, C)."""
    weight = take(f"{name}.weight").reshape(SUBSETS, block.out_channels, block.in_channels)
    # Ours comes after the graph, so the subsets are inputs: (C, Cin, subset).
    weight = np.ascontiguousarray(weight.transpose(1, 2, 0))
    return {
        "weight": weight.reshape(block.out_channels, -1, 1, 1),
        "bias": take(f"{name}.bias").reshape(SUBSETS, block.out_channels).T,
    }


def residual(take: StrictReader, index: int, block: Block) -> dict[str, np.ndarray]:
    """The projection of the block residual, or nothing."""
    return (
        conv_norm(take, "residual", f"gcn.{index}.residual.conv", f"gcn.{index}.residual.bn")
        if block.projects
        else {}
    )


def conv_norm(take: StrictReader, ours: str, conv: str, norm: str) -> dict[str, np.ndarray]:
    """A published conv and BatchNorm as our `ConvBN`."""
    return {f"{ours}.conv.weight": take(f"{conv}.weight")} | under(
        f"{ours}.bn", take.norm(norm, take(f"{conv}.bias"))
    )


def _joints(arrays: dict[str, np.ndarray], channels: int) -> int:
    # PaddleVideo's STGCN++ stores no graph; the input's BatchNorm knows the joints as well.
    rows = _shape(arrays, "data_bn.weight", 1)[0]
    stored = [
        value.shape[-1] for name, value in arrays.items() if re.fullmatch(r"gcn\.\d+\.gcn\.A", name)
    ]
    if rows % channels or any(joints != rows // channels for joints in stored):
        raise CheckpointError(
            f"data_bn has {rows} channels, expected {channels} coordinates x"
            f" {stored[0] if stored else 'joints'}; one BatchNorm over all persons (`data_bn_type:"
            " MVC`) is not known here"
        )
    return rows // channels


def _shape(arrays: dict[str, np.ndarray], name: str, dimensions: int) -> tuple[int, ...]:
    if name not in arrays or arrays[name].ndim != dimensions:
        noun = "dimension" if dimensions == 1 else "dimensions"
        raise CheckpointError(f"has no {name!r} of {dimensions} {noun}")
    return arrays[name].shape


def _renamed(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The first repository's names as PYSKL's: one graph `A` for all blocks, their importance
    beside them (or none: ones)."""
    renamed: dict[str, np.ndarray] = {}
    numbers = {name.split(".")[1] for name in arrays if name.startswith("st_gcn_networks.")}
    for name, value in arrays.items():
        if match := re.fullmatch(r"st_gcn_networks\.(\d+)\.(\w+\.\w+)\.(\w+)", name):
            name = f"gcn.{match[1]}.{_FIRST.get(match[2], match[2])}.{match[3]}"
        elif match := re.fullmatch(r"edge_importance\.(\d+)", name):
            name = f"gcn.{match[1]}.gcn.PA"
        renamed[name] = value
    if "A" in renamed:
        graph = renamed.pop("A")
        weighed = any(name.startswith("edge_importance.") for name in arrays)
        for index in range(len(numbers)):
            renamed[f"gcn.{index}.gcn.A"] = graph
            # Trained with `edge_importance_weighting` off: the plain graph, which ones leave as it
            # is.
            if not weighed:
                renamed[f"gcn.{index}.gcn.PA"] = np.ones_like(graph)
    return renamed
