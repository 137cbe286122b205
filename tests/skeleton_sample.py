"""NTU RGB+D's raw `.skeleton` text, written from bodies, for tests of what reads it."""

import numpy as np

REST = (  # of a joint's line, behind x y z
    " 277.419 191.8218 1036.233 519.1677 -0.2059419 0 0.9692109 0 2"
)


def write(frames: list[list[tuple[int, np.ndarray]]], end: str = "\r\n") -> bytes:
    """The text of a recording from, for every frame, its bodies as (id, joints (25, 3))."""
    lines = [str(len(frames))]
    for bodies in frames:
        lines.append(str(len(bodies)))
        for name, joints in bodies:
            lines += [f"{name} 0 1 1 1 1 0 0.02764709 0.05745083 2", str(len(joints))]
            lines += [" ".join(map(repr, joint.tolist())) + REST for joint in joints]
    return (end.join(lines) + end).encode()
