"""Bias correction (Nagel et al., ICCV 2019, arXiv 1906.04721): what rounding the weights shifts a
channel's mean by goes into its bias.

The mean inputs are measured on clips rather than derived from BatchNorm. What rounding activations
shifts the logits' mean by is measured as a whole, and goes into the classifier's bias.
"""

from __future__ import annotations

import numpy as np
import paddle
from paddle import nn

from export.flat.layers import FoldedConv, array, duplicate
from export.quantize.bits import Plan, quantize_weights
from export.quantize.calibrate import BATCH, run
from teachers.errors import DataError


def mean_inputs(flat: nn.Sequential, clips: np.ndarray) -> dict[str, np.ndarray]:
    """The mean of every input channel of every convolution, (Cin,) by the name of the bias on disk,
    before any rounding.

    Args:
        clips: (n, C, T, V, M). Padding at the ends of a clip is left out of account.
    Raises:
        DataError: no clips.
    """
    if not len(clips):
        raise DataError(
            "bias correction: no clips to measure on; give at least one clip of the training split"
        )
    sums: dict[str, list] = {}

    def see(conv: FoldedConv, inputs):
        x, seen = inputs[0], sums.setdefault(conv.bias_.name, [0.0, 0])
        # Batches are summed in float64, where rounding cannot pile up over a split
        seen[0] = seen[0] + x.sum([0, 2, 3]).numpy().astype("float64")
        seen[1] += x.shape[0] * x.shape[2] * x.shape[3]

    # Hooks on layers and not points: an input may be no point
    hooks = [conv.register_forward_pre_hook(see) for conv in convolutions(flat)]
    try:
        run(flat, clips, lambda name, value: value)
    finally:
        for hook in hooks:
            hook.remove()
    return {name: total / count for name, (total, count) in sums.items()}


def corrected_biases(
    flat: nn.Sequential, plan: Plan, means: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Name on disk -> bias of every convolution, corrected for the rounding of its weights by a
    plan.

    Args:
        flat: in the form for Paddle, not rounded; it stays as it is.
        means: of `mean_inputs`.
    """
    found = {}
    for conv, rounded in zip(
        convolutions(flat), convolutions(quantize_weights(duplicate(flat), plan)), strict=True
    ):
        bias, name = conv.bias_.numpy(), conv.bias_.name
        shift = (
            # Weight before minus after: what must be added to undo the change
            mean_shift(array(conv.weight_) - array(rounded.weight_), means[name], conv.groups)
            if name in means
            else np.zeros(1)
        )
        found[name] = (bias + shift.reshape([-1, *bias.shape[1:]])).astype("float32")
    return found


def convolutions(flat: nn.Sequential) -> list[FoldedConv]:
    """All of them, in order."""
    return [layer for layer in flat.sublayers() if isinstance(layer, FoldedConv)]


def mean_shift(change: np.ndarray, means: np.ndarray, groups: int) -> np.ndarray:
    """What a change of the weights (C, Cin / groups, 1, kernel) adds to each channel's mean (C,),
    for mean inputs (Cin,)."""
    # Every tap sees the same channel mean, away from the ends of a clip
    taps = change.sum(axis=(2, 3)).reshape(groups, -1, change.shape[1])
    return np.einsum("gci,gi->gc", taps, means.reshape(groups, -1)).reshape(-1)


def mean_logits(network: nn.Layer, clips: np.ndarray) -> np.ndarray:
    """The mean of a flat network's logits over clips (n, C, T, V, M): (K,) float64.

    Raises:
        DataError: no clips.
    """
    if not len(clips):
        raise DataError(
            "bias correction: no clips to measure on; give at least one clip of the training split"
        )
    logits = []
    with paddle.no_grad():
        for start in range(0, len(clips), BATCH):
            x = np.ascontiguousarray(clips[start : start + BATCH], dtype="float32")
            logits.append(network(paddle.to_tensor(x)).numpy().astype("float64"))
    return np.concatenate(logits).mean(0)


def classifier_bias(flat: nn.Sequential) -> str | None:
    """The name on disk of what a flat network adds to its logits; None: only the network's own
    `forward` knows (`export/flat/default.py`)."""
    bias = getattr(flat[-1], "bias_", None)
    return None if bias is None else bias.name
