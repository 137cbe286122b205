"""CTR-GCN weights between the published key names and ours.

Published names are those of the original repository, in Paddle's spelling (`_mean`, `_variance`,
Linear (in, out)). PYSKL and mmaction2 name the blocks otherwise and sum over the other end of an
edge; their weights are brought to that form. Ours merge what runs as one operator. `from_published`
derives the spec from the shapes, so a checkpoint says by itself which blocks, classes, joints and
persons it has; only the number of frames, which no weight depends on, is not in it.
"""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np

from teachers.ctrgcn.network import SUBSETS, Block, Spec, Widths
from teachers.errors import CheckpointError
from teachers.skeleton import COCO_17, NTU_25, NTU_25_PYSKL, UCLA_20
from teachers.weights.published import Hints, Taker

READS = ("CTR-GCN's own repository (torch)", "PaddleVideo", "PYSKL and mmaction2 (torch)")
FRAMES = {25: 64, 20: 52}  # as published, by joints


def is_published(arrays: dict[str, np.ndarray]) -> bool:
    """Whether the key names are those of CTR-GCN; its light variants have no biases in temporal
    convs."""
    return any(
        re.fullmatch(r"(l\d+|net\.\d+)\.tcn1\.branches\.\d\.0\.bias", name) for name in arrays
    )


def from_published(
    arrays: dict[str, np.ndarray], hints: Hints = Hints()
) -> tuple[Spec, dict[str, np.ndarray]]:
    """Spec and our state from published names.

    Raises:
        CheckpointError: a key is missing or left over, or the shapes are not those of one CTR-GCN.
    """
    pyskl = any(name.startswith("net.") for name in arrays)
    arrays = _from_pyskl(arrays) if pyskl else arrays
    take = Taker(arrays)
    spec = _spec_of(arrays, hints, pyskl)
    state = {f"data_bn.{key}": value for key, value in take.norm("data_bn").items()}
    for block in spec.blocks:
        for key, value in _block_from_published(take, block).items():
            state[f"{block.id}.{key}"] = value
    state["fc.weight"], state["fc.bias"] = take("fc.weight"), take("fc.bias")
    take.finish("CTR-GCN")
    return spec, state


