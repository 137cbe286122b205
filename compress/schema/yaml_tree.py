"""YAML text -> a tree of values that know the line or override they came from. `strict.py` gives
them their types.

Read as YAML 1.2 where 1.1 surprises: `1e-4` is a number, `010` is ten, `no` and `1:30` are text.
Only plain tags; anchors, aliases and `<<` merges work; a key given twice is an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import yaml

from teachers.errors import RecipeError

TAG = "tag:yaml.org,2002:"
# Levels and values of one document, aliases counted as often as they are used. Recipes have five
# levels, a description of classes a thousand values.
DEEPEST = 50
MOST_VALUES = 100_000


@dataclass(frozen=True)
class Value:
    """One value of a recipe.

    Attributes:
        data: None, bool, int, float, str, a tuple of Values or a dict of Values by key.
        place: where it was written: "ctrgcn_lite.yaml:12" or "-o data.name=nw_ucla".
        text: a scalar as written.
        quoted: whether a scalar stood in quotes.
        overridden: whether it came by an override.
    """

    data: object
    place: str
    text: str = ""
    quoted: bool = False
    overridden: bool = False

    @property
    def mapping(self) -> dict[str, Value] | None:
        """The values by key; None where this is no mapping."""
        return self.data if isinstance(self.data, dict) else None

    @property
    def sequence(self) -> tuple[Value, ...] | None:
        """The values of a list; None where this is none."""
        return self.data if isinstance(self.data, tuple) else None


class _Loader(yaml.SafeLoader):
    # Empty: the inherited ones are YAML 1.1, where `no` is false, `1:30` ninety and 1e-4 text.
    # (PyYAML's stubs declare it on the instance, so it cannot be a ClassVar here.)
    yaml_implicit_resolvers: dict[str, list] = {}  # noqa: RUF012
    depth = 0

    def compose_node(self, parent, index):
        """Stops while the text is being read: PyYAML looks at every open bracket again for each
        token, so 60 KB of them take a quarter of a minute."""
        self.depth += 1
        if self.depth > DEEPEST:
            raise RecursionError
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


# YAML 1.2's core schema, and the underscores of 1.1 in numbers. The letters that end each row are
# those that such a scalar can begin with: by them PyYAML looks a pattern up.
for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    # Before float, whose pattern fits whole numbers too: PyYAML takes the first that fits.
    ("int", r"[-+]?[0-9][0-9_]*", list("-+0123456789")),
    (
        "float",
        (
            r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?"
            r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
        ),
        list("-+.0123456789"),
    ),
    ("merge", r"<<", ["<"]),
):
    _Loader.add_implicit_resolver(TAG + _tag, re.compile(f"^(?:{_pattern})$"), _first)


def error(place: str, path: str, message: str) -> RecipeError:
    """The one form of every recipe error: `<place>: <dotted.path>: <message>`."""
    return RecipeError(": ".join(part for part in (place, path, message) if part))


def join(path: str, key: str | int) -> str:
    """`steps` + 1 -> `steps[1]`, `steps[1]` + `train` -> `steps[1].train`."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    return f"{path}.{key}" if path else key


def parse(
    text: str, place: Callable[[int], str], path: str = "", overridden: bool = False
) -> Value | None:
    """The tree of one YAML document; None when it is empty.

    Args:
        place: from a 1-based line number to the words that open an error message.
        path: dotted path of the document's root, for errors.
        overridden: the mark of every Value made here.

    Raises:
        RecipeError: not YAML, a tag that is not plain, a duplicate key, an alias inside its own
            anchor.
    """
    try:
        # compose, not load: nodes know their line and how a scalar was written, values do not.
        node = yaml.compose(text, Loader=_Loader)
        return None if node is None else _Tree(place, overridden).value(node, path, node)
    # from None, here and below: PyYAML's errors are of positions in a text that nobody sees.
    except yaml.reader.ReaderError as problem:
        line = text.count("\n", 0, problem.position) + 1
        raise error(
            place(line),
            path,
            f"not YAML: character U+{_code(problem.character):04X} is not allowed",
        ) from None
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        line = mark.line + 1 if mark else 1
        # PyYAML says "cannot start any token", which helps nobody with a tab.
        hint = " (indent with spaces)" if r"'\t'" in str(problem.problem) else ""
        raise error(place(line), path, f"not YAML: {problem.problem}{hint}") from None
    except RecursionError:
        raise error(place(1), path, "nested too deeply") from None
    # PyYAML 6.0 lets these through: an escape such as "\UFFFFFFFF", a version of 5000 digits.
    except (ValueError, OverflowError) as problem:
        raise error(
            place(1), path, f"not YAML: a number or an escaped character that cannot be ({problem})"
        ) from None


def _code(character: str | int) -> int:
    return character if isinstance(character, int) else ord(character)


