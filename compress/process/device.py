"""The one place where a device is chosen. Everything else creates tensors on the current device."""

from __future__ import annotations

import paddle

from teachers.errors import RecipeError
from teachers.terminal import interrupt


def select(name: str) -> str:
    """Make `auto`, `cpu` or `gpu` the current device; returns Paddle's name of it ("cpu", "gpu:0").

    Raises:
        RecipeError: `gpu` was asked for and this Paddle or this machine has none.
    """
    # Paddle 2.6.2 has taken SIGTERM on import, and turns it into a process that hangs.
    interrupt.release_from_paddle()
    # Both questions: the GPU build also runs on a machine without a GPU.
    usable = paddle.is_compiled_with_cuda() and paddle.device.cuda.device_count() > 0
    if name == "gpu" and not usable:
        reason = "finds no CUDA device" if paddle.is_compiled_with_cuda() else "is the CPU build"
        raise RecipeError(
            f"--device gpu: the installed paddlepaddle {paddle.__version__} {reason}; install "
            "requirements-gpu.txt on a machine with an NVIDIA GPU, or use --device cpu"
        )
    # `auto` falls back to the CPU; `gpu` never does, for a training that is silently many times
    # slower is worse than an error.
    on_gpu = name == "gpu" or (name == "auto" and usable)
    paddle.set_device("gpu" if on_gpu else "cpu")
    return paddle.get_device()
