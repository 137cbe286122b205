"""What stands for a class or function that a pickle names and that is not known here.

Training frameworks leave their own objects beside the weights: histories of losses, arguments,
configurations, paths, enums. None of them is looked for, imported or called. A `Placeholder` takes
whatever a pickle does with an object, and keeps only the items of a mapping, as some keep the weights
in a dict of their own.
"""

from __future__ import annotations

# Bytes of one, with its place in a container; what `safe_pickle` counts for each.
SIZE_BYTES = 200
# What no honest checkpoint has a use for: a file that names it tries to do something, and its reader
# should know. Nothing runs either way.
HARMFUL_MODULES = frozenset(
    [
        "os",
        "posix",
        "nt",
        "subprocess",
        "sys",
        "runpy",
        "socket",
        "shutil",
        "importlib",
        "ctypes",
        "pty",
        "commands",
        "code",
        "imp",
        "webbrowser",
        "pickle",
        "_pickle",
        "cPickle",
        "marshal",
    ]
)
HARMFUL_BUILTINS = frozenset(
    ["eval", "exec", "compile", "execfile", "__import__", "open", "input", "breakpoint"]
)


class Placeholder:
    """An unknown class, function or object; `name` is what the pickle calls it.

    Attributes:
        content: the items of an object that is a mapping.
    """

    __slots__ = ("content", "name")

    def __init__(self, name: str):
        self.name = name
        self.content: dict = {}

    def __call__(self, *_arguments, **_named) -> Placeholder:
        return Placeholder(self.name)

    def __setitem__(self, key, value) -> None:
        self.content[key] = value

    def append(self, _item) -> None:
        """Of a list of another class: dropped."""

    def extend(self, _items) -> None:
        """As `append`."""

    def add(self, _item) -> None:
        """Of a set of another class: dropped."""

    # Not `Placeholder.content`: the name alone is printed, and a content may hold itself.
    def __repr__(self) -> str:
        return f"<{self.name[:60]}>"


def is_harmful(module: str, name: str) -> bool:
    """Whether a name is of those that only a file that attacks its reader has."""
    if module in ("builtins", "__builtin__"):
        return name in HARMFUL_BUILTINS
    return module.split(".")[0] in HARMFUL_MODULES
