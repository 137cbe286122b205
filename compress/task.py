"""A network's place in its data: the classes, the graph and the view that it must fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from paddle import nn

from compress.data import joint_maps, skeletons
from compress.data.dataset import Dataset
from compress.inputs import as_trained, view as views
from compress.inputs.view import View
from compress.recipe.types import Choice, Recipe
from compress.training import fine_tuning
from compress.training.model import Model, about as about_of
from compress.training.settings import Config
from export import deployed
from teachers import networks
from teachers.errors import CheckpointError, RecipeError
from teachers.networks import Spec
from teachers.skeleton import JOINT_NAMES, Skeleton, matching
from teachers.weights import checkpoints, transfer
from teachers.weights.published import Hints


@dataclass(frozen=True)
class Task:
    """What a network of a recipe needs to fit its data: the classes, the graph and the view of a
    clip."""

    dataset: Dataset
    skeleton: Skeleton
    view: View

    @property
    def classes(self) -> int:
        return len(self.dataset.classes)

    def about(self) -> dict[str, Any]:
        """What a weights file says about its network's data."""
        return about_of(self.view, self.dataset)


def task_for(recipe: Recipe, dataset: Dataset, choice: Choice | None) -> Task:
    """The place of a network that sees clips through the input `choice`.

    Raises:
        RecipeError: the recipe's skeleton is not for these data, or nobody said which joints are
            connected.
    """
    bringing = joint_maps.bring(recipe.skeleton, dataset)
    skeleton = bringing.skeleton
    if not bringing.steps and skeleton.joints != dataset.skeleton.joints:
        raise RecipeError(
            f"skeleton: {skeleton.name!r} has {skeleton.joints} joints, the clips of"
            f" {dataset.name!r} have {dataset.skeleton.joints}; describe the skeleton that the data"
            f" was recorded with, or bring the clips to it (`skeleton: {{to: {skeleton.name}}}`)"
        )
    if not skeleton.bones:
        known = skeletons.candidates(skeleton.joints)
        name_it = ""
        if known:
            name_it = f"; or name a known one of {skeleton.joints} joints: {', '.join(known)}"
        raise RecipeError(
            f"skeleton: {skeleton.name!r} has no bones, so nothing says which joints of"
            f" {dataset.name!r} are connected; describe it (`skeleton: {{name: hand, joints:"
            f" {skeleton.joints}, bones: [[child, parent], ...], centre: 1}}`, joints counted"
            f" from 1){name_it}"
        )
    # Optional in the recipe's types only: `recipe.inputs.fill` gives one to every network
    assert choice is not None
    view = views.build(choice.name, choice.config, dataset, skeleton, bringing)
    return Task(dataset, skeleton, replace(view, notes=(*bringing.notes, *view.notes)))


def spec_for(network: Choice, task: Task) -> Spec:
    """The published spec of a network for these data, before any weights are read."""
    # The view's channels, not the data set's: `branches` makes 18 of three coordinates.
    C, T, _, M = task.view.shape
    module = networks.module(network.name)
    return cast(Spec, module.default_spec(task.classes, task.skeleton, T, M, C, network.config))


def load_weights(
    path: str,
    task: Task,
    wanted: Choice | None = None,
    data: bytes | None = None,
    head: transfer.Head | None = None,
) -> tuple[nn.Layer, list[str]]:
    """(a network from a weights file, checked against the data; what is different here from its
    training, in words).

    Args:
        wanted: the network that the recipe names; its `Config` says what a published checkpoint
            does not tell.
        data: the file's content, where it was read already.
        head: what becomes of the classifier of a network that is trained further before it is used,
            and may come from other classes, persons, joints and frames; None: it is used as it is.
    Raises:
        CheckpointError: the file cannot be used, or is for another network, graph, input or class
            count.
    """
    if head is None:
        network, about = checkpoints.load_with_about(path, _hints(task, wanted), data)
        notes: list[str] = []
    else:
        network, about, notes = _carried(path, task, wanted, data, head)
    check_fits(path, network.spec, task, wanted)
    trains = head is not None
    seen = as_trained.check(path, network.spec, about, task.view, task.dataset, trains)
    return network, notes + seen


