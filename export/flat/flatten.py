"""The flat form of any network, by the name in its spec."""

from __future__ import annotations

import importlib

from paddle import nn

# A network without a row takes DEFAULT: a module of its own pays where it can do more than fold
MODULES = {
    "ctrgcn": "export.flat.ctrgcn",
    "ctrgcn_light_v1": "export.flat.ctrgcn",  # its units are CTR-GCN's
    "ctrgcn_light_v2": "export.flat.ctrgcn",
    "efficientgcn": "export.flat.efficientgcn",
    "ensemble": "export.flat.ensemble",
    "stgcn": "export.flat.stgcn",
    "stgcnpp": "export.flat.stgcnpp",
}
DEFAULT = "export.flat.default"


def flatten(network: nn.Layer) -> nn.Sequential:
    """The flat inference network, in evaluation mode; the trained network stays as it is."""
    path = MODULES.get(network.spec.network, DEFAULT)
    return importlib.import_module(path).flatten(network)
