"""What a run will do, worked out before it starts: specs of every network after every step, and
what a person should know."""

from __future__ import annotations

from compress import registry
from compress.process import console
from compress.recipe.types import Recipe
from compress.task import Seat, load_weights, seat, spec_for

FEW, ENOUGH = 100, 300  # iterations of a training that starts from nothing


def notes(recipe, dataset) -> tuple[str, ...]:
    """What a person should know before hours of work: of the data, of the recipe, and of a
    teacher's training that is over before it begins."""
    found, single, clips = (
        [*dataset.notes, *recipe.notes],
        len(recipe.teacher.members) == 1,
        len(dataset.train),
    )
    for number, member in enumerate(recipe.teacher.members):
        if member.weights is not None or member.train is None:
            continue
        each = -(-clips // member.train.batch_size)
        if each * member.train.epochs < FEW:
            place = (
                "teacher.train"
                if single or member.train == recipe.teacher.members[0].train
                else f"teacher.ensemble[{number}].train"
            )
            found.append(
                f"{place}: {member.train.epochs} epochs of {clips} clips are"
                f" {each * member.train.epochs} iterations, few for a network that learns from"
                f" nothing; raise {place}.epochs, to {-(-ENOUGH // each)} for example, and those of"
                " the steps"
            )
    return tuple(dict.fromkeys(found))


def load_data(recipe: Recipe):
    """The recipe's data set, with progress."""
    module = registry.DATA_SETS.load(recipe.data.name)
    return module.load(recipe.data.config, recipe.seed, console.reading())


def seats(recipe: Recipe, dataset) -> tuple[list[Seat], Seat]:
    """(a seat for each teacher network, the student's seat)."""
    teachers = [seat(recipe, dataset, member.input) for member in recipe.teacher.members]
    own = recipe.student.input
    return teachers, teachers[0] if own is None else seat(recipe, dataset, own)


def planned_specs(recipe: Recipe, dataset) -> tuple[list, list]:
    """(the teacher networks' specs, the student's before the first and after each step); a block or
    weights file that does not fit is found here."""
    places, place = seats(recipe, dataset)
    teachers = [
        _spec(member.weights, member.network, where)
        for member, where in zip(recipe.teacher.members, places)
    ]
    student = recipe.student
    config = student.network or recipe.teacher.members[0].network
    spec = (
        teachers[0]
        if student.network is None and student.weights is None
        else _spec(student.weights, config, place)
    )
    specs = [spec]
    for step in recipe.steps:
        if step.enabled:
            spec = registry.STEPS.load(step.kind).spec_after(spec, step.config)
        specs.append(spec)
    return teachers, specs


def _spec(weights: str | None, network, where):
    return (
        spec_for(network, where) if weights is None else load_weights(weights, where, network).spec
    )
