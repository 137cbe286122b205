"""How EfficientGCN is fed as published (arXiv 2106.15125, its data/preprocess.py)."""

from __future__ import annotations

from teachers.networks import Feeding


def published(branches: object, benchmark: object) -> Feeding | None:
    """Joint, velocity and bone of recordings as the camera saw them, turned for X-View alone; see
    `teachers.networks.FeedingModule`."""
    # One stream in place of the three branches is what any other input makes.
    if branches == 1:
        return None
    keys: dict[str, object] = {}
    # X-Sub weights expect the camera's coordinates, X-View ones those of the person: either sees
    # strangers through the other's.
    if benchmark == "xview":
        keys["view_transform"] = True
    return Feeding("branches", keys, "efficientgcn")
