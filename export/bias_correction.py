"""Bias correction (Nagel et al., ICCV 2019, arXiv 1906.04721): what rounding the weights shifts a channel's mean by goes into its bias.

The mean inputs are measured on clips rather than derived from BatchNorm.
"""
from __future__ import annotations

import numpy as np
from paddle import nn

from export.calibrate import run
from export.fold import FoldedConv
from export.quantize import Plan, quantize_weights
from teachers.errors import DataError


def bias_correction(flat: nn.Sequential, plan: Plan, clips: np.ndarray) -> nn.Sequential:
    """Round the weights of a flat network by a plan and correct the biases of its convolutions, in place; returns it.

    Args:
        clips: (n, C, T, V, M), whose mean inputs of every convolution count. Padding at the ends of a clip is left out of account.
    Raises:
        DataError: no clips.
    """
    if not len(clips):
        raise DataError("bias correction: no clips to measure on; give at least one clip of the training split")
    convs = [layer for layer in flat.sublayers() if isinstance(layer, FoldedConv)]
    sums: dict[int, list] = {id(conv): [0.0, 0] for conv in convs}

    def see(conv: FoldedConv, inputs):
        x = inputs[0]
        sums[id(conv)][0] = sums[id(conv)][0] + x.sum([0, 2, 3]).numpy().astype("float64")
        sums[id(conv)][1] += x.shape[0] * x.shape[2] * x.shape[3]

    hooks = [conv.register_forward_pre_hook(see) for conv in convs]
    try:
        run(flat, clips, lambda name, value: value)
    finally:
        for hook in hooks:
            hook.remove()
    before = {id(conv): conv.weight_.numpy().astype("float64") for conv in convs}
    quantize_weights(flat, plan)
    for conv in convs:
        total, count = sums[id(conv)]
        if count:
            shift = mean_shift(before[id(conv)] - conv.weight_.numpy(), total / count, conv.groups)
            conv.bias_.set_value((conv.bias_.numpy() + shift.reshape(conv.bias_.shape)).astype("float32"))
    return flat


def mean_shift(change: np.ndarray, means: np.ndarray, groups: int) -> np.ndarray:
    """What a change of the weights (C, Cin / groups, 1, kernel) adds to each channel's mean (C,), for mean inputs (Cin,)."""
    taps = change.sum(axis=(2, 3)).reshape(groups, -1, change.shape[1])
    return np.einsum("gci,gi->gc", taps, means.reshape(groups, -1)).reshape(-1)
