"""Which layers of a file in four bits may be kept in eight: what a limit of bytes leaves room for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from compress.steps import quantising, weight_only
from export.flat.flatten import flatten
from export.flat.layers import prepared
from export.quantize import bits
from teachers import networks
from teachers.networks import Spec


def more_bytes(spec: Spec, config: weight_only.Config, copies: int) -> list[tuple[str, int]]:
    """(layer, bytes that its weights take in eight bits beyond four), the smallest first, of those
    that `config` keeps in four. A file grows by some hundred bytes a layer less: four bits take
    more nodes.

    Args:
        copies: how often weights are stored: once in every format.
    """
    # Names and shapes alone are looked at: fresh weights may be too small for four bits.
    flat = prepared(flatten(networks.build(spec)))
    for one in bits.weights(flat):
        one.parameter.set_value(np.ones(one.parameter.shape, "float32"))
    kind = weight_only.KINDS[config.kind]
    plan = bits.make_plan(flat, kind, overrides=quantising.overrides(config), group=config.group)
    more: dict[str, int] = {}
    for one in bits.weights(flat):
        size = one.parameter.size
        if plan.precision[one.layer] != "int4_weights" or size < bits.SMALL:
            continue
        channels = one.parameter.shape[one.axis]
        four = bits.stored_bytes(size, channels, "int4_weights", config.group)
        eight = bits.stored_bytes(size, channels, "int8_weights", config.group)
        more[one.layer] = more.get(one.layer, 0) + copies * max(eight - four, 0)
    return sorted(more.items(), key=lambda entry: (entry[1], entry[0]))


def fitting(more: Sequence[tuple[str, int]], room: int) -> tuple[str, ...]:
    """The layers that are kept in eight bits, as many as there is room for; none if all of them
    fit, for then nothing is mixed.

    The smallest come first: rounding changes what a layer computes by about the same share whatever
    its size, so the most layers are spared for a byte.
    """
    chosen: list[str] = []
    for layer, size_bytes in more:
        room -= size_bytes
        if room < 0:
            return tuple(chosen)
        chosen.append(layer)
    return ()
