"""EfficientGCN B0 to B4 (Song et al., TPAMI 2022, arXiv 2106.15125), exactly as published.

Joint, velocity and bone each pass a branch of their own (a stem and the first blocks); their
channels are then concatenated for the remaining blocks. A block is a graph convolution, temporal
layers and attention (`teachers/efficientgcn/layers.py`). The input has the branches' channels one
after the other: (N, 3 * 6, T, V, M).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import paddle
from paddle import nn
from paddle.nn import functional as F
from paddle.nn.initializer import Constant, Normal

from teachers.efficientgcn.layers import Block, Stem, Unit
from teachers.errors import RecipeError
from teachers.skeleton import Skeleton
from teachers.stages import check_dropped

# Id, channels, stride, depth of B0.
PLAN = (
    ("i1", 48, 1, 0.5),
    ("i2", 24, 1, 0.5),
    ("m1", 64, 2, 1.0),
    ("m2", 128, 2, 1.0),
)
# Of attention and temporal layers; 4 for the others.
REDUCTION = {"sg": 2}

# See `teachers.networks.NetworkModule`. Its BatchNorms are over coordinates alone.
AXES = {
    "*.graph.adjacency": ((), ("joint",), ("joint",)),
    "*.graph.edge": ((), ("joint",), ("joint",)),
    "fc.weight": ((), ("class",)),
    "fc.bias": (("class",),),
}


@dataclass(frozen=True)
class Spec:
    """Everything that rebuilds the network. Input (N, channels, frames, V, persons), `channels`
    those of all branches.

    Attributes:
        stem: channels of a branch before its first block.
        edge: whether every graph has trainable edge weights.
        max_hop: pairs of joints up to so many bones apart count when a fresh graph is normalised.
    """

    blocks: tuple[Block, ...]
    classes: int
    skeleton: Skeleton
    frames: int
    persons: int
    channels: int = 18
    branches: int = 3
    stem: int = 64
    edge: bool = True
    max_hop: int = 10
    dropout: float = 0.25
    network: str = "efficientgcn"

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        """(C, T, V, M) of one clip."""
        return self.channels, self.frames, self.skeleton.joints, self.persons

    @property
    def features(self) -> int:
        """Channels that reach the classifier."""
        # A student may have lost the whole main stream; its branches then meet at the classifier.
        last = self.blocks[-1]
        return last.out_channels * (self.branches if last.branched else 1)


@dataclass(frozen=True)
class Config:
    """Recipe keys.

    Attributes:
        scale: the k of Bk, 0 to 4.
        layer: the kind of temporal layer.
        edge: trainable edge weights.
        width: channels of the stem, a multiple of 16; the blocks keep their proportions.
        expand: how many times wider an `epsep` layer is inside.
        reduction: how many times narrower attention, `sg` and `bottleneck` layers are inside; null:
            2 for `sg`, else 4.
        max_hop, dropout, branches: see `Spec`.
    """

    scale: int = 0
    layer: Literal["sg", "epsep", "sep", "basic", "bottleneck"] = "sg"
    edge: bool = True
    width: int = 64
    expand: int = 2
    reduction: int | None = None
    max_hop: int = 10
    dropout: float = 0.25
    branches: int = 3

    def __post_init__(self):
        if not 0 <= self.scale <= 4:
            raise ValueError(f"scale: EfficientGCN has B0 to B4, got {self.scale}")
        if self.width < 16 or self.width % 16:
            raise ValueError(
                f"width: EfficientGCN needs a multiple of 16 channels, got {self.width}"
            )
        for name, least in (("expand", 1), ("max_hop", 2), ("branches", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name}: must be {least} or more, got {getattr(self, name)}")
        # Beyond 16 the narrowest block that the scaling makes, of 16 channels, has none inside.
        if self.reduction is not None and not 1 <= self.reduction <= 16:
            raise ValueError(f"reduction: must be from 1 to 16, got {self.reduction}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout: must be from 0 to below 1, got {self.dropout}")


PUBLISHED = Config()


def default_spec(
    classes: int,
    skeleton: Skeleton,
    frames: int,
    persons: int,
    channels: int = 18,
    config: Config = PUBLISHED,
) -> Spec:
    """The published two blocks per branch and two of the main stream, scaled (section 4.3).

    Raises:
        RecipeError: the input's channels are not those of so many branches.
    """
    # One channel a branch divides well, but no stream has one: it is an input of 3 coordinates.
    if channels % config.branches or channels == config.branches > 1:
        raise RecipeError(
            f"efficientgcn with {config.branches} branches cannot take an input of {channels}"
            " channels: give `input: {name: branches}`, which makes joint, velocity and bone, or"
            " `branches: 1` for one stream"
        )
    reduction = config.reduction or REDUCTION.get(config.layer, 4)
    blocks: list[Block] = []
    last = config.width
    for name, width, stride, depth in PLAN:
        branched = name.startswith("i")
        if not branched and blocks[-1].branched:
            last *= config.branches
        # The paper's compound scaling: 1.2 a step in width, 1.35 in depth, widths in sixteens.
        width = max(16 * round(width * config.width / 64 * 1.2**config.scale / 16), 16)
        # Half to even: B0's branches have no temporal layer.
        depth = round(depth * 1.35**config.scale)
        # 0 without layers: weights show no such width then, and read back they give this spec.
        hidden = _hidden(config, width, reduction) if depth else 0
        blocks.append(
            Block(
                name, last, width, stride, depth, config.layer, hidden, width // reduction, branched
            )
        )
        last = width
    return Spec(
        tuple(blocks),
        classes,
        skeleton,
        frames,
        persons,
        channels,
        config.branches,
        config.width,
        config.edge,
        config.max_hop,
        config.dropout,
    )


def _hidden(config: Config, width: int, reduction: int) -> int:
    return {
        "sg": width // reduction,
        "bottleneck": width // reduction,
        "epsep": width * config.expand,
    }.get(config.layer, 0)


def absent(spec: Spec) -> np.ndarray:
    """(C,) float32, of a person who is not in a clip: the published input has angles of bones in the
    last sixth of its channels, and that of a bone of length 0 is pi / 2."""
    channels = np.zeros(spec.channels, "float32")
    # Joint, velocity and bone, each with positions or vectors and what is derived from them.
    if spec.branches == 3 and spec.channels % 6 == 0:
        channels[-(spec.channels // 6) :] = np.pi / 2
    return channels


def drop_blocks(spec: Spec, ids: tuple[str, ...]) -> Spec:
    """The spec without the named blocks. The next block that has temporal layers takes over a
    dropped block's stride.

    Raises:
        RecipeError: an id the network does not have, or no block left.
    """
    check_dropped(spec, ids)
    blocks: list[Block] = []
    last = spec.stem
    stride = 1
    branched = True
    for block in spec.blocks:
        # The branches' channels are concatenated here.
        if branched and not block.branched:
            last *= spec.branches
            branched = False
        if block.id in ids:
            stride *= block.stride
            continue
        # Only a temporal layer can halve the frames: a block without one hands the stride on.
        if block.depth:
            blocks.append(replace(block, in_channels=last, stride=stride * block.stride))
            stride = 1
        else:
            blocks.append(replace(block, in_channels=last, stride=1))
        last = block.out_channels
    return replace(spec, blocks=tuple(blocks))


class EfficientGCN(nn.Layer):
    """x (N, C, T, V, M) float32, the branches' channels one after the other -> logits (N, K)."""

    def __init__(self, spec: Spec):
        super().__init__()
        self.spec = spec
        # Each graph has edge weights of its own, in every block and branch, as published.
        graph = (spec.skeleton, spec.max_hop, spec.edge)
        self.stem = nn.LayerList(
            [Stem(spec.channels // spec.branches, spec.stem, *graph) for _ in range(spec.branches)]
        )
        for block in spec.blocks:
            units = [Unit(block, *graph) for _ in range(spec.branches if block.branched else 1)]
            self.add_sublayer(block.id, nn.LayerList(units) if block.branched else units[0])
        # std 0.001 as published, where PYSKL has 0.01 and CTR-GCN sqrt(2 / K).
        self.fc = nn.Linear(
            spec.features,
            spec.classes,
            weight_attr=paddle.ParamAttr(initializer=Normal(0.0, 0.001)),
            bias_attr=paddle.ParamAttr(initializer=Constant(0.0)),
        )

    def branch(self, number: int, x):
        """One branch's map after its last block; x (B, C / branches, V, T)."""
        x = self.stem[number](x)
        for block in self.spec.blocks:
            x = getattr(self, block.id)[number](x) if block.branched else x
        return x

    def forward(self, x):
        C, T, V, M = x.shape[1:]
        x = x.transpose([0, 4, 1, 3, 2]).reshape([-1, C, V, T])
        streams = paddle.split(x, self.spec.branches, axis=1)
        maps = [self.branch(number, stream) for number, stream in enumerate(streams)]
        x = paddle.concat(maps, axis=1)
        for block in self.spec.blocks:
            x = x if block.branched else getattr(self, block.id)(x)
        # Persons are averaged last, behind joints and frames; an absent one counts as zeros do.
        x = x.mean([2, 3]).reshape([-1, M, self.spec.features]).mean(1)
        return self.fc(F.dropout(x, self.spec.dropout, training=self.training))


def build(spec: Spec) -> EfficientGCN:
    """A freshly initialised network of this spec."""
    return EfficientGCN(spec)
