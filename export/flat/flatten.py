"""The flat form of any network, by the name in its spec."""

from __future__ import annotations

import importlib

from paddle import nn

MODULES = {
    "ctrgcn": "export.flat.ctrgcn",
    "ctrgcn_light_v1": "export.flat.ctrgcn",  # its units are CTR-GCN's
    "ctrgcn_light_v2": "export.flat.ctrgcn",
    "efficientgcn": "export.flat.efficientgcn",
    "stgcn": "export.flat.stgcn",
    "stgcnpp": "export.flat.stgcnpp",
}


def flatten(network: nn.Layer) -> nn.Sequential:
    """The flat inference network; the module in MODULES knows how to build it."""
    return importlib.import_module(MODULES[network.spec.network]).flatten(network)
