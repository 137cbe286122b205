"""Draws a clip: its skeleton as recorded, and below it what the input's augmentation makes of it
for training.

Run: python -m compress.show CLIP [--output clip.gif|clip.png]
     python -m compress.show --recipe NAME [-o key.path=value ...] [--split train|val] --index N [--output ...]

CLIP is a file that `compress.data.clips` reads. A .gif moves, a .png is a strip of frames. The last
line of stdout is one JSON object.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path

from teachers.terminal import interrupt

# isort: split
interrupt.while_loading(__name__)

import numpy as np

from compress import recipe as recipes, registry
from compress.data import clips, joint_maps, skeletons, survey
from compress.data.dataset import Dataset, Split
from compress.data.file_classes import label_of
from compress.inputs import view as views
from compress.process import console
from compress.recipe import overrides
from compress.reporting import drawing
from export.preprocess import ops
from teachers.errors import RecipeError
from teachers.skeleton import SKELETONS, UCLA_20, Skeleton
from teachers.terminal import ending
from teachers.terminal.arguments import Parser, given
from teachers.terminal.output import say

COMMAND = "python -m compress.show"
# Of a recipe's data, where nothing else is said.
SPLIT = "train"
# Of a strip, where nothing else is said.
FRAMES = 8


@dataclass(frozen=True)
class Subject:
    """What is drawn: a clip (C, T, V, M) with its name and class ("" where nobody says it), and how
    networks see what was `recorded`, perhaps in other joints."""

    name: str
    label: str
    clip: np.ndarray
    recorded: np.ndarray
    skeleton: Skeleton
    coordinates: int
    view: views.View


def parser(command: str = COMMAND) -> Parser:
    """The command line of `command`."""
    found = Parser(prog=command, description=__doc__.split("\n\n")[0])
    found.add_argument("clip", nargs="?", type=Path, help=f"a file: {clips.KINDS}")
    found.add_argument(
        "--recipe",
        help="a name in configs/, or a path: draws a clip of its data set, through its input",
    )
    overrides.add_option(found)
    found.add_argument("--split", choices=("train", "val"), help=f"of a recipe ({SPLIT})")
    found.add_argument("--index", type=int, default=0, help="which clip, from 0")
    found.add_argument(
        "--input",
        choices=registry.INPUTS.names(),
        help="of a file: the input pipeline to see it through",
    )
    found.add_argument(
        "--skeleton",
        choices=sorted(SKELETONS),
        help="of a file: its joints, where their number does not say it",
    )
    found.add_argument("--draws", type=int, default=1, help="rows of augmented views")
    found.add_argument("--frames", type=int, help=f"of a .png, a strip ({FRAMES})")
    found.add_argument("--seed", type=int, default=1)
    found.add_argument("--output", type=Path, default=Path("clip.gif"), help="a .gif or .png file")
    return found


@ending.command
def main(arguments: list[str] | None = None, command: str = COMMAND) -> int:
    """The command, called as `command`; returns the exit code."""
    options = parser(command).parse_args(arguments)
    _check(options)
    subject = from_file(options) if options.recipe is None else from_recipe(options)
    drawn = rows(subject, options.draws, options.seed)
    title = ": ".join(filter(None, (subject.label, subject.name)))
    picture = (
        drawing.animation(drawn, subject.skeleton, title)
        if options.output.suffix == ".gif"
        else drawing.strip(drawn, subject.skeleton, title, options.frames or FRAMES)
    )
    drawing.save(picture, options.output)
    say(f"{options.output}: {title}, {subject.clip.shape[1]} frames, {subject.skeleton.name}")
    ending.print_last_line(
        {
            "status": "drawn",
            "output": str(options.output),
            "clip": subject.name,
            "class": subject.label,
            "frames": subject.clip.shape[1],
            "skeleton": subject.skeleton.name,
            "input": subject.view.name,
        },
    )
    return 0


def _check(options: argparse.Namespace) -> None:
    """
    Raises:
        RecipeError: options that are wrong, or have no effect beside the others.
    """
    if options.output.suffix not in (".gif", ".png"):
        raise RecipeError(f"--output {options.output}: must end in .gif or .png")
    if (options.clip is None) == (options.recipe is None):
        raise RecipeError("give either a clip file, or --recipe with --index")
    of_file = options.recipe is None
    without_effect = ("split", "overrides") if of_file else ("input", "skeleton")
    useless = given(options, without_effect)
    if useless:
        beside = "a clip file, which is in no data set" if of_file else "--recipe, which says both"
        raise RecipeError(f"{', '.join(useless)}: has no effect with {beside}; leave it out")
    frames = FRAMES if options.frames is None else options.frames
    if min(options.draws, frames - 1) < 1:
        raise RecipeError("--draws: must be at least 1, --frames at least 2")
    if options.frames is not None and options.output.suffix == ".gif":
        raise RecipeError(
            f"--frames: counts those of a strip, and {options.output} shows the whole clip; leave it"
            " out, or give a .png as --output"
        )


def rows(subject: Subject, draws: int, seed: int) -> list[drawing.Row]:
    """The clip, and `draws` training views of it."""
    # Key points count from the top of the image, camera coordinates in metres grow upwards.
    down = subject.coordinates == 2
    found = [drawing.Row(f"the clip, {subject.clip.shape[1]} frames", subject.clip, down)]
    for number in range(draws):
        # A generator for each row, so that row 2 is the same picture however many are drawn.
        made = subject.view.augment(subject.recorded, np.random.default_rng([seed, number]))[
            : subject.coordinates
        ]
        found.append(
            drawing.Row(
                f"{subject.view.title}, training view {number + 1}: {made.shape[1]} frames",
                made,
                down,
            )
        )
    return found


def from_file(options) -> Subject:
    """The clip of a file; of several, number `--index`.

    Raises:
        DataError: the file cannot be read. RecipeError: nothing says its skeleton, or there is no
            such clip.
    """
    found = clips.read_clip(options.clip)
    name, clip = found[_checked(options.index, len(found), str(options.clip))]
    channels, _, joints, persons = clip.shape
    skeleton = skeletons.usual(joints, channels)
    if options.skeleton:
        skeleton = SKELETONS[options.skeleton]
    if skeleton is None or skeleton.joints != joints:
        known = " or ".join(skeletons.candidates(joints)) or "no known skeleton"
        raise RecipeError(
            f"{options.clip}: has {joints} joints of {channels} coordinates, {known} has as many;"
            f" give --skeleton one of {', '.join(sorted(SKELETONS))}"
        )
    # The usual inputs of PYSKL, NW-UCLA and NTU, whose files these most likely are.
    pipeline = options.input or (
        "uniform" if channels == 2 else "min_max_sample" if skeleton is UCLA_20 else "crop_resize"
    )
    # Inputs are built for a data set, of which they ask the shape and none of its clips.
    empty = Split((), (), np.zeros(0, np.int64))
    dataset = Dataset(
        "file", empty, empty, (), skeleton, persons, channels, "", coordinates=channels
    )
    config = registry.INPUTS.load(pipeline).Config()
    # Prepared NTU files pad every clip to 300 frames, of which most would show nobody.
    clip = ops.trim(clip)
    return Subject(
        name,
        label_of(name),
        clip,
        clip,
        skeleton,
        channels,
        _joints(pipeline, config, dataset, skeleton),
    )


def from_recipe(options) -> Subject:
    """Clip `--index` of the recipe's data set.

    Raises:
        RecipeError, DataError: the recipe or its data cannot be used, or there is no such clip.
    """
    recipe = recipes.load(options.recipe, options.overrides)
    module = registry.DATA_SETS.load(recipe.data.name)
    with console.reading() as progress:
        dataset = survey.examine(module.load(recipe.data.config, recipe.seed, progress))
    bringing = joint_maps.bring(recipe.skeleton, dataset)
    part = options.split or SPLIT
    split = getattr(dataset, part)
    index = _checked(options.index, len(split), f"the {part} split of {dataset.name}")
    if recipe.input is None:  # `recipe/inputs.py` fills it in for every known data set
        raise RecipeError("input: this recipe says no input to draw clips through")
    clip = split.clips[index]
    return Subject(
        split.names[index],
        dataset.classes[int(split.labels[index])],
        # All rows of a drawing have one skeleton, the network's.
        ops.apply(clip, bringing.steps),
        clip,
        bringing.skeleton,
        dataset.coordinates,
        _joints(recipe.input.name, recipe.input.config, dataset, bringing.skeleton, bringing),
    )


def _joints(
    pipeline: str,
    config,
    dataset: Dataset,
    skeleton: Skeleton,
    bringing: joint_maps.Bringing | None = None,
) -> views.View:
    """The input's view, of joints where it would make another stream of them, which is no picture
    of a body."""
    if hasattr(config, "stream"):
        config = dataclasses.replace(config, stream="joint")
    return views.build(pipeline, config, dataset, skeleton, bringing)


def _checked(index: int, count: int, where: str) -> int:
    if not 0 <= index < count:
        raise RecipeError(
            f"--index {index}: {where} has {count} clip{'s' * (count != 1)}, numbered 0 to"
            f" {count - 1}"
        )
    return index


if __name__ == "__main__":
    sys.exit(main())
