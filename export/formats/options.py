"""What files are written for, beside the network itself: the keys of a recipe's `export:`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from export.formats.profiles import PROFILES, Profile
from teachers.errors import did_you_mean

# How `model.onnx` writes what it computes in eight bits: as ONNX Runtime's own operators on
# integers, or as pairs of QuantizeLinear and DequantizeLinear around standard ones.
Integers = Literal["qoperator", "qdq"]

# From the first whose operators take axes as inputs to the first with int4.
OPSETS = (13, 21)
# Networks whose frames meet in nothing but temporal convolutions and the mean.
CONTINUAL_NETWORKS = ("stgcn", "stgcnpp")
# A batch for which memory runs out says less than a limit does.
LARGEST_BATCH = 1024


@dataclass(frozen=True)
class Options:
    """How files are written. All but `skip_absent` belong to ONNX; None: as the profile has it.

    Attributes:
        skip_absent: persons who are not in a clip are not computed, also by Paddle's program;
            accelerators that need static shapes cannot have it.
        opset: of the ONNX standard; the lowest that the weights need, 15 or for int4 21.
        batch: clips of one call: a number, "fixed" (1) or "free".
        profile: the place that the file goes to, of `export.formats.profiles`.
        onnx: how eight bits are written; by default as pairs where the place wants them, else in
            the form that ONNX Runtime runs faster (`export.formats.onnx_format`).

    Raises:
        ValueError: options that contradict each other or the profile; names the key and the fix.
    """

    skip_absent: bool | None = None
    opset: int | None = None
    batch: int | str | None = None
    profile: str = "ort"
    onnx: Integers | None = None

    def __post_init__(self) -> None:
        if self.profile not in PROFILES:
            hint = did_you_mean(self.profile, PROFILES, always_list=True)
            raise ValueError(f"profile: unknown {self.profile!r}{hint}")
        self._check_opset()
        self._check_batch()
        if self.onnx == "qoperator" and self.place.qdq:
            raise ValueError(
                f"onnx: {self.place.title} does not read ONNX Runtime's own operators; leave onnx"
                " out, or take qdq"
            )
        if self.skip_absent and self.fixed_batch is not None:
            raise ValueError(
                "skip_absent: takes shapes that depend on the clip, and"
                f" {self._why_static()} needs static ones; leave skip_absent out"
            )

    @property
    def place(self) -> Profile:
        """The profile itself."""
        return PROFILES[self.profile]

    @property
    def fixed_batch(self) -> int | None:
        """Clips of one call; None: any number."""
        if self.batch is None:
            return 1 if self.place.static else None
        if isinstance(self.batch, str):
            return 1 if self.batch == "fixed" else None
        return self.batch

    @property
    def skips_absent(self) -> bool:
        """Whether persons who are not in a clip are left out."""
        return self.fixed_batch is None if self.skip_absent is None else self.skip_absent

    def input_shape(self, kind: str, clip: tuple[int, ...]) -> tuple[int | None, ...] | None:
        """What the input of a format's file is, where that is not (any N, C, T, V, M); None else.

        Args:
            clip: (C, T, V, M).
        """
        if kind != "onnx" or (self.fixed_batch is None and self.place.ranks is None):
            return None
        C, T, V, M = clip
        # The same numbers in the same order, so that a client only has to reshape.
        sizes = clip if self.place.ranks is None else (C, T, V * M)
        return (self.fixed_batch, *sizes)

    def require_continual(self, network: str, rounded: bool) -> None:
        """Raises ValueError where the format `continual` cannot be written of a network: names the
        key and the fix.

        Args:
            rounded: its weights or activations are.
        """
        if network not in CONTINUAL_NETWORKS:
            raise ValueError(
                f"formats: continual: {network} has no continual form, only"
                f" {' and '.join(CONTINUAL_NETWORKS)} have; leave continual out"
            )
        if rounded:
            raise ValueError(
                "formats: continual: is written in float32 alone; leave continual out, or the"
                " quantising step"
            )
        if self.profile != "ort" or self.fixed_batch is not None:
            raise ValueError(
                "formats: continual: is for ONNX Runtime and takes any number of tracks; leave"
                " profile and batch out"
            )

    def _check_opset(self) -> None:
        if self.opset is None:
            return
        low, high = OPSETS
        if not low <= self.opset <= high:
            raise ValueError(f"opset: must be from {low} to {high}, is {self.opset}")
        if self.place.version_for(self.opset) is None:
            raise ValueError(
                f"opset: {self.place.title} reads opsets up to {max(self.place.oldest)}, not"
                f" {self.opset}; leave opset out"
            )

    def _check_batch(self) -> None:
        batch = self.batch
        if isinstance(batch, str):
            good = batch in ("fixed", "free")
        else:
            # `type`: true is a number to Python.
            good = batch is None or (type(batch) is int and 1 <= batch <= LARGEST_BATCH)
        if not good:
            raise ValueError(
                f"batch: must be fixed, free or a number from 1 to {LARGEST_BATCH}, is {batch!r}"
            )
        if batch == "free" and self.place.static:
            raise ValueError(
                f"batch: {self.place.title} needs static shapes; leave batch out, or give a number"
            )

    def _why_static(self) -> str:
        return self.place.title if self.place.static else f"batch: {self.batch}"


USUAL = Options()
