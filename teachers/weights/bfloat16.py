"""bfloat16, which NumPy has no type for: the upper half of a float32."""

from __future__ import annotations

import numpy as np


def to_float32(bits: np.ndarray) -> np.ndarray:
    """The numbers whose bits these uint16 are, exactly."""
    return (bits.astype(np.uint32) << 16).view(np.float32)
