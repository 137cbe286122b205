"""CTRGCN_light V1 and V2: published counts, equality with the published arithmetic, pruning,
export, key names."""

import dataclasses
import json

import numpy as np
import paddle
import pytest
from paddle.nn import functional as F

from export.flat.flatten import flatten
from teachers import networks
from teachers.ctrgcn_light import v1, v2
from teachers.errors import CheckpointError, RecipeError
from teachers.networks import from_json
from teachers.skeleton import NTU_25, UCLA_20
from teachers.weights import checkpoints
from teachers.weights.published import Hints

LIGHT = {"v1": v1, "v2": v2}
NORM = ("weight", "bias", "_mean", "_variance")


@pytest.fixture(autouse=True)
def seeded():
    """Random weights blow signals up; with some, float32 leaves tanh of a difference of large
    numbers few digits."""
    paddle.seed(1)


def tiny(light):
    """Twelve frames, twenty joints, two persons, five classes; V2's branches differ in width."""
    return light.default_spec(5, UCLA_20, 12, 2, config=light.Config(12 if light is v1 else 14))


def shapes(spec) -> dict[str, tuple[int, ...]]:
    """PaddleVideo's key names."""
    C, _, V, M = spec.input_shape
    found = {}

    def norm(name, channels):
        found.update({f"{name}.{key}": (channels,) for key in NORM})

    norm("data_bn", M * V * C)
    for one in spec.blocks:
        last, out, name, width = one.in_channels, one.out_channels, one.id, one.out_channels // 4
        mid, has_graph = one.graph_channels, getattr(one, "graph", True)
        rel, groups = one.relation_channels, 3 if spec.network.endswith("v1") else 1
        if has_graph:
            found |= {f"{name}.gcn1.PA": (3, V, V), f"{name}.gcn1.alpha": (1,)}
            found |= {
                f"{name}.gcn1.convs.conv1.weight": (2 * rel * groups + 3 * mid, last, 1, 1),
                f"{name}.gcn1.convs.conv1.bias": (2 * rel * groups + 3 * mid,),
            }
            for index in range(3):
                found |= {
                    f"{name}.gcn1.convs.conv2.{index}.weight": (mid, rel, 1, 1),
                    f"{name}.gcn1.convs.conv2.{index}.bias": (mid,),
                }
            norm(f"{name}.gcn1.bn", mid)
            if last != mid:
                found[f"{name}.gcn1.down.0.weight"] = (mid, last, 1, 1)
                norm(f"{name}.gcn1.down.1", mid)
        tcn = f"{name}.tcn1"
        found[f"{tcn}.conv_pw.0.weight"] = (3 * width, mid, 1, 1)
        norm(f"{tcn}.conv_pw.1", 3 * width)
        for index in (0, 1):
            found[f"{tcn}.branches.{index}.conv.weight"] = (width, width, 5, 1)
            norm(f"{tcn}.branches.{index}.bn", width)
        norm(f"{tcn}.branches.2.1", width)
        found[f"{tcn}.branches.3.0.weight"] = (out - 3 * width, mid, 1, 1)
        norm(f"{tcn}.branches.3.1", out - 3 * width)
        if one.residual and (last != out or one.stride > 1):
            residual = f"{name}.residual" if has_graph else f"{tcn}.residual"
            found[f"{residual}.conv.weight"] = (out, last, 1, 1)
            norm(f"{residual}.bn", out)
    return found | {
        "fc.weight": (spec.blocks[-1].out_channels, spec.classes),
        "fc.bias": (spec.classes,),
    }


def weights(spec) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(5)
    return {
        name: (
            (
                generator.uniform(0.5, 2, shape)
                if name.endswith("_variance") or "bn.weight" in name
                else generator.normal(0, 1 / np.sqrt(max(np.prod(shape[1:]), 4)), shape)
            ).astype("float32")
        )
        for name, shape in shapes(spec).items()
    }


