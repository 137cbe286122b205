"""The flat inference network of CTRGCN_light V1: its units are CTR-GCN's."""
from __future__ import annotations

from export.ctrgcn import flatten

__all__ = ["flatten"]
