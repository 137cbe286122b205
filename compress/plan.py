"""What a run will do, worked out once before it starts: every network, its place in the data, its
spec after every step, the weights files it begins with, and what a person should know."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from paddle import nn

from compress import contracts
from compress.data import copies, parts, survey, unread
from compress.data.dataset import Callback, Dataset
from compress.inputs import in_network
from compress.recipe import trainings
from compress.recipe.types import QUANTISING, Choice, Member, Recipe, Step as StepEntry
from compress.task import Task, check_frames, check_freeze, load_weights, spec_for, task_for
from export.flat import continual
from export.formats import table
from export.preprocess import framewise
from teachers import ensemble, stages
from teachers.errors import DataError, RecipeError
from teachers.networks import Spec
from teachers.skeleton import Brought, Skeleton, named
from teachers.weights import checkpoints
from teachers.weights.transfer import Head


@dataclass(frozen=True)
class Weights:
    """A weights file of the recipe, read.

    Attributes:
        path: as the recipe has it, with its `#Teacher`.
        sha256: of the file's content.
        network: what it holds, in evaluation mode; a network of its own for everyone who names the
            file.
        notes: what is different here from its training, in words.
    """

    path: str
    sha256: str
    network: nn.Layer
    notes: tuple[str, ...] = ()

    @property
    def content(self) -> list[str | None]:
        """What decides the network: the file's hash, and the part of the file that was taken."""
        # Never the path: a file that was moved or renamed holds the same network.
        return [self.sha256, checkpoints.file_and_part(self.path)[1]]


@dataclass(frozen=True)
class PlannedTeacher:
    """A network of the teacher. `weights` None: it is trained first."""

    member: Member
    task: Task
    spec: Spec
    weights: Weights | None


@dataclass(frozen=True)
class PlannedStudent:
    """The student before the first step. `weights` None: a copy of the first teacher, or fresh."""

    task: Task
    spec: Spec
    weights: Weights | None


@dataclass(frozen=True)
class PlannedStep:
    """A step of the recipe, switched off or not.

    Attributes:
        number: counted from 1, switched off ones too, as file names and seeds are.
        spec: the student's after it.
    """

    number: int
    entry: StepEntry
    module: contracts.Step
    spec: Spec

    @property
    def title(self) -> str:
        """What it does, in words."""
        return self.module.title(self.entry.config)


@dataclass(frozen=True)
class Plan:
    """All of a run that is decided before it starts. Made by `make`, printed by `reporting/planned.py`,
    carried out by `pipeline.py`."""

    recipe: Recipe
    dataset: Dataset
    teachers: tuple[PlannedTeacher, ...]
    student: PlannedStudent
    steps: tuple[PlannedStep, ...]
    notes: tuple[str, ...]

    @property
    def final_spec(self) -> Spec:
        """The student's spec after the last step."""
        return self.steps[-1].spec if self.steps else self.student.spec

    @property
    def weights(self) -> tuple[Weights, ...]:
        """The weights files that were read, the teacher's first."""
        read = [teacher.weights for teacher in self.teachers] + [self.student.weights]
        return tuple(weights for weights in read if weights is not None)


def make(recipe: Recipe, dataset: Dataset) -> Plan:
    """The plan of a recipe on its data set. What does not fit is found here, before hours of work.

    Raises:
        CheckpointError: a weights file that cannot be used, or is for other data.
        RecipeError: a skeleton, an input, a block, a step or a list of class weights that does not
            fit.
    """
    recipe = trainings.with_epochs(recipe, len(dataset.train))
    _check_class_weights(recipe, dataset)
    reader = _Reader()
    teacher_tasks, student_task = tasks(recipe, dataset)
    teachers = tuple(
        _teacher(member, task, reader)
        for member, task in zip(recipe.teacher.members, teacher_tasks, strict=True)
    )
    student = _student(recipe, student_task, teachers, reader)
    for teacher in teachers:
        check_freeze("teacher.train", teacher.member.train, teacher.spec, teacher.weights is None)
        check_frames("teacher.train", teacher.member.train, teacher.spec)
    steps = []
    spec = student.spec
    fresh = recipe.student.network is not None and student.weights is None
    # One after the other: each step must fit the network that the one before it leaves.
    for number, entry in enumerate(recipe.steps, start=1):
        module = contracts.step(entry.kind)
        if entry.enabled:
            spec = module.spec_after(spec, entry.config)
            place = f"steps[{number - 1}].{entry.kind}"
            check_freeze(place, trainings.of(entry), spec, fresh)
            check_frames(place, trainings.of(entry), spec)
            fresh = fresh and trainings.of(entry) is None
        steps.append(PlannedStep(number, entry, module, spec))
    remarks = [*notes(recipe, dataset)]
    for task in (*teacher_tasks, student_task):
        remarks += task.view.notes
    for weights in (student.weights, *(teacher.weights for teacher in teachers)):
        remarks += weights.notes if weights is not None else ()
    remarks += _scaled_rates(recipe)
    remarks += _unreached(recipe)
    remarks += _continual(recipe, spec, student_task)
    if recipe.seeds > 1:
        remarks.append(
            f"seeds: all of it is run {recipe.seeds} times, with the seeds"
            f" {', '.join(map(str, recipe.run_seeds))}, in a folder each"
        )
    if any(member.compare_scratch for member in recipe.teacher.members):
        remarks.append(
            "teacher.compare_scratch: the teacher is trained once more from nothing, with the same"
            " schedule, so that its training takes twice as long"
        )
    # Networks that share an input would say the same thing again; order is kept
    return Plan(recipe, dataset, teachers, student, tuple(steps), tuple(dict.fromkeys(remarks)))