def _carried(
    path: str, task: Task, wanted: Choice | None, data: bytes | None, head: transfer.Head
) -> tuple[nn.Layer, dict[str, Any], list[str]]:
    """(a network from a weights file, carried over to the data; what the file says beside the
    weights; what is different, in words)."""
    hints = replace(_hints(task, wanted), transfer=True)
    spec, state, about = checkpoints.read(path, hints, data)
    _check_network(path, spec, wanted)
    # Coordinates are another matter: what was learnt from three cannot be told to two.
    if spec.channels != task.view.shape[0]:
        check_fits(path, spec, task, wanted)
    _, T, _, M = task.view.shape
    # The recipe's own keys may be another's: a checkpoint names its network itself.
    choice = wanted or Choice(spec.network, networks.module(spec.network).Config())
    target = transfer.Target(
        tuple(task.dataset.classes),
        T,
        M,
        spec_for(choice, task).skeleton,
        _joints(path, spec.skeleton, about, task),
    )
    source = transfer.Source(path, spec, state, tuple(about.get("classes") or ()))
    network, notes = transfer.carry(source, target, head)
    return network, about, notes


def _joints(
    path: str, skeleton: Skeleton, about: dict[str, Any], task: Task
) -> transfer.Joints | None:
    """Where another skeleton than the checkpoint's has its joints; None: it is the same.

    Raises:
        CheckpointError: the joints of one of them have no names.
    """
    if skeletons.same_joints(skeleton, task.skeleton):
        return None
    recorded = about.get("recorded") or {}
    sides = (
        (skeleton, recorded.get("names")),
        (task.skeleton, task.dataset.joint_names),
    )
    names: list[Sequence[str]] = []
    for side, recorded_names in sides:
        # Those of a recording last: its joints may have been brought to another skeleton since.
        fits = recorded_names and len(recorded_names) == side.joints
        known = JOINT_NAMES.get(side.name) or (recorded_names if fits else None)
        if known is None:
            raise CheckpointError(
                f"{path}: its skeleton is {skeleton.name!r} with {skeleton.joints} joints, that of"
                f" data set {task.dataset.name!r} {task.skeleton.name!r} with"
                f" {task.skeleton.joints}, and nothing names the joints of {side.name!r}; they are"
                " carried over by name: give `names` of the joints in dataset.yaml, or train from nothing"
            )
        names.append(known)
    return matching(*names)


def _hints(task: Task, wanted: Choice | None = None) -> Hints:
    # A published checkpoint holds tensors alone, and no shape tells frames, persons or strides.
    _, T, _, M = task.view.shape
    return Hints(T, M, task.skeleton, wanted.config if wanted else None)


def _check_network(path: str, spec: Spec, wanted: Choice | None) -> None:
    # Before the shapes, for here the fix is a name in the recipe, not other data.
    if wanted is not None and spec.network != wanted.name:
        raise CheckpointError(
            f"{path}: holds a {spec.network}, the recipe says {wanted.name}; write `name:"
            f" {spec.network}` beside its `weights`, and an input that this network takes"
        )


def check_fits(path: str, spec: Spec, task: Task, wanted: Choice | None = None) -> None:
    """
    Raises:
        CheckpointError: a spec read from `path` is for another network, graph, input or class
            count.
    """
    _check_network(path, spec, wanted)
    # No shape tells: as many joints of another order are other joints.
    if spec.skeleton.joints == task.skeleton.joints and not skeletons.same_joints(
        spec.skeleton, task.skeleton
    ):
        raise CheckpointError(
            f"{path}: its graph is {spec.skeleton.name!r}, that of data set {task.dataset.name!r} is"
            f" {task.skeleton.name!r} with other edges: as many joints, but not the same; give"
            " weights trained on this skeleton, or set `skeleton` to that of both"
        )
    # Here, for later it would be a shape error inside some layer
    for what, in_file, in_data in (
        ("input (C, T, V, M)", spec.input_shape, task.view.shape),
        ("number of classes", spec.classes, task.classes),
    ):
        if in_file != in_data:
            raise CheckpointError(
                f"{path}: its {what} is {in_file}, that of data set {task.dataset.name!r} through"
                f" input {task.view.name!r} is {in_data}; give weights trained on this data, or the"
                " data they were trained on"
            )


