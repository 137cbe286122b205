"""The optimiser of a training, and its state by names that outlive a process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import paddle
from paddle import nn
from paddle.optimizer import Optimizer

from compress.training.settings import Config
from teachers.weights.values import require_usable

# What training keeps for each parameter: name in a saved state -> what Paddle puts behind the
# parameter's name. Momentum has the first, AdamW the others.
KEPT = {
    "velocity": "_velocity_0",
    "moment1": "_moment1_0",
    "moment2": "_moment2_0",
    "beta1": "_beta1_pow_acc_0",
    "beta2": "_beta2_pow_acc_0",
}


def build(config: Config, parameters: Sequence[paddle.Tensor]) -> Optimizer:
    """An optimiser of these parameters; the rate is set at every step."""
    # One optimiser over all networks that learn: in mutual learning the gradients of both are
    # clipped by their common norm.
    clip = nn.ClipGradByGlobalNorm(config.clip_norm) if config.clip_norm else None
    if config.optimizer == "adamw":
        return paddle.optimizer.AdamW(
            config.lr,
            parameters=parameters,
            weight_decay=config.weight_decay,
            grad_clip=clip,
        )
    return paddle.optimizer.Momentum(
        config.lr,
        config.momentum,
        parameters=parameters,
        use_nesterov=True,
        weight_decay=config.weight_decay,
        grad_clip=clip,
    )


def state_of(
    optimizer: Optimizer, parameters: Mapping[str, paddle.Tensor]
) -> dict[str, np.ndarray]:
    """{`velocity/role/name`: value} of all that the optimiser keeps.

    Args:
        parameters: by `role/name`.
    """
    state = optimizer.state_dict()
    kept = {}
    for part, suffix in KEPT.items():
        for name, parameter in parameters.items():
            # A parameter that never had a gradient has none; nor has the average of weights.
            value = state.get(parameter.name + suffix)
            if value is not None:
                kept[f"{part}/{name}"] = np.array(value.numpy())
    return kept


def load_state(
    optimizer: Optimizer,
    parameters: Mapping[str, paddle.Tensor],
    arrays: Mapping[str, np.ndarray],
    path: object,
) -> None:
    """Put back what `state_of` found among the arrays of the file `path`.

    Raises:
        CheckpointError: a value that is not finite.
    """
    # The file has structured names: Paddle's own (`conv2d_12.w_0`) count what the process has
    # built before, and differ in the one that resumes.
    state = {}
    for key, value in arrays.items():
        part, _, name = key.partition("/")
        if part not in KEPT:
            continue
        # Not through `networks.load_state`, and not seen before the next loss.
        require_usable({key: value}, str(path))
        state[parameters[name].name + KEPT[part]] = paddle.to_tensor(value)
    optimizer.set_state_dict(state)