def published(spec, arrays, x):
    """The published arithmetic, layout (N * M, C, T, V), float64."""
    w = {name: paddle.to_tensor(value.astype("float64")) for name, value in arrays.items()}

    def norm(name, x):
        return F.batch_norm(
            x, *[w[f"{name}.{key}"] for key in ("_mean", "_variance", "weight", "bias")]
        )

    def graph(name, x, groups):
        fused = F.conv2d(x, w[f"{name}.convs.conv1.weight"], w[f"{name}.convs.conv1.bias"])
        count = 3 * w[f"{name}.convs.conv2.0.weight"].shape[0]
        first, second = paddle.chunk(fused[:, :-count].mean(2), 2, axis=1)
        relations = paddle.chunk(
            paddle.tanh(first.unsqueeze(-1) - second.unsqueeze(-2)), groups, axis=1
        )
        y = 0
        for index, values in enumerate(paddle.chunk(fused[:, -count:], 3, axis=1)):
            conv = f"{name}.convs.conv2.{index}"
            Q = (
                F.conv2d(relations[index % groups], w[f"{conv}.weight"], w[f"{conv}.bias"])
                * w[f"{name}.alpha"]
                + w[f"{name}.PA"][index]
            )
            y = y + paddle.einsum("ncuv,nctv->nctu", Q, values)
        down = (
            norm(f"{name}.down.1", F.conv2d(x, w[f"{name}.down.0.weight"]))
            if f"{name}.down.0.weight" in w
            else x
        )
        return F.relu(norm(f"{name}.bn", y) + down)

    def temporal(name, x, stride):
        near, far, pooled = paddle.chunk(
            F.relu(norm(f"{name}.conv_pw.1", F.conv2d(x, w[f"{name}.conv_pw.0.weight"]))), 3, axis=1
        )
        parts = [
            norm(
                f"{name}.branches.{index}.bn",
                F.conv2d(
                    part,
                    w[f"{name}.branches.{index}.conv.weight"],
                    stride=[stride, 1],
                    padding=[2 * index + 2, 0],
                    dilation=[index + 1, 1],
                ),
            )
            for index, part in enumerate((near, far))
        ]
        parts.append(
            norm(
                f"{name}.branches.2.1",
                F.max_pool2d(pooled, (3, 1), stride=(stride, 1), padding=(1, 0)),
            )
        )
        parts.append(
            norm(
                f"{name}.branches.3.1",
                F.conv2d(x, w[f"{name}.branches.3.0.weight"], stride=[stride, 1]),
            )
        )
        return paddle.concat(parts, axis=1)

    N, C, T, V, M = x.shape
    x = norm("data_bn", x.transpose([0, 4, 3, 1, 2]).reshape([N, M * V * C, T])).reshape(
        [N, M, V, C, T]
    )
    x = x.transpose([0, 1, 3, 4, 2]).reshape([N * M, C, T, V])
    for one in spec.blocks:
        name, y = one.id, x
        if f"{name}.gcn1.PA" in w:
            y = graph(f"{name}.gcn1", y, 3 if spec.network.endswith("v1") else 1)
        y = temporal(f"{name}.tcn1", y, one.stride)
        residual = next(
            (
                key.removesuffix(".conv.weight")
                for key in w
                if key.startswith(f"{name}.") and "residual.conv" in key
            ),
            None,
        )
        if residual:
            y = y + norm(
                f"{residual}.bn", F.conv2d(x, w[f"{residual}.conv.weight"], stride=[one.stride, 1])
            )
        elif one.residual:
            y = y + x
        x = F.relu(y)
    return (
        paddle.matmul(x.reshape([N, M, x.shape[1], -1]).mean(3).mean(1), w["fc.weight"])
        + w["fc.bias"]
    )


