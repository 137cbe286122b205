"""The one place where a device is chosen. Everything else creates tensors on the current device."""

from __future__ import annotations

import os

import paddle

from teachers.errors import RecipeError
from teachers.terminal import interrupt
from teachers.terminal.output import say

# Compute capabilities that the wheels of a Paddle version have machine code for, the lowest and the
# highest. Code of 8.6 runs on 8.9 too, but on no 9.0. Read in the wheel of PyPI, never run.
CAPABILITIES = {"2.6": ((6, 1), (8, 9))}


def select(name: str) -> str:
    """Make `auto`, `cpu` or `gpu` the current device; returns Paddle's name of it ("cpu", "gpu:0").

    Raises:
        RecipeError: `gpu` was asked for, and there is none that this Paddle has code for.
    """
    # Paddle 2.6.2 has taken SIGTERM on import, and turns it into a process that hangs.
    interrupt.release_from_paddle()
    why = "" if name == "cpu" else _unusable()
    if name == "gpu" and why:
        raise RecipeError(
            f"--device gpu: the installed paddlepaddle {paddle.__version__} {why}; install "
            "requirements-gpu.txt on a machine with an NVIDIA GPU, or use --device cpu"
        )
    # `auto` falls back to the CPU; `gpu` never does, for a training that is silently many times
    # slower is worse than an error.
    on_gpu = name != "cpu" and not why
    if name == "auto" and why.startswith("has no code"):
        say(f"note: the CPU is used, for paddlepaddle {paddle.__version__} {why}")
    # A launcher says which GPU is whose.
    own = os.environ.get("FLAGS_selected_gpus", "").split(",")[0]  # noqa: SIM112  (Paddle's name)
    paddle.set_device((f"gpu:{own}" if own else "gpu") if on_gpu else "cpu")
    return paddle.get_device()


def _unusable() -> str:
    """Why no GPU can be used, in words; empty where one can."""
    # Both questions: the GPU build also runs on a machine without a GPU.
    if not paddle.is_compiled_with_cuda():
        return "is the CPU build"
    if paddle.device.cuda.device_count() == 0:
        return "finds no CUDA device"
    known = CAPABILITIES.get(".".join(paddle.__version__.split(".")[:2]))
    capability = tuple(paddle.device.cuda.get_device_capability())
    if known is not None and not known[0] <= capability <= known[1]:
        return (
            f"has no code for this GPU (compute capability {capability[0]}.{capability[1]}; it has"
            f" {known[0][0]}.{known[0][1]} to {known[1][0]}.{known[1][1]})"
        )
    return ""
