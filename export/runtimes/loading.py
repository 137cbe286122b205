"""What every runtime does alike when it loads a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from teachers.errors import ExportMismatch

Loaded = TypeVar("Loaded")


def loaded(model: Path, create: Callable[[], Loaded]) -> Loaded:
    """What `create()` returns.

    Raises:
        ExportMismatch: it failed; names the file.
    """
    try:
        return create()
    except Exception as error:  # each runtime raises its own kinds
        text = str(error).strip()
        first = text.splitlines()[-1] if text else type(error).__name__
        raise ExportMismatch(
            f"{model}: its runtime cannot load it ({first}); export it again"
        ) from error


def running(model: Path, predict: Callable[[np.ndarray], Loaded]) -> Callable[[np.ndarray], Loaded]:
    """`predict`, whose errors name the file.

    Raises:
        ExportMismatch (when it is called): the runtime cannot run the model on an input.
    """

    def named(x: np.ndarray) -> Loaded:
        try:
            return predict(x)
        except Exception as error:  # each runtime raises its own kinds
            raise ExportMismatch(
                f"{model}: its runtime cannot run it on input {x.shape}"
                # One line: the errors of both runtimes have many.
                f" ({' '.join(str(error).split())[:200]}); export it again"
            ) from error

    return named
