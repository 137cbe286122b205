"""NTU RGB+D: prepared arrays, or the folder of `.skeleton` recordings prepared on the way."""

from compress.data.ntu.class_names import class_notes, classes_of, overlap
from compress.data.ntu.load import CENTRED, INPUT, Config, inspect, load, of_cache, unread

__all__ = [
    "CENTRED",
    "INPUT",
    "Config",
    "class_notes",
    "classes_of",
    "inspect",
    "load",
    "of_cache",
    "overlap",
    "unread",
]
