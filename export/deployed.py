"""A deployed folder and `deployed.json`, by which it describes itself: a program elsewhere can feed
it right from this alone.

{"format": "featherbone-deployed", "network": "ctrgcn", "classes": [...], "views": 1,
 "recorded": {"channels", "joints", "persons", "names", "score", "coordinates"},
 "input": {"name", "layout", "shape"}, "output": {...},
 "skeleton": {"name", "joints", "bones", "centre"}, "preprocessing": [{"op": ...}, ...],
 "files": {"paddle": ["model.pdmodel", "model.pdiparams"], "onnx": ["model.onnx"]}}
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from export.formats import table
from export.runtimes.contract import Predict
from teachers import storage
from teachers.errors import CheckpointError

NAME = "deployed.json"


def describe(spec, about: dict, files: dict[str, list[str]]) -> dict:
    """The description of a deployed network.

    Args:
        about: what its weights file says of the data: `classes`, `data`, `preprocessing`, `views`
            (how many views of a clip are averaged), `recorded` (what a clip is as it was recorded:
            coordinates, joints, persons and, where they have any, the joints' names); what is
            missing is filled in.
        files: names by format.
    """
    # A published checkpoint names no classes; numbers are better than no folder
    classes = about.get("classes") or [f"class {index}" for index in range(spec.classes)]
    recorded = about.get("recorded") or {
        "channels": spec.channels,
        "joints": spec.skeleton.joints,
        "persons": spec.persons,
    }
    return {
        "format": "featherbone-deployed",
        "version": 1,
        "network": spec.network,
        "classes": list(classes),
        "data": about.get("data", "unknown"),
        "recorded": recorded,
        "views": about.get("views", 1),
        "input": {
            "name": "clip",
            "layout": "N,C,T,V,M: batch, coordinates, frames, joints, persons",
            "dtype": "float32",
            "shape": [None, *spec.input_shape],
        },
        "output": {"name": "logits", "shape": [None, spec.classes], "note": "softmax gives scores"},
        "skeleton": dataclasses.asdict(spec.skeleton),
        "preprocessing": list(about.get("preprocessing", ())),
        "files": files,
        "paddle_note": (
            "disable_mkldnn() and enable_memory_optim() in paddle.inference.Config; compared with"
            " the trained network that way"
        ),
    }


def write(folder: Path, description: dict) -> Path:
    """Write the description beside the model files."""
    path = folder / NAME
    # Compact: every byte of the folder counts against the budget
    storage.write_text(path, json.dumps(description, separators=(",", ":")))
    return path


def read(folder: Path) -> dict:
    """The description of a folder.

    Raises:
        CheckpointError: the folder has none, or it cannot be read.
    """
    path = Path(folder) / NAME
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
        # A JSON of another program is not to be guessed at
        if description["format"] != "featherbone-deployed" or not isinstance(
            description["files"], dict
        ):
            raise ValueError("another format")
        return description
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{path}: no such file; give a deployed folder, for example runs/NAME/deploy"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{path}: not the description of a deployed folder ({error}); export it again"
        ) from error


def predictors(folder: Path, description: dict, threads: int = 1) -> dict[str, Predict]:
    """A predict function for each format that the folder holds.

    Raises:
        CheckpointError: a file is missing, or of a format that this version does not know.
    """
    predictors = {}
    for kind, files in description["files"].items():
        if kind not in table.names():
            raise CheckpointError(
                f"{Path(folder) / NAME}: names a format {kind!r} (known:"
                f" {', '.join(table.names())}); export the folder again"
            )
        # Never outside the folder, whatever the JSON says: it may come from anywhere
        paths = [Path(folder) / Path(name).name for name in files]
        missing = [path for path in paths if not path.is_file()]
        if missing:
            raise CheckpointError(
                f"{missing[0]}: named in {NAME}, but not there; copy the whole folder"
            )
        predictors[kind] = table.runtime(kind).load(paths, threads)
    return predictors
