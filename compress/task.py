"""A network's place in its data: the classes, the graph and the view that it must fit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from paddle import nn

from compress.data.dataset import Dataset
from compress.inputs import view as views
from compress.inputs.view import View
from compress.recipe.types import Choice, Recipe
from compress.training.model import Model
from teachers import networks
from teachers.errors import CheckpointError, RecipeError
from teachers.skeleton import Skeleton
from teachers.weights import checkpoints
from teachers.weights.published import Hints


@dataclass(frozen=True)
class Seat:
    """What a network of a recipe needs to fit its data: the classes, the graph and the view of a
    clip."""

    dataset: Dataset
    skeleton: Skeleton
    view: View

    @property
    def classes(self) -> int:
        return len(self.dataset.classes)


def seat(recipe: Recipe, dataset: Dataset, choice: Choice) -> Seat:
    """The place of a network that sees clips through the input `choice`.

    Raises:
        RecipeError: the recipe's skeleton is not for these data, or nobody said which joints are
            connected.
    """
    skeleton = recipe.skeleton or dataset.skeleton
    if skeleton.joints != dataset.skeleton.joints:
        raise RecipeError(
            f"skeleton: {skeleton.name!r} has {skeleton.joints} joints, the clips of"
            f" {dataset.name!r} have {dataset.skeleton.joints}; describe the skeleton that the data"
            " was recorded with"
        )
    if not skeleton.bones:
        raise RecipeError(
            f"skeleton: {skeleton.name!r} has no bones, so nothing says which joints of"
            f" {dataset.name!r} are connected; describe it (`skeleton: {{name: hand, joints:"
            f" {skeleton.joints}, bones: [[child, parent], ...], centre: 1}}`, joints counted"
            " from 1)"
        )
    return Seat(dataset, skeleton, views.build(choice.name, choice.config, dataset, skeleton))


def spec_for(network: Choice, where: Seat):
    """The published spec of a network for these data, before any weights are read."""
    C, T, _, M = where.view.shape
    return networks.module(network.name).default_spec(
        where.classes, where.skeleton, T, M, C, network.config
    )


def load_weights(path: str, where: Seat, wanted: Choice | None = None) -> nn.Layer:
    """A network from a weights file, checked against the data.

    Args:
        wanted: the network that the recipe names; its `Config` says what a published checkpoint
            does not tell.
    Raises:
        CheckpointError: the file cannot be used, or is for another network, input or class count.
    """
    _, T, _, M = where.view.shape
    network = checkpoints.load(path, Hints(T, M, where.skeleton, wanted.config if wanted else None))
    spec = network.spec
    if wanted is not None and spec.network != wanted.name:
        raise CheckpointError(
            f"{path}: holds a {spec.network}, the recipe says {wanted.name}; write `name:"
            f" {spec.network}` beside its `weights`, and an input that this network takes"
        )
    for what, own, wanted in (
        ("input (C, T, V, M)", spec.input_shape, where.view.shape),
        ("number of classes", spec.classes, where.classes),
    ):
        if own != wanted:
            raise CheckpointError(
                f"{path}: its {what} is {own}, that of data set {where.dataset.name!r} through"
                f" input {where.view.name!r} is {wanted}; give weights trained on this data, or the"
                " data they were trained on"
            )
    return network


def as_saved(path: Path, dataset: Dataset) -> Model:
    """A network from a weights file of a run, seen through the input it was trained with, for clips
    of `dataset`.

    Raises:
        CheckpointError: the file does not say how it sees clips, or is for other clips or classes.
    """
    _, _, about = checkpoints.read(path)
    if not about.get("preprocessing"):
        raise CheckpointError(
            f"{path}: does not say through what input it sees clips; give a file of a run's"
            " weights/ folder, or name the checkpoint in the recipe's teacher, with its input"
        )
    network = checkpoints.load(path)
    recorded = about.get("recorded") or {
        "channels": network.spec.channels,
        "joints": network.spec.skeleton.joints,
    }
    here = dataset.channels, dataset.skeleton.joints, len(dataset.classes)
    if (recorded["channels"], recorded["joints"], network.spec.classes) != here:
        raise CheckpointError(
            f"{path}: was trained on {network.spec.classes} classes of clips with"
            f" {recorded['channels']} coordinates of {recorded['joints']} joints, data set"
            f" {dataset.name!r} has {len(dataset.classes)}, {dataset.channels} and"
            f" {dataset.skeleton.joints}; give the data it was trained on"
        )
    return Model(
        network,
        views.from_ops(
            tuple(about["preprocessing"]), network.spec.input_shape, about.get("views", 1)
        ),
    )


def any_weights(path: Path, dataset: Dataset, where: Seat) -> Model:
    """A network from any weights file: through the input it was trained with if the file tells,
    else through `where`."""
    _, _, about = checkpoints.read(
        path, Hints(where.view.shape[1], where.view.shape[3], where.skeleton)
    )
    return (
        as_saved(path, dataset)
        if about.get("preprocessing")
        else Model(load_weights(str(path), where), where.view)
    )


def describe(dataset: Dataset, view: View) -> dict:
    """What a weights file says about its data: enough to export and feed the network later."""
    return {
        "data": dataset.name,
        "classes": list(dataset.classes),
        "preprocessing": list(view.eval_ops),
        "views": view.clips,
        "recorded": {
            "channels": dataset.channels,
            "joints": dataset.skeleton.joints,
            "persons": dataset.persons,
        }
        | ({"names": list(dataset.joint_names)} if dataset.joint_names else {}),
    }
