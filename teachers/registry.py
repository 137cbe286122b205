"""Every network by the name in its spec and in recipes, and the modules that belong to it.

A new network is a module and a row here. The table is text alone, so that names are checked without loading Paddle.
"""
from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Family:
    """Dotted paths of a network's modules; None: it has no such module.

    Attributes:
        network: `Config` (its keys in a recipe), `Spec`, `default_spec`, `drop_blocks`, `build`.
        cost: `parameters` and `macs` of a spec, counted on the published form.
        keys: reads and writes published checkpoints.
        prune: which channels can be removed together, and how.
        published: the network as its authors write it, where ours is another form.
    """

    network: str
    cost: str
    keys: str
    prune: str | None = None
    published: str | None = None


NETWORKS = {
    "ctrgcn": Family("teachers.ctrgcn", "teachers.ctrgcn.cost", "teachers.ctrgcn.keys", prune="teachers.ctrgcn.prune",
                     published="teachers.ctrgcn.published"),
    "ctrgcn_light_v1": Family("teachers.ctrgcn_light.v1", "teachers.ctrgcn_light.v1_cost", "teachers.ctrgcn_light.v1_keys"),
    "ctrgcn_light_v2": Family("teachers.ctrgcn_light.v2", "teachers.ctrgcn_light.v2_cost", "teachers.ctrgcn_light.v2_keys"),
    "efficientgcn": Family("teachers.efficientgcn", "teachers.efficientgcn.cost", "teachers.efficientgcn.keys"),
    "stgcn": Family("teachers.stgcn", "teachers.stgcn.cost", "teachers.stgcn.keys"),
    "stgcnpp": Family("teachers.stgcnpp", "teachers.stgcnpp.cost", "teachers.stgcnpp.keys", prune="teachers.stgcnpp.prune"),
}
