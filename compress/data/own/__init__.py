"""Own recordings: a folder of clips with `labels.csv` and `dataset.yaml`."""

from compress.data.own.load import INPUT, Config, load, of_persons, prepared

__all__ = ["INPUT", "Config", "load", "of_persons", "prepared"]
