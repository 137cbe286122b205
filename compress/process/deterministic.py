"""`--deterministic`: the same bits again from the same recipe, seed, machine and versions.

Chance is seeded in every run; what is left are kernels that add in an order which the moment decides.
These settings choose others, at the cost of speed. Loads no Paddle: it reads them when it is loaded.
"""

from __future__ import annotations

import os
import sys

from teachers.errors import RecipeError

SETTINGS = {
    # One thread adds in one order: how a sum is cut into parts changes its last bits.
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "FLAGS_cpu_deterministic": "1",
    # cuDNN's gradients of convolutions and Paddle's of embeddings use atomic additions otherwise.
    "FLAGS_cudnn_deterministic": "1",
    "FLAGS_embedding_deterministic": "1",
    # The search times kernels, and takes another one when the GPU was busy.
    "FLAGS_cudnn_exhaustive_search": "0",
    # cuBLAS splits its work over streams unless its workspace is of a fixed size (CUDA 10.2 on).
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
}


def enforce() -> tuple[str, ...]:
    """Sets SETTINGS in this process and those it starts; returns them as NAME=VALUE.

    Raises:
        RecipeError: Paddle is loaded already, and would not read them any more.
    """
    if "paddle" in sys.modules:
        raise RecipeError(
            "--deterministic: Paddle is loaded already in this process; start the run by its command"
            " (featherbone run), or set these in the environment of the process:"
            f" {' '.join(settings())}"
        )
    # Over what the shell says: who asks for it means all of it.
    os.environ.update(SETTINGS)
    return settings()


def settings() -> tuple[str, ...]:
    """SETTINGS as a shell takes them."""
    return tuple(f"{name}={value}" for name, value in SETTINGS.items())
