"""Every error a user can cause, as one tree. The message says what is wrong, where, and how to mend
it.

    FeatherboneError            exit code 1
    ├── RecipeError             a recipe, an override or a command line
    ├── CheckpointError         a weights file, or a run's saved state
    ├── DataError               a data set or a clip
    ├── TrainingError           a loss that is not finite
    ├── StorageError            a disk that is full or not writable
    ├── BusyError               a folder that another process is working in
    ├── BudgetExceeded          exit code 2: the deployed folder is over budget.max_size
    ├── AccuracyGateFailed      exit code 3: the student lost more than budget.max_top1_drop
    └── ExportMismatch          exit code 4: an exported file disagrees with the trained network

A command that is interrupted ends with exit code 130 (Ctrl-C) or 143 (SIGTERM).
"""

from __future__ import annotations

import difflib
import errno
import re
from collections.abc import Iterable

# By the kind of error: who may not write somewhere is not helped by free space.
ADVICE = {
    errno.ENOSPC: "free some space or choose another folder",
    errno.EDQUOT: "free some space or choose another folder",
    errno.EFBIG: "free some space or choose another folder",
    errno.EACCES: "choose another folder, or mend its permissions",
    errno.EPERM: "choose another folder, or mend its permissions",
    errno.EROFS: "choose a folder on a file system that is not read-only",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOTDIR: "there is a file where a folder is needed; choose another folder",
    errno.EEXIST: "there is a file where a folder is needed; choose another folder",
    errno.EISDIR: "there is a folder of that name; choose another name",
    errno.ENOENT: "check the path",
}
# Control characters but tab and line feed, marks that turn the direction of writing round, and
# halves of surrogate pairs: what a terminal obeys instead of printing it, or cannot encode.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """The text with what a terminal would obey instead of printing it as escapes, `\\x1b`."""
    return _UNPRINTABLE.sub(lambda match: repr(match[0])[1:-1], text)


def quoted(value: object) -> str:
    """A value of a file as a message shows it: what is long is cut."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def first_line(error: BaseException) -> str:
    """What an error says, in a line: protobuf's and Paddle's have many."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:90] if lines else type(error).__name__


def did_you_mean(word: str, known: Iterable[str], always_list: bool = False) -> str:
    """` (did you mean 'epochs'?)`, or ` (known: epochs, lr)` without a near match, or both with
    `always_list`."""
    known = list(known)
    # A little stricter than difflib's 0.6, by which any two short keys are alike. Cut: difflib
    # takes minutes for a key of a megabyte.
    near = difflib.get_close_matches(word[:100], known, n=1, cutoff=0.65)
    listing = f"known: {', '.join(known)}" if known else "there are none"
    if not near:
        return f" ({listing})"
    if always_list:
        return f" (did you mean {near[0]!r}? {listing})"
    return f" (did you mean {near[0]!r}?)"


class FeatherboneError(Exception):
    """Base of all errors that are reported as a message, without a traceback."""

    exit_code = 1

    # Here, where every message passes: names of files, keys and classes come from strangers, and
    # an escape sequence in them must not reach a terminal.
    def __init__(self, message: str):
        super().__init__(printable(message))


class RecipeError(FeatherboneError):
    """A recipe, an override or a command line that cannot be used."""


class CheckpointError(FeatherboneError):
    """A weights file or saved state that cannot be used."""


class DataError(FeatherboneError):
    """A data set or clip that cannot be used."""


class TrainingError(FeatherboneError):
    """Training cannot go on, for example after a loss that is not finite."""


class StorageError(FeatherboneError):
    """A file could not be written; what was there before is untouched."""


class BusyError(FeatherboneError):
    """Another process is working in the folder."""


class BudgetExceeded(FeatherboneError):
    """The deployed folder is larger than the recipe allows."""

    # Codes of their own from here on, so that a CI job can tell a result that is not good enough
    # from a run that failed.
    exit_code = 2


class AccuracyGateFailed(FeatherboneError):
    """The student lost more top-1 against the teacher than the recipe allows."""

    exit_code = 3


class ExportMismatch(FeatherboneError):
    """An exported file does not compute what the trained network computes."""

    exit_code = 4


def advice(error: OSError) -> str:
    """What to do about an error of the system, in words; "" where only its own text helps."""
    return ADVICE.get(error.errno or 0, "")