def authors(arrays) -> dict[str, np.ndarray]:
    """V1's weights under the names of the authors' own repository, which fuses nothing."""
    found = {}
    for name, value in arrays.items():
        block, _, rest = name.partition(".")
        if rest.startswith("tcn1.conv_pw."):
            for index, part in enumerate(np.split(value, 3)):
                found[f"{block}.tcn1.branches.{index}.{rest[len('tcn1.conv_pw.') :]}"] = part
        elif rest.startswith(("tcn1.branches.0.", "tcn1.branches.1.")):
            found[f"{block}.{rest[:16]}3.{rest[16:]}"] = value
        elif rest.startswith("tcn1.branches.2.1."):
            found[f"{block}.tcn1.branches.2.4.{rest[18:]}"] = value
        elif rest.startswith("gcn1.convs.conv1."):
            out, rel = arrays[f"{block}.gcn1.convs.conv2.0.weight"].shape[:2]
            parts = np.split(value, np.cumsum([rel] * 6 + [out] * 3)[:-1])
            for index, part in enumerate(parts):
                found[f"{block}.gcn1.convs.{index % 3}.conv{index // 3 + 1}.{rest[17:]}"] = part
        elif rest.startswith("gcn1.convs.conv2."):
            found[f"{block}.gcn1.convs.{rest[17]}.conv4.{rest[19:]}"] = value
        else:
            found[name.replace("tcn1.residual", "residual")] = value
    return found


def file(tmp_path, arrays, name="net.pdparams"):
    paddle.save(
        {
            ("head." if key.startswith("fc.") else "backbone.") + key: paddle.to_tensor(value)
            for key, value in arrays.items()
        },
        str(tmp_path / name),
    )
    return tmp_path / name


@pytest.mark.parametrize(
    "name, parameters, gmacs", [("v1", 1_024_110, 1.159), ("v2", 1_117_782, 1.422)]
)
def test_published_parameters_and_macs(name, parameters, gmacs):
    spec = LIGHT[name].default_spec(60, NTU_25, 64, 2)
    trainable = {
        key: shape
        for key, shape in shapes(spec).items()
        if not key.endswith(("_mean", "_variance"))
    }
    assert sum(int(np.prod(shape)) for shape in trainable.values()) == parameters
    assert sum(p.size for p in networks.build(spec).parameters()) == parameters
    assert networks.parameters(spec) == parameters
    assert round(networks.macs(spec) / 1e9, 3) == gmacs


def test_v2_widens_in_the_temporal_unit_and_its_last_branch_takes_the_rest():
    network = networks.build(v2.default_spec(60, NTU_25, 64, 2))
    assert network.l5.graph.down is None and network.l5.graph.values.weight.shape == [
        3 * 62,
        62,
        1,
        1,
    ]
    assert network.l1.temporal.near.weight.shape[0] == 15 and network.l1.temporal.last == 17
    assert network.l4.graph.relation_weight.shape == [2 * 7, 62, 1]


@pytest.mark.parametrize("name", LIGHT)
def test_equals_the_published_arithmetic(name, tmp_path):
    spec = tiny(LIGHT[name])
    arrays = weights(spec)
    layouts = [arrays, authors(arrays)] if name == "v1" else [arrays]
    x = paddle.randn([3, *spec.input_shape])
    reference = published(spec, arrays, x.astype("float64")).numpy()
    for index, layout in enumerate(layouts):
        network = checkpoints.load(file(tmp_path, layout, f"{index}.pdparams"), Hints(frames=12))
        assert network.spec == spec
        assert np.abs(network(x).numpy() - reference).max() < 1e-4 * np.abs(reference).max()


@pytest.mark.parametrize("name", LIGHT)
def test_other_depths_persons_and_classes_follow_from_the_shapes(name, tmp_path):
    full = LIGHT[name].default_spec(7, NTU_25, 64, 1, channels=9, config=LIGHT[name].Config(8))
    spec = LIGHT[name].drop_blocks(full, ("l2", "l10"))
    assert checkpoints.read(file(tmp_path, weights(spec)))[0] == spec


