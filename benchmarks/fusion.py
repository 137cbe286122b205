"""Fuse several networks or saved scores: each stream alone, and all together with given or found
weights.

Run: python benchmarks/fusion.py --recipe ctrgcn_lite_4stream_kd [-o data.name=nw_ucla -o
     data.root=FOLDER] [--dump DIR]
     python benchmarks/fusion.py --recipe NAME --weights 2,1,2,1 joint.npz joint_motion.npz bone.npz bone_motion.npz

Without a SOURCE the networks are those of the recipe's `teacher.ensemble`, with its weights. A
SOURCE is a weights file of a run (it knows its stream), scores that `--dump` wrote, or the
`result.pkl` of PYSKL or mmaction2 1.x, which is in the order of the split; all must be of the
recipe's validation split. Weights of the literature: two streams 1,1; joint, joint motion,
bone, bone motion 2,1,2,1 (PYSKL); joint, bone, joint motion, bone motion 0.6,0.6,0.4,0.4 (CTR-GCN).
`--weights find` searches them on the split, and says what such weights are worth on clips they were
not found on.
"""

from __future__ import annotations

import re
import sys
from dataclasses import asdict, replace
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import teachers  # noqa: F401  (prepares the process for Paddle)

# isort: split
import numpy as np

from benchmarks.tables import write_csv
from compress import recipe as recipes
from compress.evaluation import accuracy, fusion, result_files, scores
from compress.evaluation.evaluate import EvaluationSet, accuracy as judged, softmax
from compress.plan import load_data, tasks
from compress.process import console, device
from compress.recipe import overrides
from compress.task import as_saved, load_weights
from compress.training.model import Model
from export.runtimes import in_process
from teachers.errors import CheckpointError, FeatherboneError, RecipeError
from teachers.terminal import ending
from teachers.terminal.arguments import Parser
from teachers.terminal.output import say, show
from teachers.terminal.tables import Table

# Weights files of PYSKL are called .pth, Paddle's .pdparams; no network comes as a bare .pkl.
RESULT_FILES = (".pkl", ".pickle")


def of_recipe(recipe, dataset) -> tuple[list[scores.Scores], tuple[float, ...]]:
    """The scores and weights of a recipe's ensemble; its networks must have weights."""
    teacher_tasks, _ = tasks(recipe, dataset)
    found = []
    for number, (member, task) in enumerate(
        zip(recipe.teacher.members, teacher_tasks, strict=True), start=1
    ):
        # Nothing is trained here, and a fresh network's scores would be noise in the sum.
        if member.weights is None:
            raise RecipeError(
                f"teacher.ensemble[{number - 1}]: has no `weights`; run compress/run.py with this"
                " recipe first, and give the files of its weights/ folder as SOURCEs"
            )
        network, _ = load_weights(member.weights, task, member.network)
        found.append(
            judge(
                Model(network, task.view),
                f"{number} {member.network.name}, {task.view.title}",
                dataset,
            )
        )
    return found, tuple(member.weight for member in recipe.teacher.members)


def of_source(path: Path, dataset) -> scores.Scores:
    """Saved scores, PYSKL's or mmaction2's `result.pkl`, or those of a weights file of a run."""
    if path.suffix in RESULT_FILES:
        return result_files.load(
            path, tuple(dataset.val.names), np.asarray(dataset.val.labels), len(dataset.classes)
        )
    try:
        # Both are .npz files; the content says which of them it is.
        return scores.load(path)
    except FeatherboneError:
        model = as_saved(path, dataset)
        return judge(model, f"{path}: {model.network.spec.network}, {model.view.title}", dataset)


def on_one_scale(several: list[scores.Scores]) -> list[scores.Scores]:
    """The same, as probabilities where some are: a logit of 12 beside a probability would be the
    whole sum. All of one kind stay as they are, so that PYSKL's files fuse to PYSKL's numbers."""
    softmaxed = [result_files.are_probabilities(each.logits) for each in several]
    if all(softmaxed) or not any(softmaxed):
        return several
    say("note: some files hold probabilities, so all are fused as probabilities, not as logits")
    return [
        each if done else replace(each, logits=softmax(each.logits))
        for each, done in zip(several, softmaxed, strict=True)
    ]


