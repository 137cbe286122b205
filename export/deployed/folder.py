"""A deployed folder and `deployed.json`, by which it describes itself: a program elsewhere can feed
it right from this alone.

{"format": "featherbone-deployed", "network": "ctrgcn", "classes": [...], "views": 1,
 "recorded": {"channels", "joints", "persons", "names", "score", "coordinates", "min_score"},
 "input": {"name", "layout", "shape"}, "output": {...},
 "counted_from": 0, "skeleton": {"name", "joints", "bones", "centre"},
 "preprocessing": [{"op": ...}, ...], "steps": {op: what it does}, "requires": {"onnx": {"opset"}},
 "live": {"window", "stride", "threshold", ...; see `export.deployed.live`},
 "profile": "rknn", "input_shapes": {"onnx": [1, C, T, V * M]},
 "files": {"paddle": ["model.pdmodel", "model.pdiparams"], "onnx": ["model.onnx"]},
 "sha256": {"model.onnx": ..., "deployed.json": ...}}
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

from export.deployed import counting, definitions
from export.deployed.record import (
    FORMAT,
    LONGEST_TEXT,
    VERSION,
    Description,
    Input,
    Output,
    Placed,
    Recorded,
)
from teachers import storage
from teachers.errors import CheckpointError, DataError, printable
from teachers.storage import json_text, seal, typed_json
from teachers.storage.bounded import read_bytes

NAME = seal.DESCRIPTION
# Bytes: ten thousand classes with long names, and the pairs of a large skeleton.
LARGEST_FILE = 4_000_000


def describe(
    spec,
    about: dict,
    files: dict[str, list[str]],
    precision: dict[str, int] | None = None,
    requires: dict[str, dict[str, str]] | None = None,
    placed: Placed = Placed(),  # noqa: B008  (frozen)
) -> Description:
    """The description of a deployed network, not sealed yet.

    Args:
        about: what its weights file says of the data: `classes`, `data`, `preprocessing`, `views`
            (how many views of a clip are averaged), `recorded` (what a clip is as it was recorded:
            coordinates, joints, persons and, where they have any, the joints' names),
            `temperature`; what is missing is filled in.
        files: names by format.
        precision: how many layers are stored how, of a quantised network.
        requires: by format, what its files need; see `export.formats.contract.Format`.
        placed: where the files go to.
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
        output=Output(
            "logits",
            (None, spec.classes),
            _scores_note(about.get("temperature"), about.get("views", 1)),
        ),
        temperature=about.get("temperature"),
        skeleton=spec.skeleton,
        preprocessing=tuple(about.get("preprocessing", ())),
        files={kind: tuple(names) for kind, names in files.items()},
        paddle_note=(
            "disable_mkldnn() and enable_memory_optim() in paddle.inference.Config; compared with"
            " the trained network that way"
        ),
        precision=precision,
        steps=definitions.of(about.get("preprocessing", ())),
        requires=requires,
        profile=placed.profile,
        input_shapes=placed.input_shapes or None,
        counted_from=0,
    )


def _scores_note(temperature: float | None, views: int) -> str:
    if temperature is None:
        return "softmax gives scores"
    if views > 1:
        return f"(mean softmax of the views) ^ (1 / {temperature:g}), normalised, gives scores"
    return f"softmax of logits / {temperature:g} gives scores"


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
    # Also of a folder of version 1, which is written anew.
    repairs = description.recording.repair_bones is not None
    steps = definitions.of(description.preprocessing, repairs)
    current = replace(description, version=VERSION, counted_from=0, steps=steps)
    content: dict[str, Any] = counting.from_zero(typed_json.encode(current))
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
    content, description = _parsed(Path(folder) / NAME)
    _require_sealed(content, Path(folder), None)
    return description


def described(folder: Path) -> Description:
    """What `deployed.json` says, whatever became of the files beside it.

    Raises:
        CheckpointError: as `read`, but for changed files.
    """
    return _parsed(Path(folder) / NAME)[1]


def read_for(folder: Path, kind: str | None = None) -> tuple[Description, str]:
    """(the description, the format that is served), without opening a file of another format.

    Args:
        kind: the format that is asked for; None: ONNX where there is a choice.
    Raises:
        CheckpointError: as `read`. DataError: the folder does not hold the format.
    """
    content, description = _parsed(Path(folder) / NAME)
    # ONNX where there is a choice: its int8 files compute in integers, Paddle's in float32.
    preferred = "onnx" if "onnx" in description.files else next(iter(description.files))
    chosen = kind or preferred
    if chosen not in description.files:
        raise DataError(
            f"{folder}: holds no {chosen} model (it holds {', '.join(description.files)})"
        )
    _require_sealed(content, Path(folder), description.files[chosen])
    return description, chosen


def _parsed(path: Path) -> tuple[Any, Description]:
    """(deployed.json as it is, what it says)."""
    if not path.is_file():
        raise CheckpointError(
            f"{path}: no such file; give a deployed folder, for example runs/NAME/deploy"
        )
    content = json_text.parse(
        read_bytes(path, LARGEST_FILE, CheckpointError), str(path), CheckpointError
    )
    try:
        _check_texts(content)
        # Only what says so: folders of version 1 counted bones from 1.
        counted = isinstance(content, dict) and content.get("counted_from") == 0
        described = counting.from_one(content) if counted else content
        return content, typed_json.decode(Description, described, str(path))
    except (DataError, ValueError) as error:
        details = str(error).removeprefix(f"{path}: ")
        raise CheckpointError(
            f"{path}: not the description of a deployed folder ({details}); export it again"
        ) from error


def _require_sealed(content: Any, folder: Path, names: Collection[str] | None) -> None:
    changed = seal.broken(content, folder, names)
    if changed:
        raise CheckpointError(
            f"{folder / NAME}: {', '.join(changed)} changed since the folder was written; copy the"
            f" whole folder again or export it again (if the change is yours, remove the key"
            f" {seal.KEY!r} from {NAME})"
        )


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
