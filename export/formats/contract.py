"""What a file format is to this project."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from paddle import nn

from export.formats.options import USUAL, Options
from export.quantize.bits import Plan
from teachers.networks import Spec


class Format(Protocol):
    """A module of this folder that is named in `export.formats.table.FORMATS`.

    Attributes:
        ROUNDS_ACTIVATIONS: whether files keep the ranges of a plan, and so compute in eight bits.
            Such a file is compared with a tolerance: a tie rounded the other way spreads.
    """

    ROUNDS_ACTIVATIONS: bool

    def save(
        self,
        flat: nn.Sequential,
        spec: Spec,
        folder: Path,
        plan: Plan | None = None,
        options: Options = USUAL,
    ) -> list[Path]:
        """Write a flat network; it must stay as it is, for the next format is written from it.

        Args:
            flat: of `export.flat.flatten`, not rounded, in the form for Paddle
                (`export.flat.layers.prepared` makes a copy in the form for ONNX).
            spec: the network's, for the input shape (C, T, V, M).
            folder: exists.
            plan: how weights and points are to be rounded; None: all in float32.
            options: those that mean something to the format are followed.
        Returns:
            the files, named and ordered as in the table.
        Raises:
            ExportMismatch, StorageError: the files cannot be made, or not be written.
        """
        ...

    def needs(self, files: Sequence[Path], options: Options = USUAL) -> dict[str, str]:
        """What a program must have to run the files of `save`: versions by name, for
        `deployed.json` and the report.

        Args:
            options: those of `save`.
        """
        ...