def check_freeze(place: str, training: Config | None, spec: Spec, fresh: bool = False) -> None:
    """
    Args:
        place: of the training in the recipe.
        fresh: the network has no weights yet.
    Raises:
        RecipeError: what is to be frozen is no part of the network, all there is, or not trained yet.
    """
    if training is None:
        return
    if fresh and (training.freeze or training.frozen_norm):
        key = "freeze" if training.freeze else "frozen_norm"
        raise RecipeError(
            f"{place}.{key}: these weights are fresh, and would stay so; leave it out, or give"
            " `weights` (of a teacher with `finetune: true`)"
        )
    if not training.freeze:
        return
    # Built, for a spec tells its blocks alone and not what lies around them.
    known = list(fine_tuning.parts(networks.build(spec)))
    unknown = [name for name in training.freeze if name not in known]
    if unknown:
        raise RecipeError(
            f"{place}.freeze: {spec.network} has no part {unknown[0]!r} (it has {', '.join(known)})"
        )
    if set(known) <= set(training.freeze):
        raise RecipeError(f"{place}.freeze: names every part; at least one must learn")


def check_frames(place: str, training: Config | None, spec: Spec) -> None:
    """
    Args:
        place: of the training in the recipe.
    Raises:
        RecipeError: a stage of `progressive_frames` is no shorter than the network's clips.
    """
    for number, stage in enumerate(training.progressive_frames if training else ()):
        frames = spec.input_shape[1]
        if stage.frames >= frames:
            raise RecipeError(
                f"{place}.progressive_frames[{number}].frames: {stage.frames} is not fewer than the"
                f" {frames} frames of the input; give fewer, or leave the stage out"
            )


def as_saved(path: Path, dataset: Dataset) -> Model:
    """A network from a weights file of a run, seen through the input it was trained with, for clips
    of `dataset`.

    Raises:
        CheckpointError: the file does not say how it sees clips, or is for other clips or classes.
    """
    network, about = checkpoints.load_with_about(path)
    # Refused: a wrong guess at the input lowers accuracy and raises no error.
    if not about.get("preprocessing"):
        raise CheckpointError(
            f"{path}: does not say through what input it sees clips; give a file of a run's"
            " weights/ folder, or name the checkpoint in the recipe's teacher, with its input"
        )
    as_trained.check_classes(str(path), about.get("classes") or (), dataset)
    return _seen_as_trained(path, network, about, dataset)


def _seen_as_trained(
    path: Path, network: nn.Layer, about: dict[str, Any], dataset: Dataset
) -> Model:
    # Files of before the key: networks saw clips with the channels they were recorded with
    recorded = about.get("recorded") or {
        "channels": network.spec.channels,
        "joints": network.spec.skeleton.joints,
    }
    # Frames are not compared: clips have any number, and the file's own steps bring them to T.
    trained_on = (recorded["channels"], recorded["joints"], network.spec.classes)
    if trained_on != (dataset.channels, dataset.skeleton.joints, len(dataset.classes)):
        raise CheckpointError(
            f"{path}: was trained on {network.spec.classes} classes of clips with"
            f" {recorded['channels']} coordinates of {recorded['joints']} joints, data set"
            f" {dataset.name!r} has {len(dataset.classes)}, {dataset.channels} and"
            f" {dataset.skeleton.joints}; give the data it was trained on"
        )
    view = views.from_ops(
        tuple(about["preprocessing"]), network.spec.input_shape, about.get("views", 1)
    )
    return Model(network, view)


def any_weights(path: Path, task: Task) -> Model:
    """A network from any weights file: through the input it was trained with if the file tells,
    else through `task`.

    Raises:
        CheckpointError: it cannot be used, or is for other clips or classes.
    """
    network, about = checkpoints.load_with_about(path, _hints(task))
    as_trained.check_classes(str(path), about.get("classes") or (), task.dataset)
    if about.get("preprocessing"):
        return _seen_as_trained(path, network, about, task.dataset)
    check_fits(str(path), network.spec, task)
    return Model(network, task.view)


def as_deployed(folder: Path, task: Task) -> View:
    """The view that `deployed.json` in an exported file's folder tells of, else that of `task`.

    Raises:
        CheckpointError: its classes have other numbers in the data.
    """
    if not (folder / deployed.NAME).is_file():
        return task.view
    description = deployed.read(folder)
    as_trained.check_classes(str(folder), description.classes, task.dataset)
    return views.from_ops(
        tuple(dict(step) for step in description.preprocessing),
        description.input.clip,
        description.views,
    )
