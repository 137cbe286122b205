"""Who sees clips how: fills in the `input` of every network of a recipe, in the tree, before it
gets its types.

A data set names its usual input pipeline, unless a network is published with one of its own
(`Family.feeding` of `teachers/networks.py`). The recipe's `input:` changes some of its keys or names
another pipeline; a network's own `input:` does the same on top of that. The members of
`teacher.ensemble` take over what stands beside it.

How NTU's recordings are prepared follows from the networks, too: data are prepared once for all of
them, so the first network that has weights decides, else the teacher.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, replace

from compress import registry
from compress.recipe import types
from compress.schema.strict import convert, error, wrong
from compress.schema.yaml_tree import Value
from teachers import networks
from teachers.networks import Feeding

# A teacher without a name is one, see `types._teacher`.
TEACHER = "ctrgcn"


def fill(root: Value) -> Value:
    """The tree with `input` in the recipe, in every teacher and in a student that is a network of
    its own, and with `data.preparation` where the data set has that key.

    What is no mapping stays as it is: the types will refuse it.
    """
    # In the tree and not in the types: so a key that is filled in is checked like one that was
    # written, and an error still names the line that it comes from
    tree = dict(root.mapping or {})
    if "teacher" in tree:
        tree["teacher"] = _by_seeds(tree["teacher"])
        root = replace(root, data=tree)
    data = tree.get("data")
    if data is None or _data_set(data) is None:
        return root
    tree["data"] = _prepared(data, tree)
    recipe_input = tree.get("input")
    teacher = tree.get("teacher")
    student = tree.get("student")
    tree["input"] = _usual(next(_networks(tree)), data).merged(recipe_input)
    if teacher is not None and teacher.mapping is not None:
        tree["teacher"] = _teacher(teacher, data, recipe_input)
    if student is not None and _has_own_input(student):
        tree["student"] = _usual(student, data).into(student, recipe_input)
    return replace(root, data=tree)


@dataclass(frozen=True)
class _Usual:
    """What inputs are for one network where a recipe says nothing: the data set's, or those that
    the network is published with."""

    data: Value
    feeding: Feeding | None

    def keys(self, pipeline: str | None = None) -> Value:
        """Name and keys of an input, as if they stood in the recipe; `pipeline` None: the usual
        one."""
        if pipeline is None and self.feeding is not None:
            pipeline = self.feeding.input
        name, settings = types.usual_input(str(_data_set(self.data)), pipeline)
        if self.feeding is not None and self.feeding.input == name:
            settings = settings | self.feeding.keys
        # With the place of `data:`, the line that chose these keys, for errors about them.
        place = self.data.place
        values = {"name": name, **settings}
        return Value({key: Value(value, place, str(value)) for key, value in values.items()}, place)

    def merged(self, *inputs: Value | None) -> Value:
        """The usual input with these on top, one after the other."""
        result = self.keys()
        for over in inputs:
            result = self._on_top(result, over)
        return result

    def _on_top(self, under: Value, over: Value | None) -> Value:
        """`over` on top of `under`; keys of another pipeline do not carry over, those that are
        usual for it do."""
        if over is None or over.data is None:
            return under
        changed = over.mapping
        if changed is None:
            return over
        before = under.mapping or {}
        name = changed.get("name") or before.get("name")
        if name is None:
            return over
        if "name" not in before or before["name"].data != name.data:
            text = name.data if isinstance(name.data, str) else ""
            before = self.keys(text).mapping or {}
        # The place stays that of `over`: errors name a line that somebody wrote.
        return replace(over, data=before | changed)

    def into(self, network: Value, *inputs: Value | None) -> Value:
        """The network's keys with its `input`, on top of these."""
        keys = network.mapping or {}
        return replace(network, data=keys | {"input": self.merged(*inputs, keys.get("input"))})


def _usual(network: Value | None, data: Value) -> _Usual:
    return _Usual(data, _feeding(network, data))


