"""STGCN++ weights between the published key names (PYSKL's) and ours; see `teachers/stgcn/keys.py`.

The learned graph is loaded as it is. PaddleVideo keeps its graph out of the file, fixed at the
skeleton's, so weights without any graph get that one.
"""

from __future__ import annotations

import numpy as np

from teachers.stgcn.keys import around, conv_norm, graph_conv, residual, spec_of
from teachers.stgcnpp.network import BRANCHES, DILATIONS, Block, Spec
from teachers.weights.published import NO_HINTS, Hints, StrictReader, under

READS = ("PYSKL and mmaction2 (torch)", "PaddleVideo")


def is_published(arrays: dict[str, np.ndarray]) -> bool:
    """Whether the key names are those of STGCN++."""
    return {"gcn.0.gcn.conv.weight", "gcn.0.tcn.branches.0.0.weight"} <= arrays.keys()


def from_published(
    arrays: dict[str, np.ndarray], hints: Hints = NO_HINTS
) -> tuple[Spec, dict[str, np.ndarray]]:
    """Spec and our state from published names.

    Raises:
        CheckpointError: a key is missing or left over, or the shapes are not those of one STGCN++.
    """
    spec = spec_of(arrays, hints, Spec, Block)
    take = StrictReader(arrays)
    # All blocks or none: a file with some of the graphs only ends in a missing key.
    stored = any(name.endswith(".gcn.A") for name in arrays)
    state = around(take, spec.classes)
    for index, block in enumerate(spec.blocks):
        gcn = f"gcn.{index}.gcn"
        tensors = under("graph.conv", graph_conv(take, f"{gcn}.conv", block))
        tensors |= under("graph.bn", take.norm(f"{gcn}.bn"))
        tensors["graph.adjacency"] = take(f"{gcn}.A") if stored else spec.skeleton.adjacency()
        # By width alone: the graph unit keeps all frames, whatever the block's stride is.
        if block.in_channels != block.out_channels:
            tensors |= conv_norm(take, "graph.down", f"{gcn}.down.0", f"{gcn}.down.1")
        tensors |= under("temporal", _temporal(take, f"gcn.{index}.tcn"))
        state |= under(block.id, tensors | residual(take, index, block))
    take.finish("STGCN++")
    return spec, state


def _temporal(take: StrictReader, tcn: str) -> dict[str, np.ndarray]:
    branches = [f"{tcn}.branches.{number}" for number in range(BRANCHES)]
    norms = [take.norm(f"{name}.1", take(f"{name}.0.bias")) for name in branches[:-1]]
    convs = branches[: len(DILATIONS)]
    plain = branches[-1]
    parts = {
        f"branches.{number}.weight": take.conv(f"{name}.3.conv")
        for number, name in enumerate(convs)
    }
    # Nothing lies between the pooling and the BatchNorm behind the branches.
    pooled_bias = np.zeros_like(norms[-1]["bias"])
    conv_biases = [take(f"{name}.3.conv.bias") for name in convs]
    bias = np.concatenate([*conv_biases, pooled_bias, take(f"{plain}.bias")])
    # The plain branch is a conv alone, the others a Sequential that begins with one.
    leading = [take(f"{name}.0.weight") for name in branches[:-1]]
    parts["reduce.weight"] = np.concatenate([*leading, take(f"{plain}.weight")])
    parts |= under(
        "reduce_bn", {key: np.concatenate([norm[key] for norm in norms]) for key in norms[0]}
    )
    parts |= under("bn", take.norm(f"{tcn}.transform.0", bias))
    parts["mix.weight"] = take(f"{tcn}.transform.2.weight")
    return parts | under("mix_bn", take.norm(f"{tcn}.bn", take(f"{tcn}.transform.2.bias")))
