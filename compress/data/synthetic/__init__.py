"""The built-in data: bodies that perform twelve actions, seen by a depth camera."""

from compress.data.synthetic.load import (
    INPUT,
    INPUT_DEFAULTS,
    OTHER_INPUTS,
    RATE,
    Config,
    clip,
    load,
    person_of,
    unread,
)

__all__ = [
    "INPUT",
    "INPUT_DEFAULTS",
    "OTHER_INPUTS",
    "RATE",
    "Config",
    "clip",
    "load",
    "person_of",
    "unread",
]