def _has_own_input(student: Value) -> bool:
    """Whether a student sees clips its own way: it is a network of its own, or asks for an input,
    which the types refuse for a copy of the teacher."""
    keys = student.mapping
    if keys is None:
        return False
    # `input: null` beside a copy asks for nothing, and so is no error.
    return "name" in keys or ("input" in keys and keys["input"].mapping is not None)


def _data_set(data: Value) -> str | None:
    """The name of a known data set."""
    name = _plain(data, "name")
    # A wrong name, or no text at all, is reported by the types, with a suggestion
    return name if isinstance(name, str) and name in registry.DATA_SETS.names() else None


def _plain(value: Value | None, key: str) -> object:
    """What stands under a key, None where nothing does."""
    keys = value.mapping if value is not None else None
    return keys[key].data if keys is not None and key in keys else None


def _feeding(network: Value | None, data: Value) -> Feeding | None:
    """How the network with these keys is fed as published, if that is not the data set's
    business."""
    name = _plain(network, "name") or TEACHER
    if not isinstance(name, str):
        return None
    return networks.feeding(name, _plain(network, "branches"), _plain(data, "benchmark"))


def _prepared(data: Value, tree: dict[str, Value]) -> Value:
    """`data` with the preparation of recordings that the networks are published with."""
    config = registry.DATA_SETS.load(str(_data_set(data))).Config
    keys = data.mapping or {}
    known = {field.name for field in dataclasses.fields(config)}
    if "preparation" not in known or "preparation" in keys:
        return data
    everyone = list(_networks(tree))
    deciding = [network for network in everyone if _plain(network, "weights") is not None]
    feeding = _feeding((deciding + everyone)[0], data)
    if feeding is None:
        return data
    chosen = Value(feeding.preparation, data.place, feeding.preparation)
    return replace(data, data=keys | {"preparation": chosen})


def _networks(tree: dict[str, Value]) -> Iterator[Value | None]:
    """The keys of every network, the teacher's first; None for a teacher without any."""
    teacher = tree.get("teacher")
    ensemble = (teacher.mapping or {}).get("ensemble") if teacher is not None else None
    members = ensemble.sequence if ensemble is not None else None
    yield from members or [teacher]
    student = tree.get("student")
    if student is not None and _plain(student, "name") is not None:
        yield student


def _by_seeds(teacher: Value) -> Value:
    """`teacher.seeds: 3` as the ensemble that it stands for.

    Raises:
        RecipeError: no number of networks, or an ensemble that is written out beside it.
    """
    keys = teacher.mapping or {}
    seeds = keys.get("seeds")
    if seeds is None:
        return teacher
    if "ensemble" in keys:
        raise error(
            seeds.place,
            "teacher.seeds",
            "an `ensemble` is written out beside it; give its members a `seed` each instead",
        )
    count = convert(int, seeds, "teacher.seeds")
    if count < 2:
        raise wrong(seeds, "teacher.seeds", "two or more networks (leave it out for one)")
    members = tuple(
        Value({"seed": Value(number, seeds.place, str(number))}, seeds.place)
        for number in range(count)
    )
    kept = {key: value for key, value in keys.items() if key != "seeds"}
    return replace(teacher, data=kept | {"ensemble": Value(members, seeds.place)})


def _teacher(teacher: Value, data: Value, recipe_input: Value | None) -> Value:
    keys = teacher.mapping or {}
    ensemble = keys.get("ensemble")
    members = ensemble.sequence if ensemble is not None else None
    if ensemble is None or members is None:
        return _usual(teacher, data).into(teacher, recipe_input)
    # What stands beside `ensemble` holds for every member; `input` is merged key by key instead
    of_all = ("find_weights", "runtime")
    apart = ("ensemble", "input", *of_all)
    shared = {key: value for key, value in keys.items() if key not in apart}
    filled = []
    for member in members:
        if member.mapping is not None:
            with_shared = replace(member, data=shared | member.mapping)
            usual = _usual(with_shared, data)
            member = usual.into(with_shared, recipe_input, keys.get("input"))
        filled.append(member)
    kept = {key: value for key, value in keys.items() if key in of_all}
    return replace(teacher, data=kept | {"ensemble": replace(ensemble, data=tuple(filled))})
