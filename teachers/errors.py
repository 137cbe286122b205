"""Every error a user can cause, as one tree. The message says what is wrong, where, and how to mend
it.

    FeatherboneError            exit code 1
    ├── RecipeError             a recipe, an override or a command line
    ├── CheckpointError         a weights file, or a run's saved state
    ├── DataError               a data set or a clip
    ├── TrainingError           a loss that is not finite
    ├── StorageError            a disk that is full or not writable
    ├── BudgetExceeded          exit code 2: the deployed folder is over budget.max_size
    ├── AccuracyGateFailed      exit code 3: the student lost more than budget.max_top1_drop
    └── ExportMismatch          exit code 4: an exported file disagrees with the trained network

An interrupted run (Ctrl-C) ends with exit code 130.
"""


class FeatherboneError(Exception):
    """Base of all errors that are reported as a message, without a traceback."""

    exit_code = 1


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