class _Tree:
    """Turns composed nodes into Values; one node (an anchor and its aliases) becomes one Value."""

    def __init__(self, place: Callable[[int], str], overridden: bool):
        self.place = place
        self.overridden = overridden
        self.done: dict[yaml.Node, object] = {}
        # How many values each node stands for.
        self.weights: dict[yaml.Node, int] = {}
        self.total = 0
        self.open: set[yaml.Node] = set()

    def at(self, node: yaml.Node) -> str:
        # PyYAML counts lines from 0, editors from 1.
        return self.place(node.start_mark.line + 1)

    def value(self, node: yaml.Node, path: str, holder: yaml.Node) -> Value:
        """The Value of `node`; its place is where `holder`, the node itself or its key, was
        written."""
        if node in self.open:
            raise error(self.at(holder), path, "an alias refers to the value it stands in")
        text = ""
        quoted = False
        if isinstance(node, yaml.ScalarNode):
            text = node.value
            # A plain scalar has no style; quotes and the block forms | and > have one.
            quoted = node.style is not None
        # Once for each node: aliases of aliases ("billion laughs") would otherwise be copied out.
        if node not in self.done:
            self.open.add(node)
            self.done[node] = self.data(node, path)
            self.open.remove(node)
            self.weigh(node, holder)
        return Value(self.done[node], self.at(holder), text, quoted, self.overridden)

    def weigh(self, node: yaml.Node, holder: yaml.Node) -> None:
        """Refuses aliases of aliases of aliases: few in memory, endless for whoever looks at all of
        them."""
        parts: list[yaml.Node] = []
        if isinstance(node, yaml.SequenceNode):
            parts = node.value
        elif isinstance(node, yaml.MappingNode):
            parts = [content for _, content in node.value]
        # A part that is still open is an alias within itself, which `value` refuses.
        self.weights[node] = 1 + sum(self.weights.get(part, 1) for part in parts)
        self.total += 1 + len(parts)
        merged = self.done[node]
        # What `<<` brings in is copied.
        self.total += len(merged) if isinstance(merged, dict) else 0
        if max(self.weights[node], self.total) > MOST_VALUES:
            raise error(
                self.at(holder), "", f"more than {MOST_VALUES} values, aliases counted each time"
            )

    def data(self, node: yaml.Node, path: str) -> object:
        kind = node.tag.removeprefix(TAG)
        if isinstance(node, yaml.MappingNode) and kind == "map":
            return self.mapping(node, path)
        if isinstance(node, yaml.SequenceNode) and kind == "seq":
            return tuple(
                self.value(item, join(path, index), item) for index, item in enumerate(node.value)
            )
        if isinstance(node, yaml.ScalarNode) and kind in (
            "null",
            "bool",
            "int",
            "float",
            "str",
            "merge",
        ):
            try:
                return _scalar(kind, node.value)
            except (ValueError, KeyError):
                raise error(self.at(node), path, f"{node.value[:40]!r} is no {kind}") from None
        # !!python/object and its kind: a recipe is data.
        tag = node.tag.replace(TAG, "!!")
        raise error(self.at(node), path, f"tag {tag!r} is not allowed (remove it)")

    def mapping(self, node: yaml.MappingNode, path: str) -> dict[str, Value]:
        entries: dict[str, Value] = {}
        lines: dict[str, int] = {}
        merged: dict[str, Value] = {}
        for key, content in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise error(self.at(key), path, "a key must be a word, not a list or a mapping")
            name = key.value
            # PyYAML lets the later one win, silently.
            if name in lines:
                raise error(
                    self.at(key), path, f"duplicate key {name!r} (first in line {lines[name]})"
                )
            lines[name] = key.start_mark.line + 1
            if key.tag == TAG + "merge":
                merged = self.merged(content, path, key)
            else:
                entries[name] = self.value(content, join(path, name), key)
        # What is written here wins over what is merged in.
        return merged | entries

    def merged(self, node: yaml.Node, path: str, key: yaml.Node) -> dict[str, Value]:
        sources = self.value(node, path, key).data
        entries: dict[str, Value] = {}
        if not isinstance(sources, tuple):
            sources = (Value(sources, ""),)
        for source in sources:
            if not isinstance(source.data, dict):
                raise error(self.at(key), path, "`<<` merges mappings only")
            # Of several, the earlier wins (the YAML merge type's rule).
            entries = source.data | entries
        return entries


def _scalar(kind: str, text: str) -> object:
    if kind == "null":
        return None
    if kind == "bool":
        return {"true": True, "false": False}[text.lower()]
    if kind == "int":
        # Beyond int64 neither numpy nor Paddle can take it.
        number = int(text)
        if abs(number) >= 2**63:
            raise ValueError
        return number
    if kind == "float":
        # YAML writes .inf and .nan, which Python's float does not read.
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text
