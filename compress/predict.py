"""Classify clips with a deployed folder, one of its model files or a weights file: class, score and
top-5.

Run: python compress/predict.py runs/NAME/deploy CLIP [CLIP ...] [--runtime paddle|onnx]

A CLIP is a file of any format that the data readers know, a folder of such files, a .txt list with a
path on every line, or a .pkl of PYSKL or mmaction2. A clip that cannot be read is named, the rest
are answered, and the exit code is 1. The last line of stdout is JSON. With --follow or --serve live
poses are followed, and events printed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    # A script's own folder comes first in sys.path; imports here begin at the repository root.
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from teachers.terminal import interrupt

# isort: split
interrupt.while_loading(__name__)

import numpy as np

from compress.data import clip_list
from compress.data.clip_list import Clip
from compress.live import follow
from export import deployed
from export.formats import table
from export.preprocess import published
from export.serving import (
    NOT_FINITE,
    finite_rows,
    image_of,
    prepare,
    recording,
    save_answers,
    scores_of,
    too_short,
    top_classes,
)
from teachers.errors import DataError, RecipeError, printable
from teachers.terminal import ending
from teachers.terminal.arguments import Parser, given as given_options
from teachers.terminal.output import say, show
from teachers.weights import hint_options
from teachers.weights.hint_options import Options

COMMAND = "python compress/predict.py"
# Of the line for each clip, and of `top5` in the JSON.
TOP = 5
# Options of a weights file, which a deployed folder has no use for.
HINTS = ("recipe", "overrides", "frames", "persons", "skeleton", "classes")
# Options of clips, and of live poses.
OF_CLIPS = ("top", "batch_size", "scores", "embeddings")
OF_LIVE = ("answers", "fps", "from_skeleton")


@dataclass(frozen=True)
class Answer:
    """Scores (K,) of a clip and, where they were asked for, its features (D,), both the mean over
    its views."""

    clip: Clip
    scores: np.ndarray
    features: np.ndarray | None


@ending.command
def main(
    arguments: list[str] | None = None, command: str = COMMAND, hints: Options = hint_options
) -> int:
    """The command, called as `command`; returns the exit code.

    Args:
        hints: the options that say what a published checkpoint does not.
    """
    parser = _parser(command)
    hints.add_options(parser)
    # Clips may stand behind options, or be left out; plain parsing has no way for both.
    options = parser.parse_intermixed_args(arguments)
    _check(options)
    if follow.is_asked(options):
        return follow.run(options, _demo(options))
    if not options.clips:
        raise RecipeError(f"{options.model}: name a CLIP, or follow live poses (--follow, --serve)")
    model = _opened(options, hints)
    temperature = model.description.temperature
    if temperature is not None:
        _say_note(f"scores are calibrated: temperature {temperature:g} of {deployed.NAME}")
    files = clip_list.files_of(options.clips)
    clips = clip_list.read(files, recording(model.description), image_of(model.description))
    failed: list[dict[str, str]] = []
    answers: list[Answer] = []
    results = []
    for answer in _answers(model, clips, options.batch_size or 1, failed):
        results.append(_result(answer, model.description, options.top))
        _print_line(results[-1])
        if options.scores or options.embeddings:
            answers.append(answer)
    if options.scores:
        save_answers(options.scores, _columns(answers, "scores"), model.description)
    if options.embeddings:
        save_answers(options.embeddings, _columns(answers, "embeddings"), model.description)
    return _end(model, results, failed)


def _parser(command: str) -> Parser:
    parser = Parser(
        prog=command, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "model",
        type=deployed.place,
        help="a deployed folder or zoo:NAME, a model file in a folder, or a weights file",
    )
    parser.add_argument(
        "clips", nargs="*", type=Path, help="clip files, folders of them, lists of paths (.txt)"
    )
    parser.add_argument(
        "--runtime", choices=table.names(), help="default: onnx if the folder has it"
    )
    parser.add_argument(
        "--top", type=_positive, default=None, metavar="N", help=f"classes a clip (default {TOP})"
    )
    parser.add_argument(
        "--batch-size", type=_positive, default=None, metavar="N", help="clips at once (default 1)"
    )
    parser.add_argument(
        "--scores", type=_table_file, metavar="FILE", help="write all scores to a .npz or .json"
    )
    parser.add_argument(
        "--embeddings",
        type=_table_file,
        metavar="FILE",
        help="write the features in front of the classifier to a .npz or .json",
    )
    follow.add_options(parser)
    return parser


def _check(options: argparse.Namespace) -> None:
    """That every option has an effect in the way that is asked for.

    Raises:
        RecipeError: one has none.
    """
    if options.follow and options.serve is not None:
        raise RecipeError(
            "--follow, --serve: are two ways to follow live poses; leave one of them out"
        )
    if not follow.is_asked(options):
        given = given_options(options, OF_LIVE)
        if given:
            ways = "--follow" if given == ["--answers"] else "--follow or --serve"
            raise RecipeError(
                f"{', '.join(given)}: live poses alone have a use for that; leave it out, or add {ways}"
            )
        return
    way = "--follow" if options.follow else "--serve"
    given = given_options(options, OF_CLIPS)
    if given:
        raise RecipeError(
            f"{', '.join(given)}: {way} has no use for that; leave it out, or classify CLIPs without"
            f" {way}"
        )
    given = given_options(options, HINTS)
    if given:
        raise RecipeError(
            f"{', '.join(given)}: {way} takes a deployed folder, which says all of itself; leave it"
            " out, or give it to featherbone export to have a folder made of a weights file"
        )
    if options.answers and not options.follow:
        raise RecipeError(
            "--answers: --serve answers every window in its replies; leave it out, or take --follow"
        )


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number


def _table_file(text: str) -> Path:
    # Before any work: an hour of answers must not end in a wrong name.
    if Path(text).suffix not in (".npz", ".json"):
        raise argparse.ArgumentTypeError(f"{text} ends neither in .npz nor in .json")
    return Path(text)


def _demo(options: argparse.Namespace) -> Iterator[tuple[str, np.ndarray]]:
    """The clips that the page of --serve plays."""
    # A model file is in its folder.
    folder = options.model if options.model.is_dir() else options.model.parent
    description = deployed.read(folder)
    files = clip_list.files_of(options.clips)
    for clip in clip_list.read(files, recording(description), image_of(description)):
        if clip.raw is None:
            raise DataError(clip.problem)
        yield clip.name, clip.raw


def _opened(options: argparse.Namespace, hints: Options) -> deployed.Served:
    """The model that answers."""
    features = options.embeddings is not None
    target = options.model
    if not _is_weights(target):
        given = given_options(options, HINTS)
        if given:
            raise RecipeError(f"{target}: says all of itself; leave {', '.join(given)} out")
        return deployed.open_deployed(target, options.runtime, features, on_note=_say_note)
    if options.runtime == "onnx":
        raise DataError(
            f"{target}: a weights file is answered by Paddle; leave --runtime out, or export it"
            " first (featherbone export)"
        )
    # Late: Paddle is not needed where ONNX Runtime answers.
    from teachers.weights import checkpoints

    spec, state, said = hints.read(str(target), options)
    network = checkpoints.network_of(spec, state, str(target))
    about, notes = published.complete(spec, state, said, str(target))
    for note in notes:
        _say_note(note)
    return deployed.in_process(network, about, target, features)


def _is_weights(target: Path) -> bool:
    # `FILE#Teacher` and `FILE#ema` are parts of a file.
    file = target if target.exists() else Path(str(target).rpartition("#")[0])
    return file.is_file() and file.suffix not in table.model_suffixes()


def _say_note(note: str) -> None:
    say(f"note: {note}")


def _answers(
    model: deployed.Served, clips: Iterable[Clip], batch_size: int, failed: list[dict[str, str]]
) -> Iterator[Answer]:
    """An answer for every clip that has one; `failed` gets the others, which are named at once."""
    batch: list[tuple[Clip, np.ndarray]] = []
    said: set[str] = set()
    for clip in clips:
        short = None if clip.raw is None else too_short(clip.raw, model.description)
        # Once for all clips: a thousand files of one recorder have the same to say.
        for note in (*clip.notes, *([short] if short else [])):
            if note not in said:
                said.add(note)
                _say_note(f"{note} (first in {clip.file})")
        try:
            if clip.raw is None:
                raise DataError(clip.problem)
            # Every view that validation averaged: one alone falls short of its accuracy.
            views = [
                prepare(clip.raw, model.description, clip.name, number)
                for number in range(model.description.views)
            ]
        except DataError as error:
            failed.append(_failure(clip, str(error)))
            continue
        batch.append((clip, np.stack(views)))
        if len(batch) == batch_size:
            yield from _run(model, batch, failed)
            batch = []
    if batch:
        yield from _run(model, batch, failed)


def _failure(clip: Clip, error: str) -> dict[str, str]:
    return {"clip": clip.name, "file": str(clip.file), "error": error}


def _run(
    model: deployed.Served, batch: list[tuple[Clip, np.ndarray]], failed: list[dict[str, str]]
) -> Iterator[Answer]:
    logits, features = model.run(np.concatenate([views for _, views in batch]))
    logits = np.asarray(logits)
    count = model.description.views
    finite = finite_rows(logits, count * len(batch), model.description, batch[0][0].name)
    for number, (clip, _) in enumerate(batch):
        rows = slice(number * count, (number + 1) * count)
        if not finite[rows].all():
            failed.append(_failure(clip, f"{clip.name}: {NOT_FINITE}"))
            continue
        mean = None if features is None else features[rows].mean(axis=0)
        yield Answer(clip, scores_of(logits[rows], model.description.temperature), mean)


def _result(answer: Answer, description: deployed.Description, top: int | None) -> dict[str, Any]:
    best = top_classes(answer.scores, description.classes, max(TOP, top or TOP))
    result = {"clip": answer.clip.name, **best[0], "top5": best[:TOP]}
    if top is not None:
        result["top"] = best[:top]
    return result


def _print_line(result: dict[str, Any]) -> None:
    first, *others = result.get("top", result["top5"])
    show(
        f"{printable(result['clip'])}: {first['class']} ({100 * first['score']:.1f}%)   "
        + ", ".join(f"{each['class']} {100 * each['score']:.1f}%" for each in others)
    )


def _columns(answers: list[Answer], what: str) -> dict[str, Any]:
    """The names of the clips, and what is kept of their answers, a row a clip."""
    rows = [each.scores if what == "scores" else each.features for each in answers]
    return {"clips": [each.clip.name for each in answers], what: np.array(rows, np.float32)}


def _end(
    model: deployed.Served, results: list[dict[str, Any]], failed: list[dict[str, str]]
) -> int:
    content: dict[str, object] = {
        "runtime": model.runtime,
        "temperature": model.description.temperature,
        "clips": results,
    }
    if not failed:
        if len(results) == 1:
            # As PaddleVideo's tools/predict.py prints them, for scripts that read its output.
            show(f"    top-1 class: {results[0]['id']}")
            show(f"    top-1 score: {results[0]['score']}")
        ending.print_last_line(content)
        return 0
    if not results and len(failed) == 1:
        raise DataError(failed[0]["error"])
    reasons = "\n  ".join(each["error"] for each in failed)
    return ending.fail(
        f"{len(failed)} of {len(failed) + len(results)} clips were not answered:\n  {reasons}",
        DataError.exit_code,
        **content,
        failed=failed,
    )


if __name__ == "__main__":
    sys.exit(main())
