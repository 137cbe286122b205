"""CTRGCN_light V1 weights from published key names; `teachers/ctrgcn_light/v2_keys.py` shares the
functions.

PaddleVideo fuses convs: `gcn1.convs.conv1` has the relation convs of the target joints, those of
the source joints, then the values, each of all subsets; `tcn1.conv_pw` has the three leading convs
of the temporal unit. The authors' own repository has one conv for each, as CTR-GCN does. In neither
has a conv in front of a BatchNorm a bias.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from teachers import stages
from teachers.ctrgcn.keys import FRAMES
from teachers.ctrgcn.network import SUBSETS
from teachers.ctrgcn_light.v1 import Block, Spec
from teachers.errors import CheckpointError
from teachers.skeleton import NTU_25, UCLA_20
from teachers.weights.published import (
    NO_HINTS,
    Hints,
    StrictReader,
    classes,
    classifier,
    under,
)

READS = ("PaddleVideo", "the authors' own repository CTRGCN_Light (Paddle)")
# A leading temporal conv of its own, as the authors' repository has it.
_UNFUSED = re.compile(r"(l\d+)\.tcn1\.branches\.0\.0\.weight")
_NORM = ("weight", "bias", "_mean", "_variance")


def is_published(arrays: dict[str, np.ndarray]) -> bool:
    """Whether the key names are those of V1."""
    return relation_groups(arrays) == SUBSETS


def relation_groups(arrays: dict[str, np.ndarray]) -> int | None:
    """How many relations a graph unit has: 3 in V1, 1 in V2; None: this is no CTRGCN_light."""
    for name, weight in arrays.items():
        # The same names as CTR-GCN's; that one has biases in front of its BatchNorms.
        if _UNFUSED.fullmatch(name) and name.removesuffix("weight") + "bias" not in arrays:
            return SUBSETS
        refine = arrays.get(name.replace("conv1", "conv2.0"))
        if (
            re.fullmatch(r"l\d+\.gcn1\.convs\.conv1\.weight", name)
            and refine is not None
            and weight.ndim == refine.ndim == 4
        ):
            C, R = refine.shape[:2]
            # The fused conv holds 2 relation convs a group and the values of each subset.
            for groups in (1, SUBSETS):
                if weight.shape[0] == SUBSETS * C + 2 * groups * R:
                    return groups
            return None
    return None


def from_published(
    arrays: dict[str, np.ndarray], hints: Hints = NO_HINTS
) -> tuple[Spec, dict[str, np.ndarray]]:
    """Spec and our state from published names.

    Raises:
        CheckpointError: a key is missing or left over, or the shapes are not those of one
            CTRGCN_light V1.
    """
    arrays = _fused(arrays)

    def block(name: str, last: int, out: int, stride: int, residual: bool) -> Block:
        # Not by GRAPH_BLOCKS: the file itself shows which blocks have a graph.
        return Block(name, last, out, stride, residual, f"{name}.gcn1.PA" in arrays)

    return read(arrays, hints, block, Spec, "CTRGCN_light V1")


AnySpec = TypeVar("AnySpec", bound=stages.Spec)


# Any block: V1 has a field more than V2.
def read(
    arrays: dict[str, np.ndarray],
    hints: Hints,
    make_block: Callable[[str, int, int, int, bool], Any],
    make_spec: Callable[..., AnySpec],
    network: str,
) -> tuple[AnySpec, dict[str, np.ndarray]]:
    """`from_published` of either variant, from fused names."""
    take = StrictReader(arrays)
    spec = _spec_of(arrays, hints, make_block, make_spec)
    state = under("data_bn", take.norm("data_bn"))
    for block in spec.blocks:
        graph = _graph(take, block) if f"{block.id}.gcn1.PA" in arrays else {}
        state |= under(block.id, graph | _temporal(take, block))
    state |= classifier(take, "fc", spec.classes)
    take.finish(network)
    return spec, state


def _spec_of(
    arrays: dict[str, np.ndarray],
    hints: Hints,
    make_block: Callable[[str, int, int, int, bool], Any],
    make_spec: Callable[..., AnySpec],
) -> AnySpec:
    # By number, since by name l10 comes before l2.
    ids = sorted(
        {name.split(".")[0] for name in arrays if re.match(r"l\d+\.", name)},
        key=lambda name: int(name[1:]),
    )
    blocks: list[Any] = []
    for name in ids:
        reduce = _weight(arrays, f"{name}.tcn1.conv_pw.0.weight")
        plain = _weight(arrays, f"{name}.tcn1.branches.3.0.weight")
        # The first conv of the block takes its input: one of the graph unit, where there is one.
        first = reduce
        if f"{name}.gcn1.PA" in arrays:
            first = _weight(arrays, f"{name}.gcn1.convs.conv1.weight")
        last = first.shape[1]
        out = reduce.shape[0] + plain.shape[0]
        # Strides have no shape; as published a block halves the frames where it widens.
        stride = 2 if blocks and last != out else 1
        blocks.append(make_block(name, last, out, stride, bool(blocks)))
    # Of any block: l1 may have been pruned away, and in V1 not every block has a graph.
    topologies = [
        value for name, value in arrays.items() if name.endswith("gcn1.PA") and value.ndim == 3
    ]
    if not topologies:
        raise CheckpointError("has no topology, 'l1.gcn1.PA' for example")
    joints = topologies[0].shape[-1]
    channels = blocks[0].in_channels
    if "data_bn.weight" not in arrays:
        raise CheckpointError("has no 'data_bn.weight'")
    persons, rest = divmod(arrays["data_bn.weight"].shape[0], channels * joints)
    if rest or not persons:
        raise CheckpointError(
            f"data_bn has {arrays['data_bn.weight'].shape[0]} channels, not a multiple of {joints}"
            f" joints x {channels} coordinates"
        )
    return make_spec(
        tuple(blocks),
        classes(arrays, "fc", hints),
        hints.graph(joints, (NTU_25, UCLA_20)),
        hints.frames or FRAMES.get(joints, 64),
        persons,
        channels,
    )


def _weight(arrays: dict[str, np.ndarray], name: str) -> np.ndarray:
    value = arrays.get(name)
    if value is None or value.ndim != 4:
        raise CheckpointError(f"has no {name!r} of four dimensions")
    return value


def _graph(take: StrictReader, block) -> dict[str, np.ndarray]:
    gcn = f"{block.id}.gcn1"
    Cin = block.in_channels
    C = block.graph_channels
    R = block.relation_channels
    refine = [take(f"{gcn}.convs.conv2.{index}.weight") for index in range(SUBSETS)]
    refine_bias = [take(f"{gcn}.convs.conv2.{index}.bias") for index in range(SUBSETS)]
    fused = take(f"{gcn}.convs.conv1.weight")
    bias = take(f"{gcn}.convs.conv1.bias")
    # 2 * groups * R output channels, ordered (role, group, R); ours are ordered (group, R, role).
    relations = fused.shape[0] - SUBSETS * C
    order = np.arange(relations).reshape(2, -1).T.reshape(-1)
    if relations not in (2 * R, 2 * SUBSETS * R) or refine[0].shape != (C, R, 1, 1):
        raise CheckpointError(
            f"{gcn}.convs: conv1 of shape {fused.shape} and conv2 of {refine[0].shape} do not go"
            " together"
        )
    parts = {
        "graph.relation_weight": fused[order, :, :, 0],
        "graph.relation_bias": bias[order],
        "graph.values.weight": (
            fused[relations:].reshape(SUBSETS, C, Cin, 1, 1).swapaxes(0, 1).reshape(-1, Cin, 1, 1)
        ),
        "graph.values_bias": bias[relations:].reshape(SUBSETS, C).T,
        "graph.refine_weight": np.stack(refine, 1)[:, :, :, 0, 0],
        "graph.refine_bias": np.stack(refine_bias, 1),
        "graph.topology": take(f"{gcn}.PA"),
        "graph.alpha": take(f"{gcn}.alpha").reshape(1),
    } | under("graph.bn", take.norm(f"{gcn}.bn"))
    if Cin != C:
        parts |= {"graph.down.conv.weight": take(f"{gcn}.down.0.weight")} | under(
            "graph.down.bn", take.norm(f"{gcn}.down.1")
        )
    return parts


def _temporal(take: StrictReader, block) -> dict[str, np.ndarray]:
    tcn = f"{block.id}.tcn1"
    # `2.1`: the pooled branch's leading layers went into `conv_pw`, so its pooling is layer 0.
    norms = [take.norm(f"{tcn}.branches.{name}") for name in ("0.bn", "1.bn", "2.1", "3.1")]
    parts = {
        "temporal.reduce.weight": np.concatenate(
            [take(f"{tcn}.conv_pw.0.weight"), take(f"{tcn}.branches.3.0.weight")]
        ),
        "temporal.near.weight": take.conv(f"{tcn}.branches.0.conv"),
        "temporal.far.weight": take.conv(f"{tcn}.branches.1.conv"),
    }
    parts |= under("temporal.reduce_bn", take.norm(f"{tcn}.conv_pw.1"))
    parts |= under(
        "temporal.bn", {key: np.concatenate([norm[key] for norm in norms]) for key in _NORM}
    )
    if block.projects:
        # A block without a graph unit has its residual inside the temporal unit.
        residual = f"{block.id}.residual"
        if f"{tcn}.residual.conv.weight" in take.left:
            residual = f"{tcn}.residual"
        parts |= {"residual.conv.weight": take(f"{residual}.conv.weight")} | under(
            "residual.bn", take.norm(f"{residual}.bn")
        )
    return parts


def _fused(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The names of the authors' repository as those of PaddleVideo; others stay."""
    ids = [match.group(1) for match in map(_UNFUSED.fullmatch, arrays) if match]
    if not ids:
        return arrays
    take = StrictReader(arrays)
    fused = {}
    for name in ids:
        tcn = f"{name}.tcn1"
        gcn = f"{name}.gcn1"
        # The fourth branch keeps its own leading conv in PaddleVideo too: no BatchNorm and ReLU
        # stand between it and the end of the branch.
        for key in ("0.weight", *(f"1.{key}" for key in _NORM)):
            leading = [take(f"{tcn}.branches.{index}.{key}") for index in range(3)]
            fused[f"{tcn}.conv_pw.{key}"] = np.concatenate(leading)
        for index in (0, 1):
            fused[f"{tcn}.branches.{index}.conv.weight"] = take(
                f"{tcn}.branches.{index}.3.conv.weight"
            )
            fused |= under(f"{tcn}.branches.{index}.bn", take.norm(f"{tcn}.branches.{index}.3.bn"))
        fused |= under(f"{tcn}.branches.2.1", take.norm(f"{tcn}.branches.2.4"))
        if f"{gcn}.PA" not in arrays:
            continue
        for key in ("weight", "bias"):
            # conv1 and conv2 of all subsets, then the values: (role, subset, channels).
            parts = [
                take(f"{gcn}.convs.{index}.conv{number}.{key}")
                for number in (1, 2, 3)
                for index in range(SUBSETS)
            ]
            fused[f"{gcn}.convs.conv1.{key}"] = np.concatenate(parts)
            for index in range(SUBSETS):
                refine = take(f"{gcn}.convs.{index}.conv4.{key}")
                fused[f"{gcn}.convs.conv2.{index}.{key}"] = refine
    return take.left | fused
