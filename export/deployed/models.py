"""The models of a deployed folder: found, tried out, and loaded into the runtimes that serve them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from export.deployed.folder import NAME
from export.deployed.record import Description
from export.formats import table
from export.runtimes import trial
from export.runtimes.contract import Predict, PredictFeatures
from export.runtimes.steps import Steps, load_steps
from teachers.errors import CheckpointError, ExportMismatch


def predictors(
    folder: Path,
    description: Description,
    threads: int = 1,
    kinds: Sequence[str] | None = None,
) -> dict[str, Predict]:
    """A predict function for each format that the folder holds.

    Args:
        kinds: only these formats; no other's files are opened.
    Raises:
        CheckpointError: a file is missing, or of a format that this version does not know.
    """
    return {
        kind: table.runtime(kind).load(paths, threads)
        for kind, paths in model_files(folder, description, kinds).items()
    }


def predictor_with_features(
    folder: Path, description: Description, kind: str, threads: int = 1
) -> PredictFeatures:
    """Logits and the pooled features in front of the classifier, of the files of one format.

    Raises:
        CheckpointError: as `predictors`. ExportMismatch: the files have no such place.
    """
    (paths,) = model_files(folder, description, (kind,)).values()
    return table.runtime(kind).load_with_features(paths, threads)


def continual(folder: Path, description: Description, threads: int = 1) -> Steps:
    """The continual network of a folder that holds one.

    Raises:
        CheckpointError: as `predictors`. ExportMismatch: the file is no continual network.
    """
    (paths,) = model_files(folder, description, (table.CONTINUAL,)).values()
    steps = load_steps(paths, threads)
    C, _, V, M = description.input.clip
    if steps.clip != (C, steps.chunk, V, M):
        raise ExportMismatch(
            f"{paths[0]}: takes frames of {steps.clip}, and {NAME} beside it says (C, T, V, M) ="
            f" {description.input.clip}; export the folder again"
        )
    return steps


def try_out(folder: Path, description: Description, kinds: Sequence[str] | None = None) -> None:
    """Loads and runs every model of a folder once in a process of its own, within limits: to be
    called first, on a folder that may come from anywhere.

    Args:
        kinds: as in `predictors`.
    Raises:
        CheckpointError: as `predictors`. ExportMismatch: a model cannot be run.
    """
    for kind, paths in model_files(folder, description, kinds).items():
        trial.require(
            paths[0],
            partial(table.runtime(kind).load, paths),
            (description.views, *description.input.clip),
            sum(path.stat().st_size for path in paths),
        )


def model_files(
    folder: Path, description: Description, kinds: Sequence[str] | None = None
) -> dict[str, list[Path]]:
    """The files of each format, in the order in which its runtime takes them.

    Raises:
        CheckpointError: a file is missing, or not of the format, or the format is not known.
    """
    found = {}
    where = Path(folder) / NAME
    for kind, files in description.files.items():
        if kinds is not None and kind not in kinds:
            continue
        if kind not in table.names():
            raise CheckpointError(
                f"{where}: names a format {kind!r} (known: {', '.join(table.names())}); export the"
                " folder again"
            )
        paths = [Path(folder) / name for name in files]
        # By its ending: a runtime crashes on a file of another kind, and names no file.
        known = table.readable(kind)
        if [path.suffix for path in paths] not in [
            [Path(name).suffix for name in group] for group in known
        ]:
            groups = " or ".join(", ".join(group) for group in known)
            raise CheckpointError(
                f"{where}: files: {kind} must be {groups}, or files with these endings; is"
                f" {', '.join(files)}; export the folder again"
            )
        missing = [path for path in paths if not path.is_file()]
        if missing:
            raise CheckpointError(
                f"{missing[0]}: named in {NAME}, but not there; copy the whole folder"
            )
        found[kind] = paths
    return found