def judge(model: Model, title: str, dataset) -> scores.Scores:
    """One network's scores on the validation split."""
    # Through the network's own view: members differ in stream and in clips a sample.
    clips = EvaluationSet(dataset.val, model.view, model.view.clips)
    _, logits = accuracy.score(title, in_process(model.network), clips)
    return scores.Scores(title, tuple(dataset.val.names), np.asarray(dataset.val.labels), logits)


def parse_weights(
    text: str | None, given: tuple[float, ...], count: int
) -> tuple[float, ...] | None:
    """The weights asked for; None: find them."""
    if text == "find":
        return None
    try:
        weights = tuple(map(float, text.split(","))) if text else given
    except ValueError as error:
        raise RecipeError(f"--weights {text}: expected numbers such as 2,1,2,1, or find") from error
    # A weight of 0 would be an ensemble of fewer networks that says it has more.
    if len(weights) != count or min(weights) <= 0:
        raise RecipeError(
            f"--weights: {count} networks need {count} weights above 0, got"
            f" {', '.join(f'{one:g}' for one in weights)}"
        )
    return weights


def main(arguments: list[str] | None = None) -> int:
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--recipe", required=True, help="whose data, and whose teacher.ensemble without a SOURCE"
    )
    overrides.add_option(parser)
    parser.add_argument("--device", choices=("auto", "cpu", "gpu"), default="auto")
    parser.add_argument(
        "--weights", help="comma-separated, in the order of the networks, or `find`"
    )
    parser.add_argument("--dump", type=Path, help="write each network's scores into this folder")
    parser.add_argument("--csv", type=Path, help="write the table as CSV")
    parser.add_argument("sources", nargs="*", type=Path, metavar="SOURCE")
    options = parser.parse_args(arguments)
    try:
        device.select(options.device)
        recipe = recipes.load(options.recipe, options.overrides)
        with console.reading() as progress:
            dataset = load_data(recipe, progress)
        if options.sources:
            found, given = (
                [of_source(path, dataset) for path in options.sources],
                (1.0,) * len(options.sources),
            )
        else:
            found, given = of_recipe(recipe, dataset)
        rows, weights = compare(
            on_one_scale(scores.aligned(found)), parse_weights(options.weights, given, len(found))
        )
        if options.dump:
            for one in found:
                scores.save(
                    options.dump / (re.sub(r"\W+", "_", one.title).strip("_") + ".npz"), one
                )
        if options.csv:
            write_csv(options.csv, rows, ("name", "weight", "top1", "top5", "class_mean"))
    except FeatherboneError as error:
        say(f"error: {error}")
        return error.exit_code
    accuracies = ("top1", "top5", "class_mean")
    cells = [
        (row["name"], row["weight"], *(f"{row[key]:.2f}" for key in accuracies)) for row in rows
    ]
    show(Table(("network", "weight", "top-1", "top-5", "class mean"), cells))
    ending.print_last_line(
        {
            "data": dataset.name,
            "clips": len(dataset.val),
            "weights": list(weights),
            "rows": rows,
        },
    )
    return 0


def compare(
    found: list[scores.Scores], weights: tuple[float, ...] | None
) -> tuple[list[dict], tuple[float, ...]]:
    """(a row for each network and for the fusion, the weights); weights None: found on these
    scores."""
    if len(found) < 2:
        raise CheckpointError("fusion needs two networks or more")
    logits = [one.logits for one in found]
    labels = found[0].labels
    searched = weights is None
    if weights is None:
        weights = fusion.find_weights(logits, labels)
    rows: list[dict] = [
        {"name": one.title, "weight": f"{weight:g}", **asdict(judged(one.logits, labels))}
        for one, weight in zip(found, weights, strict=True)
    ]
    rows.append(
        {"name": "fusion", "weight": "", **asdict(judged(fusion.fuse(logits, weights), labels))}
    )
    if searched:
        rows[-1]["name"] = "fusion, weights found on these clips"
        # Weights that were found on the clips that judge them flatter; the other half tells by how
        # much.
        rows[-1]["cross_validated_top1"] = fusion.cross_validated(logits, labels)
        say(
            "weights of one half of the clips judge the other half to"
            f" {rows[-1]['cross_validated_top1']:.2f} %"
        )
    return rows, weights


if __name__ == "__main__":
    sys.exit(main())