def _continual(recipe: Recipe, spec: Spec, task: Task) -> list[str]:
    """What a person should know of the format continual, where it is written.

    Raises:
        RecipeError: the network, its rounding or its input has no continual form.
    """
    if table.CONTINUAL not in recipe.export.formats:
        return []
    rounded = any(step.enabled and step.kind in QUANTISING for step in recipe.steps)
    try:
        recipe.export.options.require_continual(spec.network, rounded)
        framewise.of_stream(task.view.eval_ops)
    except ValueError as problem:
        raise RecipeError(f"export.{problem}") from problem
    except DataError as problem:
        raise RecipeError(f"export.formats: continual: {problem}") from problem
    delay = continual.delay_of(cast("stages.Spec", spec))
    return [
        (
            f"export.formats: continual: answers are about frames that are {delay} and more back, as"
            f" convolutions look ahead; clips have {spec.input_shape[1]}"
        )
    ]


def load_data(recipe: Recipe, callback: Callback | None = None) -> Dataset:
    """The recipe's data set, looked at for what would be misread in silence; `callback(done, total)`
    hears how far reading it is.

    Raises:
        DataError: see `compress.contracts.DataSet.load` and `compress.data.survey.examine`.
    """
    module = contracts.data_set(recipe.data.name)
    # The seed too: the built-in clips are generated from it.
    seed = recipe.seed if recipe.data_seed is None else recipe.data_seed
    dataset = module.load(recipe.data.config, seed, callback)
    if recipe.leave_out:
        dataset = parts.left_out(dataset, recipe.leave_out)
    # Before clips are held out: those that choose the epoch are as well known as those trained on.
    dataset = copies.marked(survey.examine(dataset), callback)
    if recipe.select_on == "holdout":
        dataset = parts.held_out(dataset, recipe.holdout, seed)
    return dataset


def tasks(recipe: Recipe, dataset: Dataset) -> tuple[list[Task], Task]:
    """(the task of each teacher network, the student's); opens no weights.

    Raises:
        RecipeError: see `compress.task.task_for`.
    """
    teachers = [task_for(recipe, dataset, member.input) for member in recipe.teacher.members]
    if recipe.student.from_ == "ensemble":
        return teachers, _of_joints(recipe, dataset, teachers)
    student_input = recipe.student.input
    # A copy of the teacher sees what the teacher sees. The very same task, not an equal one: views
    # are prepared once for all who share one.
    student = teachers[0] if student_input is None else task_for(recipe, dataset, student_input)
    return teachers, student


def _of_joints(recipe: Recipe, dataset: Dataset, teachers: list[Task]) -> Task:
    """The task of all the teacher's networks as one.

    Raises:
        RecipeError: it could not make their streams itself.
    """
    inputs = [member.input for member in recipe.teacher.members]
    made = in_network.kinds([each.config for each in inputs if each is not None])
    if "joint" in made:
        task = teachers[made.index("joint")]
    else:
        assert inputs[0] is not None
        config = in_network.of_joints(inputs[0].config)
        task = task_for(recipe, dataset, replace(inputs[0], config=config))
    in_network.require(task.view, [each.view for each in teachers], made, task.skeleton)
    return task


def task_without_data(recipe: Recipe, choice: Choice | None, spec: Spec, where: str) -> Task:
    """The place of a network whose checkpoint is at hand and whose data are not: a view of clips as
    the recipe's data set would hold them.

    Args:
        choice: the input.
        where: the checkpoint, for messages.
    Raises:
        RecipeError: the input makes of no clips what the network takes.
    """
    known = contracts.unread(recipe.data.name, recipe.data.config, spec.classes)
    persons = spec.input_shape[3]
    problem = None
    recorded = _recorded(recipe, spec.skeleton, where)
    for dataset in unread.datasets(recipe.data.name, known, recorded, persons):
        try:
            task = task_for(recipe, dataset, choice)
        # Of two coordinates where the input needs three, or the other way round.
        except RecipeError as error:
            problem = problem or error
            continue
        if task.view.shape == spec.input_shape:
            return task
        problem = problem or RecipeError(
            f"{where}: its input (C, T, V, M) is {spec.input_shape}, and input {task.view.name!r} of"
            f" {recipe.name} makes {task.view.shape}; give the recipe that it was trained with"
        )
    assert problem is not None
    raise problem


