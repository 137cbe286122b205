"""What people call their splits: Train, TRAINING, valid, validation, Val, test, ..."""

from __future__ import annotations

import re

TRAIN = "train"
VAL = "val"
TEST = "test"
_WORDS = {
    "train": TRAIN,
    "training": TRAIN,
    "val": VAL,
    "valid": VAL,
    "validate": VAL,
    "validation": VAL,
    "dev": VAL,
    "eval": VAL,
    "evaluation": VAL,
    "test": TEST,
    "testing": TEST,
}
# The longest word first, or "validation" would be "val" and a rest.
_WORD = re.compile("|".join(sorted(_WORDS, key=len, reverse=True)), re.IGNORECASE)


def meaning(name: str) -> str | None:
    """`TRAIN`, `VAL` or `TEST` for a word that means one of them, else None."""
    return _WORDS.get(name.strip().casefold())


def is_usual(name: str) -> bool:
    """Whether the word of a split in a name is train, val or test."""
    words = [match[0] for match in _WORD.finditer(name)]
    return bool(words) and words[-1] in (TRAIN, VAL, TEST)


def parted(name: str) -> tuple[str, str] | None:
    """(what a longer name means, the name without that word, small): "xsub_Train" -> ("train",
    "xsub_"); None where no such word is in it.

    Two splits of which the second is equal are of one benchmark.
    """
    # The last word, as a data set may have one of them in its own name.
    words = list(_WORD.finditer(name))
    if not words:
        return None
    word = words[-1]
    return _WORDS[word[0].casefold()], (name[: word.start()] + name[word.end() :]).casefold()
