"""What the files `NAME/keys.py` share: they turn weights under published names into a spec and a
state in our names.

Such a file has `READS`, the layouts it knows in words; `is_published(arrays)`, whether key names
are of this network; and `from_published(arrays, hints)`, which returns (spec, state) and leaves no
key unexplained. `arrays` come from `teachers.weights.checkpoints` with wrappers and prefixes taken
off, in Paddle's spelling (`_mean`, `_variance`, Linear (in, out)).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from teachers.errors import CheckpointError
from teachers.skeleton import SKELETONS, Skeleton


@dataclass(frozen=True)
class Hints:
    """What a published checkpoint does not say by itself; None: the network's published value.

    Attributes:
        frames, persons: T and M of the input.
        skeleton: the graph; its number of joints must be the checkpoint's.
        config: the network's `Config` from the recipe, for what no shape tells (strides, for
            example).
        transfer: the weights are carried over to other data (`teachers.weights.transfer`), so that
            the file may be for another skeleton, and have no classifier.
    """

    frames: int | None = None
    persons: int | None = None
    skeleton: Skeleton | None = None
    config: object | None = None
    transfer: bool = False

    def graph(self, joints: int, published: tuple[Skeleton, ...]) -> Skeleton:
        """The skeleton of a checkpoint for `joints` joints: the one given, else the first of
        `published` that fits.

        Raises:
            CheckpointError: no skeleton of so many joints.
        """
        if self.skeleton is not None and (self.skeleton.joints == joints or not self.transfer):
            if self.skeleton.joints != joints:
                raise CheckpointError(
                    f"is for {joints} joints, the skeleton {self.skeleton.name!r} has"
                    f" {self.skeleton.joints}; give weights trained on this skeleton"
                )
            return self.skeleton
        # The network's own first: NTU-25 has two graphs of 25 joints, and each code trained on
        # one of them.
        for skeleton in (*published, *SKELETONS.values()):
            if skeleton.joints == joints:
                return skeleton
        known = ", ".join(f"{each.name} ({each.joints})" for each in SKELETONS.values())
        raise CheckpointError(
            f"is for {joints} joints; known skeletons: "
            + known
            + "; describe yours in the recipe (`skeleton: {name, joints, bones, centre}`)"
        )


NO_HINTS = Hints()


def check_graph(stored: np.ndarray, skeleton: Skeleton) -> None:
    """Hold a skeleton to the graph in a file, (subsets, V, V), which training left as it was.

    Raises:
        CheckpointError: a bone joins joints that the stored graph does not join.
    """
    joined = (stored != 0).any(axis=0)
    joined |= joined.T
    # Bones that the file lacks, not what it has beyond them: graphs of several hops join more.
    apart = [bone for bone in skeleton.bones if not joined[bone[0] - 1, bone[1] - 1]]
    if apart:
        raise CheckpointError(
            f"its graph is not that of skeleton {skeleton.name!r}: {len(apart)} of its"
            f" {len(skeleton.bones)} bones are not joined in it, {list(apart[0])} is the first; give"
            " weights trained on this skeleton, or describe the skeleton that they were trained on"
        )


def classes(arrays: dict[str, np.ndarray], name: str, hints: Hints) -> int:
    """K of the classifier `name`; 0 where there is none, and none is needed.

    Raises:
        CheckpointError: there is none.
    """
    if hints.transfer and not any(each.startswith(f"{name}.") for each in arrays):
        return 0
    if f"{name}.bias" not in arrays:
        raise CheckpointError(
            f"has no {name + '.bias'!r}: its classifier was taken off; train it on your classes"
            " (finetune: true)"
        )
    return len(arrays[f"{name}.bias"])


def classifier(take: StrictReader, name: str, count: int) -> dict[str, np.ndarray]:
    """The classifier `name` as our `fc`, nothing for a file of 0 classes."""
    if not count:
        return {}
    weight = take(f"{name}.weight")
    # A 1x1 conv in some repositories, of two dimensions or three, (out, in) as torch has it.
    if weight.ndim > 2:
        weight = weight.reshape(len(weight), -1).T
    return {"fc.weight": weight, "fc.bias": take(f"{name}.bias")}


class StrictReader:
    """Hands out arrays by name and remembers what is left, so that nothing is skipped unseen."""

    def __init__(self, arrays: dict[str, np.ndarray]):
        # A copy: reading empties it, and callers still look up names in theirs.
        self.left = dict(arrays)

    def __call__(self, name: str) -> np.ndarray:
        """The array of that name, float32, once.

        Raises:
            CheckpointError: the file has none.
        """
        if name not in self.left:
            raise CheckpointError(f"has no {name!r}")
        # float32 whatever the file has: half precision is a way to store weights, and ours are
        # trained on.
        return np.asarray(self.left.pop(name), dtype="float32")

    def norm(self, name: str, conv_bias: np.ndarray | float = 0.0) -> dict[str, np.ndarray]:
        """A BatchNorm; the bias of the conv in front of it goes into the mean: BN(x + b) with mean
        m is BN(x) with m - b."""
        return {
            "weight": self(f"{name}.weight"),
            "bias": self(f"{name}.bias"),
            "_mean": self(f"{name}._mean") - conv_bias,
            "_variance": self(f"{name}._variance"),
        }

    def conv(self, name: str) -> np.ndarray:
        """A conv weight over frames, (C, Cin, kernel, 1) as published -> (C, Cin, 1, kernel) as
        ours."""
        weight = self(f"{name}.weight")
        if weight.ndim != 4:
            raise CheckpointError(f"{name}.weight has {weight.ndim} dimensions, expected 4")
        return weight.transpose(0, 1, 3, 2)

    def finish(self, network: str) -> None:
        """All arrays were taken.

        Raises:
            CheckpointError: some were not; they are named.
        """
        # An error, not a warning: a tensor left over means another network than the one rebuilt.
        if self.left:
            raise CheckpointError(
                f"holds {len(self.left)} tensors that {network} does not have:"
                f" {', '.join(list(self.left)[:4])}"
            )


def under(prefix: str, tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same tensors with `prefix.` before their names."""
    return {f"{prefix}.{name}": value for name, value in tensors.items()}