def _recorded(recipe: Recipe, skeleton: Skeleton, where: str) -> Skeleton:
    """The skeleton of clips that nobody has read: the network's, or the one they are brought from."""
    if not isinstance(recipe.skeleton, Brought):
        return skeleton
    if recipe.skeleton.from_ is None:
        raise RecipeError(
            f"{where}: skeleton.from: without data nothing says what joints clips are recorded with;"
            " name their skeleton"
        )
    return named(recipe.skeleton.from_)


def notes(recipe: Recipe, dataset: Dataset) -> tuple[str, ...]:
    """What a person should know before hours of work: of the data, and of the recipe."""
    # The same thing may be said of several members of an ensemble; order is kept
    return tuple(dict.fromkeys([*dataset.notes, *recipe.notes]))


def _check_class_weights(recipe: Recipe, dataset: Dataset) -> None:
    """
    Raises:
        RecipeError: a training has not one weight for each class of the data.
    """
    classes = dataset.classes
    for place, training, _ in trainings.every(recipe):
        weights = training.class_weights if training is not None else None
        if isinstance(weights, tuple) and len(weights) != len(classes):
            raise RecipeError(
                f"{place}.class_weights: has {len(weights)} weights, data set {dataset.name!r}"
                f" {len(classes)} classes; give one weight each, in this order:"
                f" {', '.join(classes[:12])}{', ...' if len(classes) > 12 else ''}"
            )


def _scaled_rates(recipe: Recipe) -> list[str]:
    """What `auto_scale_lr` makes of the rates, in words: nobody wrote the rate that is used."""
    notes = []
    for place, training, done in trainings.every(recipe):
        if training is not None and done and training.rate_note:
            notes.append(f"{place}: {training.rate_note}")
    return notes


def _unreached(recipe: Recipe) -> list[str]:
    """Trainings that end before their rate falls, in words: a schedule of more epochs was shortened."""
    return [
        f"{place}: ends after {training.epochs} epochs, before the rate falls"
        f" (milestones {', '.join(map(str, training.milestones))}): all of it is trained with"
        f" lr {training.lr * training.lr_factor:g}"
        for place, training, done in trainings.every(recipe)
        if training is not None and done and min(training.milestones, default=0) >= training.epochs
    ]


class _Reader:
    """Opens every weights file once, however many networks are read from it.

    Hashed and read from the same bytes: a file that is replaced between two openings would be known
    by the hash of one network and hold another.
    """

    def __init__(self) -> None:
        self._contents: dict[Path, bytes] = {}

    def read(self, path: str, task: Task, network: Choice, head: Head | None) -> Weights:
        file = checkpoints.file_and_part(path)[0]
        if file not in self._contents:
            self._contents[file] = checkpoints.content(path)
        # Bytes are shared, networks are not: two who name one file must not train the same layers.
        data = self._contents[file]
        layers, differences = load_weights(path, task, network, data, head)
        return Weights(path, hashlib.sha256(data).hexdigest(), layers, tuple(differences))


def _teacher(member: Member, task: Task, reader: _Reader) -> PlannedTeacher:
    if member.weights is None:
        return PlannedTeacher(member, task, spec_for(member.network, task), None)
    head = member.head if member.finetune else None
    weights = reader.read(member.weights, task, member.network, head)
    # The file's spec, not the recipe's: what it holds may have been pruned.
    return PlannedTeacher(member, task, weights.network.spec, weights)


def stream_of(member: Member) -> str:
    """The stream that a network of an ensemble sees, whose input has that key."""
    config: Any = member.input.config if member.input is not None else None
    return str(config.stream)


def _student(
    recipe: Recipe, task: Task, teachers: tuple[PlannedTeacher, ...], reader: _Reader
) -> PlannedStudent:
    chosen = recipe.student
    if chosen.from_ == "ensemble":
        named_specs = [(stream_of(each.member), each.spec) for each in teachers]
        return PlannedStudent(task, ensemble.spec_of(named_specs), None)
    first_teacher = teachers[0]
    network = chosen.network or first_teacher.member.network
    if chosen.weights is not None:
        trains = any(step.enabled and step.kind == "train" for step in recipe.steps)
        weights = reader.read(chosen.weights, task, network, "auto" if trains else None)
        return PlannedStudent(task, weights.network.spec, weights)
    if chosen.network is not None:
        return PlannedStudent(task, spec_for(network, task), None)
    # A teacher's weights file may hold a pruned network, so its spec counts, not the recipe's
    return PlannedStudent(task, first_teacher.spec, None)
