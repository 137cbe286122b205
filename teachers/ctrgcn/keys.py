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
from teachers.weights.published import NO_HINTS, Hints, StrictReader, classes, classifier

READS = ("CTR-GCN's own repository (torch)", "PaddleVideo", "PYSKL and mmaction2 (torch)")
# As published, by joints: NTU-25 and NW-UCLA.
FRAMES = {25: 64, 20: 52}


def is_published(arrays: dict[str, np.ndarray]) -> bool:
    """Whether the key names are those of CTR-GCN; its light variants have no biases in temporal
    convs."""
    # In any block: a pruned file may have lost l1.
    return any(
        re.fullmatch(r"(l\d+|net\.\d+)\.tcn1\.branches\.\d\.0\.bias", name) for name in arrays
    )


def from_published(
    arrays: dict[str, np.ndarray], hints: Hints = NO_HINTS
) -> tuple[Spec, dict[str, np.ndarray]]:
    """Spec and our state from published names.

    Raises:
        CheckpointError: a key is missing or left over, or the shapes are not those of one CTR-GCN.
    """
    pyskl = any(name.startswith("net.") for name in arrays)
    arrays = _from_pyskl(arrays) if pyskl else arrays
    take = StrictReader(arrays)
    spec = _spec_of(arrays, hints, pyskl)
    state = {f"data_bn.{key}": value for key, value in take.norm("data_bn").items()}
    for block in spec.blocks:
        for key, value in _block_from_published(take, block).items():
            state[f"{block.id}.{key}"] = value
    state |= classifier(take, "fc", spec.classes)
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
        # The graph before training, which nothing reads.
        if name == "A":
            continue
        if match := re.fullmatch(r"net\.(\d+)\.(.+)", name):
            name = f"l{int(match[1]) + 1}.{match[2]}"
        if name.endswith(".gcn1.A"):
            name = name.removesuffix(".A") + ".PA"
            value = value.swapaxes(-1, -2)
        elif match := re.fullmatch(r"(.+\.convs\.\d+\.conv)([12])(\.\w+)", name):
            name = f"{match[1]}{3 - int(match[2])}{match[3]}"
            value = -value
        renamed[re.sub(r"^fc_cls\.", "fc.", name)] = value
    return renamed


def _spec_of(arrays: dict[str, np.ndarray], hints: Hints, pyskl: bool) -> Spec:
    # By number, since by name l10 comes before l2. A pruned file may lack some.
    ids = sorted(
        {name.split(".")[0] for name in arrays if re.match(r"l\d+\.", name)},
        key=lambda name: int(name[1:]),
    )
    blocks: list[Block] = []
    for name in ids:
        blocks.append(_block_of(arrays, name, bool(blocks)))
    joints = arrays[f"{ids[0]}.gcn1.PA"].shape[-1]
    skeleton = hints.graph(joints, (NTU_25_PYSKL, COCO_17) if pyskl else (NTU_25, UCLA_20))
    if "data_bn.weight" not in arrays:
        raise CheckpointError("has no 'data_bn.weight'")
    # data_bn has a channel for each coordinate of each joint of each person: what no other shape
    # tells.
    persons, rest = divmod(arrays["data_bn.weight"].shape[0], blocks[0].in_channels * joints)
    if rest or not persons:
        raise CheckpointError(
            f"data_bn has {arrays['data_bn.weight'].shape[0]} channels, not a multiple of {joints}"
            f" joints x {blocks[0].in_channels} coordinates"
        )
    # No weight depends on the frames: those of the code that the names are from.
    frames = hints.frames or (100 if pyskl else FRAMES.get(joints, 64))
    return Spec(
        tuple(blocks),
        classes(arrays, "fc", hints),
        skeleton,
        frames,
        persons,
        blocks[0].in_channels,
    )


def _block_of(arrays: dict[str, np.ndarray], name: str, residual: bool) -> Block:
    """The block as its shapes tell it, pruned channels included."""

    def shape(key: str) -> tuple[int, int]:
        value = arrays.get(f"{name}.{key}.weight")
        if value is None or value.ndim != 4:
            raise CheckpointError(f"has no {f'{name}.{key}.weight'!r} of four dimensions")
        return value.shape[0], value.shape[1]

    graph, last = shape("gcn1.convs.0.conv3")
    branches = (
        shape("tcn1.branches.0.3.conv")[0],
        shape("tcn1.branches.1.3.conv")[0],
        shape("tcn1.branches.2.0")[0],
        shape("tcn1.branches.3.0")[0],
    )
    inner = (shape("tcn1.branches.0.0")[0], shape("tcn1.branches.1.0")[0])
    # No one tensor has the block's width: its output is a concatenation of branches.
    out = sum(branches)
    projection = f"{name}.residual.conv.weight" in arrays
    # Strides have no shape; in the published plan a block projects where it halves the frames.
    published = Block(name, last, out, 2 if projection else 1, residual)
    widths = Widths(
        graph,
        shape("gcn1.convs.0.conv1")[0],
        inner,
        branches,
        last == graph and f"{name}.gcn1.down.0.weight" in arrays,
    )
    return published if widths == published.inside else replace(published, widths=widths)


