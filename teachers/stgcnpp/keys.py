"""STGCN++ weights between the published key names (PYSKL's) and ours; see `teachers/stgcn/keys.py`.

The learned graph is loaded as it is. PaddleVideo keeps its graph out of the file, fixed at the
skeleton's, so weights without any graph get that one.
"""

from __future__ import annotations

import numpy as np

from teachers.stgcn.keys import around, conv_norm, graph_conv, residual, spec_of
from teachers.stgcnpp.network import BRANCHES, DILATIONS, Block, Spec
from teachers.weights.published import Hints, Taker, under

READS = ("PYSKL and mmaction2 (torch)", "PaddleVideo")


def is_published(arrays: dict[str, np.ndarray]) -> bool:
    """Whether the key names are those of STGCN++."""
    return {"gcn.0.gcn.conv.weight", "gcn.0.tcn.branches.0.0.weight"} <= arrays.keys()


def from_published(
    arrays: dict[str, np.ndarray], hints: Hints = Hints()
) -> tuple[Spec, dict[str, np.ndarray]]:
    """Spec and our state from published names.

    Raises:
        CheckpointError: a key is missing or left over, or the shapes are not those of one STGCN++.
    """
    spec, take = spec_of(arrays, hints, Spec, Block), Taker(arrays)
    stored = any(name.endswith(".gcn.A") for name in arrays)
    state = around(take)
    for index, block in enumerate(spec.blocks):
        gcn = f"gcn.{index}.gcn"
        own = under("graph.conv", graph_conv(take, f"{gcn}.conv", block)) | under(
            "graph.bn", take.norm(f"{gcn}.bn")
        )
        own["graph.adjacency"] = take(f"{gcn}.A") if stored else spec.skeleton.adjacency()
        if block.in_channels != block.out_channels:
            own |= conv_norm(take, "graph.down", f"{gcn}.down.0", f"{gcn}.down.1")
        own |= under("temporal", _temporal(take, f"gcn.{index}.tcn"))
        state |= under(block.id, own | residual(take, index, block))
    take.finish("STGCN++")
    return spec, state


def _temporal(take: Taker, tcn: str) -> dict[str, np.ndarray]:
    branches = [f"{tcn}.branches.{number}" for number in range(BRANCHES)]
    norms = [take.norm(f"{name}.1", take(f"{name}.0.bias")) for name in branches[:-1]]
    convs, plain = branches[: len(DILATIONS)], branches[-1]
    parts = {
        f"branches.{number}.weight": take.conv(f"{name}.3.conv")
        for number, name in enumerate(convs)
    }
    pooled_bias = np.zeros_like(
        norms[-1]["bias"]
    )  # nothing lies between the pooling and the BatchNorm behind the branches
    bias = np.concatenate(
        [*[take(f"{name}.3.conv.bias") for name in convs], pooled_bias, take(f"{plain}.bias")]
    )
    parts["reduce.weight"] = np.concatenate(
        [*[take(f"{name}.0.weight") for name in branches[:-1]], take(f"{plain}.weight")]
    )
    parts |= under(
        "reduce_bn", {key: np.concatenate([norm[key] for norm in norms]) for key in norms[0]}
    )
    parts |= under("bn", take.norm(f"{tcn}.transform.0", bias)) | {
        "mix.weight": take(f"{tcn}.transform.2.weight")
    }
    return parts | under("mix_bn", take.norm(f"{tcn}.bn", take(f"{tcn}.transform.2.bias")))
