"""A deployed folder and `deployed.json`, by which it describes itself: a program elsewhere can feed
it right from this alone.

{"format": "featherbone-deployed", "network": "ctrgcn", "classes": [...], "views": 1,
 "recorded": {"channels", "joints", "persons", "names", "score", "coordinates", "min_score"},
 "input": {"name", "layout", "shape"}, "output": {...},
 "skeleton": {"name", "joints", "bones", "centre"}, "preprocessing": [{"op": ...}, ...],
 "files": {"paddle": ["model.pdmodel", "model.pdiparams"], "onnx": ["model.onnx"]},
 "sha256": {"model.onnx": ..., "deployed.json": ...}}
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from export.deployed.record import (
    FORMAT,
    LONGEST_TEXT,
    VERSION,
    Description,
    Input,
    Output,
    Recorded,
)
from export.formats import table
from export.runtimes import trial
from export.runtimes.contract import Predict
from teachers import storage
from teachers.errors import CheckpointError, DataError, printable
from teachers.storage import json_text, seal, typed_json
from teachers.storage.bounded import read_bytes

NAME = seal.DESCRIPTION
# Bytes: ten thousand classes with long names, and the pairs of a large skeleton.
LARGEST_FILE = 4_000_000


def describe(
    spec, about: dict, files: dict[str, list[str]], precision: dict[str, int] | None = None
) -> Description:
    """The description of a deployed network, not sealed yet.

    Args:
        about: what its weights file says of the data: `classes`, `data`, `preprocessing`, `views`
            (how many views of a clip are averaged), `recorded` (what a clip is as it was recorded:
            coordinates, joints, persons and, where they have any, the joints' names); what is
            missing is filled in.
        files: names by format.
        precision: how many layers are stored how, of a quantised network.
    """
    # A published checkpoint names no classes; numbers are better than no folder
    classes = about.get("classes") or [f"class {index}" for index in range(spec.classes)]
    recorded = about.get("recorded") or {
        "channels": spec.channels,
        "joints": spec.skeleton.joints,
        "persons": spec.persons,
    }
    return Description(
        format=FORMAT,
        version=VERSION,
        network=spec.network,
        # Names from a data set may hold what no terminal should be sent; see `read`.
        classes=tuple(printable(name)[:LONGEST_TEXT] for name in classes),
        data=about.get("data", "unknown"),
        recorded=typed_json.decode(Recorded, typed_json.encode(recorded), f"{NAME}: recorded"),
        views=about.get("views", 1),
        input=Input(
            name="clip",
            layout="N,C,T,V,M: batch, coordinates, frames, joints, persons",
            dtype="float32",
            shape=(None, *spec.input_shape),
        ),
        output=Output("logits", (None, spec.classes), "softmax gives scores"),
        skeleton=spec.skeleton,
        preprocessing=tuple(about.get("preprocessing", ())),
        files={kind: tuple(names) for kind, names in files.items()},
        paddle_note=(
            "disable_mkldnn() and enable_memory_optim() in paddle.inference.Config; compared with"
            " the trained network that way"
        ),
        precision=precision,
    )


def write(folder: Path, description: Description, models: Path | None = None) -> Path:
    """Write the description into `folder`, sealed with what the model files are now.

    Args:
        models: where they lie; None: in `folder` itself.
    """
    names = [name for group in description.files.values() for name in group]
    content = _content(description)
    sealed = replace(description, sha256=seal.of(content, models or folder, names))
    path = folder / NAME
    # Compact: every byte of the folder counts against the budget
    storage.write_text(path, json.dumps(_content(sealed), separators=(",", ":")))
    return path


def _content(description: Description) -> dict[str, Any]:
    """The description as JSON has it; what is not said has no key."""
    content: dict[str, Any] = typed_json.encode(description)
    content["recorded"] = {
        key: value for key, value in (content["recorded"] or {}).items() if value is not None
    }
    return {key: value for key, value in content.items() if value not in (None, {})}


def read(folder: Path) -> Description:
    """The description of a folder whose files are those that it was written for.

    Raises:
        CheckpointError: the folder has none, it cannot be read, claims more than a limit allows, or
            a file beside it was changed since.
    """
    path = Path(folder) / NAME
    if not path.is_file():
        raise CheckpointError(
            f"{path}: no such file; give a deployed folder, for example runs/NAME/deploy"
        )
    content = json_text.parse(
        read_bytes(path, LARGEST_FILE, CheckpointError), str(path), CheckpointError
    )
    try:
        _check_texts(content)
        description = typed_json.decode(Description, content, str(path))
    except (DataError, ValueError) as error:
        details = str(error).removeprefix(f"{path}: ")
        raise CheckpointError(
            f"{path}: not the description of a deployed folder ({details}); export it again"
        ) from error
    changed = seal.broken(content, Path(folder))
    if changed:
        raise CheckpointError(
            f"{path}: {', '.join(changed)} changed since the folder was written; copy the whole"
            f" folder again or export it again (if the change is yours, remove the key {seal.KEY!r}"
            f" from {NAME})"
        )
    return description


def _check_texts(content: object) -> None:
    """No text holds what a terminal would obey, and none is endless."""
    left = [content]
    while left:
        part = left.pop()
        if isinstance(part, dict):
            left += [*part.keys(), *part.values()]
        elif isinstance(part, list):
            left += part
        elif isinstance(part, str) and (len(part) > LONGEST_TEXT or printable(part) != part):
            raise ValueError(
                f"the text {part[:40]!r} holds control characters or more than {LONGEST_TEXT}"
                " characters"
            )


def unsealed_note(folder: Path, description: Description) -> str:
    """What a person must know of a folder without a seal; "" of one with a seal."""
    if description.sha256 is not None:
        return ""
    return (
        f"{Path(folder) / NAME} has no {seal.KEY!r}: whether its files belong together cannot be"
        " told; export it again to have them sealed"
    )


def predictors(folder: Path, description: Description, threads: int = 1) -> dict[str, Predict]:
    """A predict function for each format that the folder holds.

    Raises:
        CheckpointError: a file is missing, or of a format that this version does not know.
    """
    return {
        kind: table.runtime(kind).load(paths, threads)
        for kind, paths in model_files(folder, description).items()
    }


def try_out(folder: Path, description: Description) -> None:
    """Loads and runs every model of a folder once in a process of its own, within limits: to be
    called first, on a folder that may come from anywhere.

    Raises:
        CheckpointError: as `predictors`. ExportMismatch: a model cannot be run.
    """
    for kind, paths in model_files(folder, description).items():
        trial.require(
            paths[0],
            partial(table.runtime(kind).load, paths),
            (description.views, *description.input.clip),
            sum(path.stat().st_size for path in paths),
        )


def model_files(folder: Path, description: Description) -> dict[str, list[Path]]:
    """The files of each format, in the order in which its runtime takes them.

    Raises:
        CheckpointError: a file is missing, or not of the format, or the format is not known.
    """
    found = {}
    where = Path(folder) / NAME
    for kind, files in description.files.items():
        if kind not in table.names():
            raise CheckpointError(
                f"{where}: names a format {kind!r} (known: {', '.join(table.names())}); export the"
                " folder again"
            )
        paths = [Path(folder) / name for name in files]
        # By its ending: a runtime crashes on a file of another kind, and names no file.
        suffixes = [Path(name).suffix for name in table.files(kind)]
        if [path.suffix for path in paths] != suffixes:
            raise CheckpointError(
                f"{where}: files: {kind} must be {', '.join(table.files(kind))}, or files with"
                f" these endings; is {', '.join(files)}; export the folder again"
            )
        missing = [path for path in paths if not path.is_file()]
        if missing:
            raise CheckpointError(
                f"{missing[0]}: named in {NAME}, but not there; copy the whole folder"
            )
        found[kind] = paths
    return found