def _from_pyskl(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Names and weights of PYSKL and mmaction2 as the original repository's.

    Theirs is out[v] = sum over u of Q[u, v] x[u] with Q = A + f(a[u] - b[v]), the original sums
    over v: so A is transposed, and for tanh(-b[u] + a[v]) instead of tanh(a[u] - b[v]) conv1 and
    conv2 swap places and signs.
    """
    renamed = {}
    for name, value in arrays.items():
        if name == "A":  # the graph before training, which nothing reads
            continue
        if match := re.fullmatch(r"net\.(\d+)\.(.+)", name):
            name = f"l{int(match[1]) + 1}.{match[2]}"
        if name.endswith(".gcn1.A"):
            name, value = f"{name[:-2]}.PA", value.swapaxes(-1, -2)
        elif match := re.fullmatch(r"(.+\.convs\.\d+\.conv)([12])(\.\w+)", name):
            name, value = f"{match[1]}{3 - int(match[2])}{match[3]}", -value
        renamed[re.sub(r"^fc_cls\.", "fc.", name)] = value
    return renamed


def _spec_of(arrays: dict[str, np.ndarray], hints: Hints, pyskl: bool) -> Spec:
    ids = sorted(
        {name.split(".")[0] for name in arrays if re.match(r"l\d+\.", name)},
        key=lambda name: int(name[1:]),
    )
    blocks = []
    for name in ids:
        blocks.append(_block_of(arrays, name, bool(blocks)))
    joints = arrays[f"{ids[0]}.gcn1.PA"].shape[-1]
    skeleton = hints.graph(joints, (NTU_25_PYSKL, COCO_17) if pyskl else (NTU_25, UCLA_20))
    if "data_bn.weight" not in arrays or "fc.bias" not in arrays:
        raise CheckpointError(
            f"has no {'data_bn.weight' if 'data_bn.weight' not in arrays else 'fc.bias'!r}"
        )
    persons, rest = divmod(arrays["data_bn.weight"].shape[0], blocks[0].in_channels * joints)
    if rest or not persons:
        raise CheckpointError(
            f"data_bn has {arrays['data_bn.weight'].shape[0]} channels, not a multiple of {joints}"
            f" joints x {blocks[0].in_channels} coordinates"
        )
    frames = hints.frames or (100 if pyskl else FRAMES.get(joints, 64))
    return Spec(
        tuple(blocks), arrays["fc.bias"].shape[0], skeleton, frames, persons, blocks[0].in_channels
    )


def _block_of(arrays: dict[str, np.ndarray], name: str, residual: bool) -> Block:
    """The block as its shapes tell it, pruned channels included."""

    def shape(key: str) -> tuple[int, int]:
        value = arrays.get(f"{name}.{key}.weight")
        if value is None or value.ndim != 4:
            raise CheckpointError(f"has no {f'{name}.{key}.weight'!r} of four dimensions")
        return value.shape[:2]

    graph, last = shape("gcn1.convs.0.conv3")
    branches = (
        *[
            shape(f"tcn1.branches.{index}.{part}")[0]
            for index, part in enumerate(("3.conv", "3.conv", "0", "0"))
        ],
    )
    inner = (shape("tcn1.branches.0.0")[0], shape("tcn1.branches.1.0")[0])
    out, projection = sum(branches), f"{name}.residual.conv.weight" in arrays
    published = Block(name, last, out, 2 if projection else 1, residual)
    widths = Widths(
        graph,
        shape("gcn1.convs.0.conv1")[0],
        inner,
        branches,
        last == graph and f"{name}.gcn1.down.0.weight" in arrays,
    )
    return published if widths == published.inside else replace(published, widths=widths)


def _block_from_published(take: Taker, block: Block) -> dict[str, np.ndarray]:
    gcn, tcn = f"{block.id}.gcn1", f"{block.id}.tcn1.branches"
    subsets = [f"{gcn}.convs.{index}" for index in range(SUBSETS)]
    relation = [
        [take(f"{one}.conv{number}.weight")[:, :, :, 0] for number in (1, 2)] for one in subsets
    ]
    relation_bias = [[take(f"{one}.conv{number}.bias") for number in (1, 2)] for one in subsets]
    Cin = block.in_channels
    parts = {
        "graph.relation_weight": (
            np.stack([np.stack(pair, 1) for pair in relation]).reshape(-1, Cin, 1)
        ),
        "graph.relation_bias": np.stack([np.stack(pair, 1) for pair in relation_bias]).reshape(-1),
        "graph.values.weight": (
            np.stack([take(f"{one}.conv3.weight") for one in subsets], 1).reshape(-1, Cin, 1, 1)
        ),
        "graph.values_bias": np.stack([take(f"{one}.conv3.bias") for one in subsets], 1),
        "graph.refine_weight": np.stack(
            [take(f"{one}.conv4.weight")[:, :, 0, 0] for one in subsets], 1
        ),
        "graph.refine_bias": np.stack([take(f"{one}.conv4.bias") for one in subsets], 1),
        "graph.topology": take(f"{gcn}.PA"),
        "graph.alpha": take(f"{gcn}.alpha").reshape(1),
    }
    parts |= _named("graph.bn", take.norm(f"{gcn}.bn"))
    if block.graph_projects:
        parts["graph.down.conv.weight"] = take(f"{gcn}.down.0.weight")
        parts |= _named("graph.down.bn", take.norm(f"{gcn}.down.1", take(f"{gcn}.down.0.bias")))
    reduce_norms = [
        take.norm(f"{tcn}.{index}.1", take(f"{tcn}.{index}.0.bias")) for index in range(3)
    ]
    plain_bias = take(f"{tcn}.3.0.bias")
    out_norms = [
        take.norm(f"{tcn}.{index}.3.bn", take(f"{tcn}.{index}.3.conv.bias")) for index in range(2)
    ]
    out_norms += [take.norm(f"{tcn}.2.4"), take.norm(f"{tcn}.3.1", plain_bias)]
    parts["temporal.reduce.weight"] = np.concatenate(
        [take(f"{tcn}.{index}.0.weight") for index in range(4)]
    )
    for name, index in (("near", 0), ("far", 1)):
        parts[f"temporal.{name}.weight"] = take(f"{tcn}.{index}.3.conv.weight").transpose(
            0, 1, 3, 2
        )
    parts |= _named("temporal.reduce_bn", _concatenated(reduce_norms)) | _named(
        "temporal.bn", _concatenated(out_norms)
    )
    if block.projects:
        parts["residual.conv.weight"] = take(f"{block.id}.residual.conv.weight")
        parts |= _named(
            "residual.bn",
            take.norm(f"{block.id}.residual.bn", take(f"{block.id}.residual.conv.bias")),
        )
    return parts


def _concatenated(norms: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {key: np.concatenate([norm[key] for norm in norms]) for key in norms[0]}


def _named(prefix: str, parts: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {f"{prefix}.{key}": value for key, value in parts.items()}


def to_published(spec: Spec, state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Our state in the published names, the exact inverse of `from_published`; biases that a
    BatchNorm cancels are zero."""
    arrays = {
        f"data_bn.{key}": state[f"data_bn.{key}"]
        for key in ("weight", "bias", "_mean", "_variance")
    }
    for block in spec.blocks:
        own = {
            name[len(block.id) + 1 :]: value
            for name, value in state.items()
            if name.startswith(f"{block.id}.")
        }
        for key, value in (
            _graph_to_published(own, block) | _temporal_to_published(own, block)
        ).items():
            arrays[f"{block.id}.{key}"] = value
    return arrays | {"fc.weight": state["fc.weight"], "fc.bias": state["fc.bias"]}


def _graph_to_published(own: dict[str, np.ndarray], block: Block) -> dict[str, np.ndarray]:
    Cin, C, R = block.in_channels, block.inside.graph, block.relation_channels
    relation = own["graph.relation_weight"].reshape(SUBSETS, R, 2, Cin, 1, 1)
    relation_bias = own["graph.relation_bias"].reshape(SUBSETS, R, 2)
    values = own["graph.values.weight"].reshape(C, SUBSETS, Cin, 1, 1)
    parts = {"gcn1.PA": own["graph.topology"], "gcn1.alpha": own["graph.alpha"]} | _norm(
        own, "graph.bn", "gcn1.bn"
    )
    for index in range(SUBSETS):
        conv = f"gcn1.convs.{index}.conv"
        for role in (0, 1):
            parts[f"{conv}{role + 1}.weight"] = relation[index, :, role]
            parts[f"{conv}{role + 1}.bias"] = relation_bias[index, :, role]
        parts[f"{conv}3.weight"], parts[f"{conv}3.bias"] = (
            values[:, index],
            own["graph.values_bias"][:, index],
        )
        parts[f"{conv}4.weight"] = own["graph.refine_weight"][:, index, :, None, None]
        parts[f"{conv}4.bias"] = own["graph.refine_bias"][:, index]
    if block.graph_projects:
        parts |= {
            "gcn1.down.0.weight": own["graph.down.conv.weight"],
            "gcn1.down.0.bias": np.zeros(C, "float32"),
        }
        parts |= _norm(own, "graph.down.bn", "gcn1.down.1")
    if block.projects:
        parts |= {
            "residual.conv.weight": own["residual.conv.weight"],
            "residual.conv.bias": np.zeros(block.out_channels, "float32"),
        }
        parts |= _norm(own, "residual.bn", "residual.bn")
    return parts


def _temporal_to_published(own: dict[str, np.ndarray], block: Block) -> dict[str, np.ndarray]:
    branches, parts = block.inside.branches, {}
    reduced, ends = _slices((*block.inside.inner, *branches[2:])), _slices(branches)
    for index in range(4):
        branch, width, rows = f"tcn1.branches.{index}", branches[index], ends[index]
        parts[f"{branch}.0.weight"] = own["temporal.reduce.weight"][reduced[index]]
        parts[f"{branch}.0.bias"] = np.zeros(len(parts[f"{branch}.0.weight"]), "float32")
        if index < 3:
            parts |= _norm(own, "temporal.reduce_bn", f"{branch}.1", reduced[index])
        if index < 2:
            kernel = own[f"temporal.{('near', 'far')[index]}.weight"]
            parts |= {
                f"{branch}.3.conv.weight": kernel.transpose(0, 1, 3, 2),
                f"{branch}.3.conv.bias": np.zeros(width, "float32"),
            }
        parts |= _norm(own, "temporal.bn", f"{branch}.{('3.bn', '3.bn', '4', '1')[index]}", rows)
    return parts


def _slices(widths: tuple[int, ...]) -> list[slice]:
    """Where parts of these widths lie, one after the other."""
    return [slice(sum(widths[:index]), sum(widths[: index + 1])) for index in range(len(widths))]


def _norm(
    own: dict[str, np.ndarray], ours: str, theirs: str, rows: slice = slice(None)
) -> dict[str, np.ndarray]:
    return {
        f"{theirs}.{key}": own[f"{ours}.{key}"][rows]
        for key in ("weight", "bias", "_mean", "_variance")
    }
