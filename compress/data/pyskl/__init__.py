"""PYSKL's and mmaction2's annotation pickles."""

from compress.data.pyskl.load import INPUT, Config, load, longest

__all__ = ["INPUT", "Config", "load", "longest"]