def _block_from_published(take: StrictReader, block: Block) -> dict[str, np.ndarray]:
    parts = _graph_from_published(take, block) | _temporal_from_published(take, block)
    if block.projects:
        parts["residual.conv.weight"] = take(f"{block.id}.residual.conv.weight")
        # Published convs keep a bias in front of a BatchNorm; `norm` moves it into the mean.
        bias = take(f"{block.id}.residual.conv.bias")
        parts |= _named("residual.bn", take.norm(f"{block.id}.residual.bn", bias))
    return parts


def _graph_from_published(take: StrictReader, block: Block) -> dict[str, np.ndarray]:
    gcn = f"{block.id}.gcn1"
    Cin = block.in_channels
    subsets = [f"{gcn}.convs.{index}" for index in range(SUBSETS)]
    relation = []
    relation_bias = []
    for subset in subsets:
        # Side by side for each relation, so that source and target of one are neighbours in the
        # product with the outer difference.
        pair = [take(f"{subset}.conv{number}.weight")[:, :, :, 0] for number in (1, 2)]
        relation.append(np.stack(pair, 1))
        pair_bias = [take(f"{subset}.conv{number}.bias") for number in (1, 2)]
        relation_bias.append(np.stack(pair_bias, 1))
    values = np.stack([take(f"{subset}.conv3.weight") for subset in subsets], 1)
    refine = [take(f"{subset}.conv4.weight")[:, :, 0, 0] for subset in subsets]
    parts = {
        "graph.relation_weight": np.stack(relation).reshape(-1, Cin, 1),
        "graph.relation_bias": np.stack(relation_bias).reshape(-1),
        "graph.values.weight": values.reshape(-1, Cin, 1, 1),
        "graph.values_bias": np.stack([take(f"{subset}.conv3.bias") for subset in subsets], 1),
        "graph.refine_weight": np.stack(refine, 1),
        "graph.refine_bias": np.stack([take(f"{subset}.conv4.bias") for subset in subsets], 1),
        "graph.topology": take(f"{gcn}.PA"),
        "graph.alpha": take(f"{gcn}.alpha").reshape(1),
    }
    parts |= _named("graph.bn", take.norm(f"{gcn}.bn"))
    if block.graph_projects:
        parts["graph.down.conv.weight"] = take(f"{gcn}.down.0.weight")
        parts |= _named("graph.down.bn", take.norm(f"{gcn}.down.1", take(f"{gcn}.down.0.bias")))
    return parts


def _temporal_from_published(take: StrictReader, block: Block) -> dict[str, np.ndarray]:
    tcn = f"{block.id}.tcn1.branches"
    reduce_norms = [
        take.norm(f"{tcn}.{index}.1", take(f"{tcn}.{index}.0.bias")) for index in range(3)
    ]
    out_norms = [
        take.norm(f"{tcn}.{index}.3.bn", take(f"{tcn}.{index}.3.conv.bias")) for index in range(2)
    ]
    # Pooling has no bias to absorb. The plain branch has no BatchNorm in front, so its leading
    # conv's bias belongs to the one behind.
    out_norms.append(take.norm(f"{tcn}.2.4"))
    out_norms.append(take.norm(f"{tcn}.3.1", take(f"{tcn}.3.0.bias")))
    leading = [take(f"{tcn}.{index}.0.weight") for index in range(4)]
    parts = {
        "temporal.reduce.weight": np.concatenate(leading),
        # (C, Cin, kernel, 1) as published: here frames are the last axis.
        "temporal.near.weight": take(f"{tcn}.0.3.conv.weight").transpose(0, 1, 3, 2),
        "temporal.far.weight": take(f"{tcn}.1.3.conv.weight").transpose(0, 1, 3, 2),
    }
    parts |= _named("temporal.reduce_bn", _concatenated(reduce_norms))
    return parts | _named("temporal.bn", _concatenated(out_norms))


