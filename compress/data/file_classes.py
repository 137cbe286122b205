"""The class that a public data set's file name says."""

from __future__ import annotations

from compress.data import nw_ucla
from compress.data.ntu import naming
from compress.data.ntu.naming import NTU_120


def label_of(name: str) -> str:
    """The class that a public data set's file name says, else ""."""
    if naming.NAME.fullmatch(name) and not naming.problem(name):
        # NTU's file names end in A001 to A120, counted from 1.
        return NTU_120[int(name[-3:]) - 1]
    found = nw_ucla.NAME.fullmatch(name)
    return nw_ucla.ACTIONS.get(int(found[1]), "") if found else ""
