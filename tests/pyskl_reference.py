"""ST-GCN and STGCN++ the slow, literal way, from arrays under PYSKL's names; what the networks are
compared with."""

import numpy as np
import paddle
from paddle.nn import functional as F

from teachers.skeleton import Skeleton

HAND = Skeleton(
    "hand_21",
    21,
    tuple((joint, 1 if joint % 4 == 2 else joint - 1) for joint in range(2, 22)),
    centre=1,
)


def arrays(blocks, joints, classes, plus, seed=0, fc="fc_cls"):
    """Random weights under PYSKL's names; `blocks` are (Cin, C, stride), the first without
    residual. `plus`: STGCN++."""
    generator, out = np.random.default_rng(seed), {}

    def conv(name, C, Cin, kernel=1):
        out[f"{name}.weight"] = generator.normal(
            0, (Cin * kernel) ** -0.5, (C, Cin, kernel, 1)
        ).astype("float32")
        out[f"{name}.bias"] = generator.normal(0, 0.3, C).astype("float32")

    def norm(name, C):
        for key, value in (
            ("weight", generator.normal(1, 0.3, C)),
            ("bias", generator.normal(0, 0.3, C)),
            ("_mean", generator.normal(0, 0.3, C)),
            ("_variance", generator.uniform(0.5, 2, C)),
        ):
            out[f"{name}.{key}"] = value.astype("float32")

    norm("data_bn", blocks[0][0] * joints)
    for index, (Cin, C, stride) in enumerate(blocks):
        gcn, tcn = f"gcn.{index}.gcn", f"gcn.{index}.tcn"
        for name in ("A",) if plus else ("A", "PA"):
            out[f"{gcn}.{name}"] = generator.normal(0, 0.4, (3, joints, joints)).astype("float32")
        conv(f"{gcn}.conv", 3 * C, Cin)
        norm(f"{gcn}.bn", C)
        if plus and Cin != C:
            conv(f"{gcn}.down.0", C, Cin)
            norm(f"{gcn}.down.1", C)
        if plus:
            for number in range(6):
                width = C - 5 * (C // 6) if number == 0 else C // 6
                conv(f"{tcn}.branches.{number}" + ".0" * (number < 5), width, C)
                if number < 5:
                    norm(f"{tcn}.branches.{number}.1", width)
                if number < 4:
                    conv(f"{tcn}.branches.{number}.3.conv", width, width, 3)
            norm(f"{tcn}.transform.0", C)
            conv(f"{tcn}.transform.2", C, C)
        else:
            conv(f"{tcn}.conv", C, C, 9)
        norm(f"{tcn}.bn", C)
        if index and (Cin != C or stride != 1):
            conv(f"gcn.{index}.residual.conv", C, Cin)
            norm(f"gcn.{index}.residual.bn", C)
    out[f"{fc}.weight"] = generator.normal(0, 0.2, (blocks[-1][1], classes)).astype("float32")
    out[f"{fc}.bias"] = generator.normal(0, 0.2, classes).astype("float32")
    return out


def logits(weights, blocks, x, fc="fc_cls"):
    """The published forward pass, x (N, C, T, V, M) -> (N, K) as numpy; maps are (B, C, T, V)."""
    w = {name: paddle.to_tensor(value) for name, value in weights.items()}

    def conv(name, y, stride=1, dilation=1):
        kernel = w[f"{name}.weight"].shape[2]
        return F.conv2d(
            y,
            w[f"{name}.weight"],
            w[f"{name}.bias"],
            [stride, 1],
            [dilation * (kernel // 2), 0],
            [dilation, 1],
        )

    def norm(name, y):
        return F.batch_norm(
            y, *(w[f"{name}.{key}"] for key in ("_mean", "_variance", "weight", "bias"))
        )

    def branch(name, number, y, stride):
        if number == 5:
            return conv(name, y, stride)
        y = F.relu(norm(f"{name}.1", conv(f"{name}.0", y)))
        if number == 4:
            return F.max_pool2d(y, (3, 1), (stride, 1), (1, 0))
        return conv(f"{name}.3.conv", y, stride, number + 1)

    N, C, T, V, M = x.shape
    y = norm("data_bn", paddle.to_tensor(x).transpose([0, 4, 3, 1, 2]).reshape([N * M, V * C, T]))
    y = y.reshape([N * M, V, C, T]).transpose([0, 2, 3, 1])
    for index, (Cin, C, stride) in enumerate(blocks):
        gcn, tcn, start = f"gcn.{index}.gcn", f"gcn.{index}.tcn", y
        plus = f"{tcn}.transform.0.weight" in w
        A = w[f"{gcn}.A"] if plus else w[f"{gcn}.A"] * w[f"{gcn}.PA"]
        y = conv(f"{gcn}.conv", start).reshape([N * M, 3, C, -1, V])
        y = norm(f"{gcn}.bn", sum(paddle.matmul(y[:, k], A[k]) for k in range(3)))
        if plus:
            y = y + (start if Cin == C else norm(f"{gcn}.down.1", conv(f"{gcn}.down.0", start)))
        y = F.relu(y)
        if plus:
            y = paddle.concat(
                [branch(f"{tcn}.branches.{number}", number, y, stride) for number in range(6)], 1
            )
            y = norm(f"{tcn}.bn", conv(f"{tcn}.transform.2", F.relu(norm(f"{tcn}.transform.0", y))))
        else:
            y = norm(f"{tcn}.bn", conv(f"{tcn}.conv", y, stride))
        if index:
            y = y + (
                norm(f"gcn.{index}.residual.bn", conv(f"gcn.{index}.residual.conv", start, stride))
                if Cin != C or stride != 1
                else start
            )
        y = F.relu(y)
    y = y.mean([2, 3]).reshape([N, M, -1]).mean(1)
    return (paddle.matmul(y, w[f"{fc}.weight"]) + w[f"{fc}.bias"]).numpy()
