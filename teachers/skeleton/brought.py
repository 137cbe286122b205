"""What a recipe says of clips whose joints are not the network's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from teachers.errors import RecipeError
from teachers.skeleton.known import named

AXES = ("x", "-x", "y", "-y", "z", "-z")


@dataclass(frozen=True)
class Brought:
    """`skeleton: {from, to, map, axes}`: clips recorded with other joints are brought to those of a
    known skeleton, in training and wherever the network is served.

    Attributes:
        to: the known skeleton of the networks.
        from_: the known skeleton of the recordings; None: as the data set says.
        map: for joints of `to` by name, the recorded joints by name that they are the mean of;
            others follow from their names.
        axes: which recorded axis x, y and z of the networks are; None: by the two skeletons.
    """

    to: str
    from_: str | None = None
    map: Mapping[str, Sequence[str]] = field(default_factory=dict)
    axes: tuple[str, str, str] | None = None

    def __post_init__(self):
        for key, name in (("to", self.to), ("from", self.from_)):
            try:
                if name is not None:
                    named(name)
            except RecipeError as error:
                raise ValueError(f"{key}: {error}") from None
        if self.axes is None:
            return
        letters = {axis[-1:] for axis in self.axes}
        if not set(self.axes) <= set(AXES) or len(letters) != 3:
            raise ValueError(
                "axes: must be x, y and z in some order, each with a - in front where it is turned"
                " round, for example [-x, -y, z]"
            )
