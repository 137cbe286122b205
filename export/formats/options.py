"""What files are written for, beside the network itself: the keys of a recipe's `export:`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """How files are written.

    Attributes:
        skip_absent: in ONNX, persons who are not in a clip are not computed; accelerators that need
            static shapes cannot have it.
    """

    skip_absent: bool = True


USUAL = Options()
