"""What a step, a data set and an input have to offer: the contract of each, and the modules that
keep it by name.

A contract is kept by a module, not by a class: one file is one step, and its functions are its
methods. `tests/test_contracts.py` checks every row of `registry.py` against these.

The contracts of networks stand in `teachers/networks.py`, those of export formats in
`export/formats/contract.py`: those two packages know nothing of this one.
"""

from __future__ import annotations

from typing import Any, Protocol, cast

from compress import registry
from compress.data.dataset import Callback, Dataset, Unread
from compress.inputs.view import View
from compress.steps.work import Outcome, State, Work
from teachers.networks import Spec
from teachers.skeleton import Skeleton


class Configured(Protocol):
    """What every module behind a recipe's name has.

    Attributes:
        Config: a frozen dataclass; its fields are the keys that a recipe can set.
    """

    # `Any`, here and for `config` below: each module has a class of its own, and which one belongs
    # to which is known by name only, when a recipe is read. `schema.strict.build` checks the values.
    Config: type[Any]


class Step(Configured, Protocol):
    """A compression step: one file of `compress/steps`."""

    def title(self, config: Any) -> str:
        """What the step does, in words."""

    def spec_after(self, spec: Spec, config: Any) -> Spec:
        """The student's spec after the step, found without training anything.

        Raises:
            RecipeError: the step cannot be applied to this network.
        """

    def apply(self, state: State, config: Any, work: Work, number: int) -> Outcome:
        """Do it. `number` counts the recipe's steps from 1; random numbers and file names follow
        from it."""


class DataSet(Configured, Protocol):
    """A data set: one file or folder of `compress/data`.

    Attributes:
        INPUT: the name of the input that its clips are usually seen through. A module that changes
            some of that input's keys has `INPUT_DEFAULTS` with them, and `OTHER_INPUTS`, keys by
            name, for networks that are published with another input. One
            whose clips are prepared, or whose classes have names without it, has `unread(config,
            classes)`, an `Unread`.
    """

    # By name: inputs import `compress.data`, and a module here would close the circle.
    INPUT: str

    def load(self, config: Any, seed: int, callback: Callback | None = None) -> Dataset:
        """The clips as recorded.

        Raises:
            DataError: files are missing, damaged or contradict each other.
        """


class Input(Configured, Protocol):
    """How a network sees clips: one file of `compress/inputs`."""

    def build(self, config: Any, dataset: Dataset, skeleton: Skeleton) -> View:
        """The view of the data set's clips.

        Raises:
            RecipeError: the input cannot be made of these clips.
        """


def step(name: str) -> Step:
    """The module of a step."""
    # `cast`, not a check at every call: tests/test_contracts.py holds every row of the registry
    # to its contract once.
    return cast(Step, registry.STEPS.load(name))


def data_set(name: str) -> DataSet:
    """The module of a data set."""
    return cast(DataSet, registry.DATA_SETS.load(name))


def unread(name: str, config: Any, classes: int) -> Unread:
    """What is known of a data set, for a network of so many classes, before anything is read."""
    module = registry.DATA_SETS.load(name)
    # Files of people who recorded them: nothing is known, and everybody stands where they stood.
    if not hasattr(module, "unread"):
        return Unread()
    return cast(Unread, module.unread(config, classes))


def input_pipeline(name: str) -> Input:
    """The module of an input."""
    return cast(Input, registry.INPUTS.load(name))
