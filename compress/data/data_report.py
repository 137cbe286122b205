"""What one look at every clip found: the fingerprint, and the cases that a reader should know."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

# Examples of a case in a note; a thousand names would bury the other notes of a report.
EXAMPLES = 5
REPAIRED = "clip repaired (frames with NaN or infinity take the nearest good frame)"
REPAIRED_JOINTS = "clip repaired (joints that are missing are interpolated in time)"
EMPTY = "clip empty, nothing but zeros (kept, and counted like any other)"


class DataReport:
    """Collects the fingerprint and the cases while clips are read.

    Attributes:
        digest: SHA-256 of all that was read so far.
    """

    def __init__(self, settings: bytes = b"", order: Sequence[str] = ()):
        """
        Args:
            settings: what decides the content beside the files; the fingerprint starts with it.
            order: cases whose notes come first, in this order; others follow as they appear.
        """
        self.digest = hashlib.sha256(settings)
        self._cases: dict[str, list[str]] = {what: [] for what in order}

    def add_clip(self, clip: np.ndarray) -> None:
        """A clip becomes part of the fingerprint."""
        # The shape too: the bytes of (3, 2, 25, 1) and (3, 1, 25, 2) can be the same.
        self.digest.update(repr(clip.shape).encode())
        self.digest.update(np.ascontiguousarray(clip).data)

    def add_case(self, what: str, example: str) -> None:
        """Count one more case.

        Args:
            what: the case in words; the first is the noun that is counted, in the singular.
            example: where it is, in words.
        """
        # All of them, though a note shows few: it is their number that it gives.
        self._cases.setdefault(what, []).append(example)

    def notes(self) -> tuple[str, ...]:
        """A line for each kind of case: how many, and the first examples."""
        return tuple(
            f"{counted(len(examples), what)}: {shortened(examples)}"
            for what, examples in self._cases.items()
            if examples
        )


def counted(number: int, what: str) -> str:
    """`clip repaired` -> "1 clip repaired", "2 clips repaired"; `class ...` -> "2 classes ..."."""
    # English plurals as far as the notes need them.
    noun, *rest = what.split(" ", 1)
    if number != 1:
        noun += "es" if noun.endswith("s") else "s"
    return " ".join((str(number), noun, *rest))


def shortened(examples: Sequence[str], separator: str = "; ") -> str:
    """The first examples on one line, with "..." where there are more."""
    shown = list(examples[:EXAMPLES])
    if len(examples) > EXAMPLES:
        shown.append("...")
    return separator.join(shown)