def _concatenated(norms: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    # Exact: the statistics of a BatchNorm are those of each channel alone.
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
        tensors = {
            name[len(block.id) + 1 :]: value
            for name, value in state.items()
            if name.startswith(f"{block.id}.")
        }
        parts = _graph_to_published(tensors, block) | _temporal_to_published(tensors, block)
        for key, value in parts.items():
            arrays[f"{block.id}.{key}"] = value
    return arrays | {"fc.weight": state["fc.weight"], "fc.bias": state["fc.bias"]}


def _graph_to_published(tensors: dict[str, np.ndarray], block: Block) -> dict[str, np.ndarray]:
    Cin = block.in_channels
    C = block.inside.graph
    R = block.relation_channels
    relation = tensors["graph.relation_weight"].reshape(SUBSETS, R, 2, Cin, 1, 1)
    relation_bias = tensors["graph.relation_bias"].reshape(SUBSETS, R, 2)
    values = tensors["graph.values.weight"].reshape(C, SUBSETS, Cin, 1, 1)
    parts = {"gcn1.PA": tensors["graph.topology"], "gcn1.alpha": tensors["graph.alpha"]} | _norm(
        tensors, "graph.bn", "gcn1.bn"
    )
    for index in range(SUBSETS):
        conv = f"gcn1.convs.{index}.conv"
        for role in (0, 1):
            parts[f"{conv}{role + 1}.weight"] = relation[index, :, role]
            parts[f"{conv}{role + 1}.bias"] = relation_bias[index, :, role]
        parts[f"{conv}3.weight"] = values[:, index]
        parts[f"{conv}3.bias"] = tensors["graph.values_bias"][:, index]
        parts[f"{conv}4.weight"] = tensors["graph.refine_weight"][:, index, :, None, None]
        parts[f"{conv}4.bias"] = tensors["graph.refine_bias"][:, index]
    # Biases that a BatchNorm cancels were moved into its mean, so zero is exact.
    if block.graph_projects:
        parts |= {
            "gcn1.down.0.weight": tensors["graph.down.conv.weight"],
            "gcn1.down.0.bias": np.zeros(C, "float32"),
        }
        parts |= _norm(tensors, "graph.down.bn", "gcn1.down.1")
    if block.projects:
        parts |= {
            "residual.conv.weight": tensors["residual.conv.weight"],
            "residual.conv.bias": np.zeros(block.out_channels, "float32"),
        }
        parts |= _norm(tensors, "residual.bn", "residual.bn")
    return parts


def _temporal_to_published(tensors: dict[str, np.ndarray], block: Block) -> dict[str, np.ndarray]:
    branches = block.inside.branches
    parts: dict[str, np.ndarray] = {}
    # Pruning can leave near and far narrower inside than at their ends; the pooled and the
    # plain branch are as wide in both places.
    reduced = _slices((*block.inside.inner, *branches[2:]))
    ends = _slices(branches)
    # Near, far, pooled, plain, as published.
    for index in range(4):
        branch = f"tcn1.branches.{index}"
        width = branches[index]
        rows = ends[index]
        parts[f"{branch}.0.weight"] = tensors["temporal.reduce.weight"][reduced[index]]
        parts[f"{branch}.0.bias"] = np.zeros(len(parts[f"{branch}.0.weight"]), "float32")
        if index < 3:
            parts |= _norm(tensors, "temporal.reduce_bn", f"{branch}.1", reduced[index])
        if index < 2:
            kernel = tensors[f"temporal.{('near', 'far')[index]}.weight"]
            parts |= {
                f"{branch}.3.conv.weight": kernel.transpose(0, 1, 3, 2),
                f"{branch}.3.conv.bias": np.zeros(width, "float32"),
            }
        parts |= _norm(
            tensors, "temporal.bn", f"{branch}.{('3.bn', '3.bn', '4', '1')[index]}", rows
        )
    return parts


def _slices(widths: tuple[int, ...]) -> list[slice]:
    """Where parts of these widths lie, one after the other."""
    return [slice(sum(widths[:index]), sum(widths[: index + 1])) for index in range(len(widths))]


def _norm(
    tensors: dict[str, np.ndarray], ours: str, theirs: str, rows: slice = slice(None)
) -> dict[str, np.ndarray]:
    return {
        f"{theirs}.{key}": tensors[f"{ours}.{key}"][rows]
        for key in ("weight", "bias", "_mean", "_variance")
    }
