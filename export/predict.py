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
from export.scripts import Parser  # noqa: E402
from teachers.errors import DataError, FeatherboneError  # noqa: E402


def prepare(raw: np.ndarray, description: dict, name: str) -> np.ndarray:
    """A raw clip (C, T, V, M) through the folder's preprocessing; persons are cut or padded with zeros to the network's M.

    Raises:
        DataError: another skeleton than the network's.
    """
    C, T, V, M = description["input"]["shape"][1:]
    if raw.shape[0] != C or raw.shape[2] != V:
        raise DataError(f"{name}: has {raw.shape[0]} coordinates of {raw.shape[2]} joints; this network needs {C} of {V} "
                        f"({description['skeleton']['name']})")
    persons = raw[..., :M]
    padded = np.concatenate([persons, np.zeros((*persons.shape[:3], M - persons.shape[3]), persons.dtype)], axis=3)
    x = transforms.apply(padded, description["preprocessing"])
    if x.shape[1] != T:
        raise DataError(f"{name}: has {x.shape[1]} frames after preprocessing, the network needs {T}; the folder's deployed.json "
                        "does not say how to get there (it was exported from a checkpoint without data)")
    return x


def top_classes(logits: np.ndarray, classes: list[str], count: int = 5) -> list[dict]:
    """The best classes of one clip with their softmax scores."""
    scores = np.exp(logits - logits.max())
    scores /= scores.sum()
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
            for name, raw in clips.read_clip(path):
                logits = predictors[kind](prepare(raw, description, name)[None])[0]
                best = top_classes(logits, description["classes"])
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
