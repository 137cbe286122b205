"""What a runtime is to this project."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

# (N, C, T, V, M) float32 -> logits (N, K), with the numbers the runtime really returns
Predict = Callable[[np.ndarray], np.ndarray]
# (N, ...) float32 -> every output of a model, in its order
PredictOutputs = Callable[[np.ndarray], list[np.ndarray]]
# (N, C, T, V, M) float32 -> logits (N, K) and features (N, D)
PredictFeatures = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


class Runtime(Protocol):
    """A module of this folder that is named in `export.formats.table.RUNTIMES`."""

    def load(self, files: Sequence[Path], threads: int = 1, optimised: bool = True) -> Predict:
        """Load a model and return what it is run by.

        Args:
            files: in the order in which the format's `save` returns them.
            threads: of one call.
            optimised: as it is served. False: operator by operator in float32, so that an error of
                the file can be told from one of a CPU's integer kernels; only a format that rounds
                activations is ever loaded that way.
        Raises:
            ExportMismatch: the runtime cannot load the files.
        """
        ...

    def load_outputs(self, files: Sequence[Path], threads: int = 1) -> PredictOutputs:
        """As `load`, with every output of a model that may be anybody's.

        Raises:
            ExportMismatch: the runtime cannot load the files.
        """
        ...

    def load_with_features(self, files: Sequence[Path], threads: int = 1) -> PredictFeatures:
        """As `load`, with the pooled features in front of the classifier beside the logits.

        Raises:
            ExportMismatch: the runtime cannot load the files, or they have no such place.
        """
        ...
