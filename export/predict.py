"""Classify clips with a deployed folder: class, score and top-5, in either runtime.

Run: python export/predict.py runs/NAME/deploy CLIP [CLIP ...] [--runtime paddle|onnx]
"""
from __future__ import annotations

import json
import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np  # noqa: E402

from compress.data import clips, transforms  # noqa: E402
from export import deployed  # noqa: E402
from teachers.arguments import Parser  # noqa: E402
from teachers.errors import DataError, FeatherboneError  # noqa: E402


def prepare(raw: np.ndarray, description: dict, name: str, number: int = 0) -> np.ndarray:
    """View `number` of a raw clip (C, T, V, M) after the folder's preprocessing; persons are cut or padded with zeros to the
    network's M. C and V of a recording are not always the network's: streams and branches are made on the way.

    Raises:
        DataError: another skeleton than the network's.
    """
    C, T, V, M = description["input"]["shape"][1:]
    recorded = recording(description)
    if (raw.shape[0], raw.shape[2]) != (recorded["channels"], recorded["joints"]):
        raise DataError(f"{name}: has {raw.shape[0]} coordinates of {raw.shape[2]} joints; this network needs {recorded['channels']} of "
                        f"{recorded['joints']} ({description['skeleton']['name']})")
    persons = raw[..., :M]
    padded = np.concatenate([persons, np.zeros((*persons.shape[:3], M - persons.shape[3]), persons.dtype)], axis=3)
    x = transforms.apply(padded, transforms.numbered(description["preprocessing"], number, description.get("views", 1)))
    if x.shape != (C, T, V, M):
        raise DataError(f"{name}: has {x.shape[1]} frames of {x.shape[0]} channels after preprocessing, the network needs {T} of {C}; the "
                        "folder's deployed.json does not say how to get there (it was exported from a checkpoint without data)")
    return x


def recording(description: dict) -> dict:
    """What a clip is as it was recorded: coordinates, joints, persons, perhaps names of joints; the network's where nothing is said."""
    C, _, V, M = description["input"]["shape"][1:]
    return {"channels": C, "joints": V, "persons": M} | (description.get("recorded") or {})


def scores_of(logits: np.ndarray) -> np.ndarray:
    """Logits (n, K) of the views of one clip -> (K,) softmax, averaged over them."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (powers / powers.sum(axis=1, keepdims=True)).mean(axis=0)


def top_classes(scores: np.ndarray, classes: list[str], count: int = 5) -> list[dict]:
    """The best classes of one clip with their scores (K,)."""
    return [{"class": classes[index], "score": round(float(scores[index]), 4)} for index in np.argsort(-scores, kind="stable")[:count]]


def main(arguments: list[str] | None = None) -> int:
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="a deployed folder")
    parser.add_argument("clips", nargs="+", type=Path, help="clip files of any format the data readers know")
    parser.add_argument("--runtime", choices=("paddle", "onnx"), help="default: onnx if the folder has it")
    options = parser.parse_args(arguments)
    results = []
    try:
        description = deployed.read(options.folder)
        predictors = deployed.predictors(options.folder, description)
        kind = options.runtime or ("onnx" if "onnx" in predictors else next(iter(predictors)))
        if kind not in predictors:
            raise DataError(f"{options.folder}: holds no {kind} model (it holds {', '.join(predictors)})")
        for path in options.clips:
            for name, raw in clips.read_clip(path, recording(description)):
                views = [prepare(raw, description, name, number) for number in range(description.get("views", 1))]
                best = top_classes(scores_of(predictors[kind](np.stack(views))), description["classes"])
                results.append({"clip": name, **best[0], "top5": best})
                print(f"{name}: {best[0]['class']} ({100 * best[0]['score']:.1f}%)   "
                      + ", ".join(f"{one['class']} {100 * one['score']:.1f}%" for one in best[1:]))
    except FeatherboneError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(json.dumps({"runtime": kind, "clips": results}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