@pytest.mark.parametrize("name", LIGHT)
def test_missing_and_extra_keys_are_named(name, tmp_path):
    arrays = weights(tiny(LIGHT[name]))
    network = f"ctrgcn_light_{name}"
    for key in (
        "l4.gcn1.alpha",
        "l4.tcn1.branches.0.bn.weight",
        "l6.tcn1.conv_pw.0.weight",
        "fc.bias",
    ):
        with pytest.raises(CheckpointError, match=rf"net.pdparams: as {network}: has no '{key}'"):
            checkpoints.load(
                file(tmp_path, {one: value for one, value in arrays.items() if one != key})
            )
    with pytest.raises(
        CheckpointError,
        match=rf"as {network}: holds 1 tensors that CTRGCN_light V\d does not have: l4.extra",
    ):
        checkpoints.load(file(tmp_path, arrays | {"l4.extra": np.zeros(2, "float32")}))


def test_a_missing_key_of_the_authors_names_is_named(tmp_path):
    arrays = authors(weights(tiny(v1)))
    del arrays["l4.gcn1.convs.1.conv4.bias"]
    with pytest.raises(
        CheckpointError, match="as ctrgcn_light_v1: has no 'l4.gcn1.convs.1.conv4.bias'"
    ):
        checkpoints.load(file(tmp_path, arrays))


@pytest.mark.parametrize("name", LIGHT)
def test_trains(name):
    network = networks.build(tiny(LIGHT[name]))
    network.train()
    network(paddle.randn([2, *network.spec.input_shape])).square().sum().backward()
    gradients = {
        key: float(value.grad.abs().sum())
        for key, value in network.named_parameters()
        if value.grad is not None
    }
    assert len(gradients) == len(network.parameters()) and all(
        np.isfinite(list(gradients.values()))
    )
    assert gradients["l1.graph.alpha"] > 0 and gradients["l2.temporal.near.weight"] > 0


@pytest.mark.parametrize("name", LIGHT)
@pytest.mark.parametrize(
    "dropped",
    [
        *[(f"l{number}",) for number in range(1, 11)],
        ("l1", "l2", "l3", "l4"),
        ("l1", "l4", "l6", "l7", "l9"),
    ],
)
def test_any_block_may_go(name, dropped, randomised):
    full = tiny(LIGHT[name])
    spec = LIGHT[name].drop_blocks(full, dropped)
    network = randomised(networks.build(spec))
    assert len(spec.blocks) == 10 - len(dropped)
    assert np.prod([one.stride for one in spec.blocks]) == (2 if {"l10"} < set(dropped) else 4)
    assert sum(p.size for p in network.parameters()) == networks.parameters(spec)
    x = paddle.randn([2, *spec.input_shape])
    logits = network(x).numpy()
    assert logits.shape == (2, 5)
    assert np.abs(flatten(network)(x).numpy() - logits).max() < 1e-5 * max(1, np.abs(logits).max())


def test_a_block_keeps_its_kind_when_another_goes():
    spec = v1.drop_blocks(v1.default_spec(60, NTU_25, 64, 2), ("l5",))
    six = next(one for one in spec.blocks if one.id == "l6")
    assert (six.in_channels, six.out_channels, six.stride, six.graph) == (60, 120, 2, True)
    assert [one.id for one in spec.blocks if not one.graph] == ["l2", "l3", "l8"]


@pytest.mark.parametrize("name", LIGHT)
def test_unknown_blocks_and_widths_are_refused(name):
    light = LIGHT[name]
    with pytest.raises(
        RecipeError,
        match=(
            rf"prune_layers.drop: ctrgcn_light_{name} has no block 'l11' \(it has l1, l2, .*l10\)"
        ),
    ):
        light.drop_blocks(tiny(light), ("l11",))
    with pytest.raises(ValueError, match="^width: .*got 5$"):
        light.Config(5)


@pytest.mark.parametrize("name", LIGHT)
def test_spec_and_weights_survive_a_file(name, tmp_path, randomised):
    light = LIGHT[name]
    spec = light.drop_blocks(tiny(light), ("l3",))
    assert from_json(light.Spec, json.loads(json.dumps(dataclasses.asdict(spec)))) == spec
    network = randomised(networks.build(spec))
    checkpoints.save(tmp_path / "net.npz", network)
    back = networks.state_of(checkpoints.load(tmp_path / "net.npz"))
    assert all(
        np.array_equal(back[key], value) for key, value in networks.state_of(network).items()
    )
