"""What a recipe says about a search: the space, and how it is walked. Loads no Paddle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from export.preprocess.streams import Stream

Bits = Literal["float32", "float16", "int8", "mixed", "int4"]


@dataclass(frozen=True)
class Search:
    """`search:`, which small networks `featherbone search` may try. A list that is left out is
    chosen by the network, see `compress.search.space`.

    Attributes:
        layers: lists of blocks that are removed together; [] removes none.
        channels: shares of the channels that are removed.
        frames: of the clips that the network sees.
        streams: what it sees of them.
        bits: how its files are stored; "mixed" is int4 weights with as many of the layers in int8
            as the limit of bytes has room for.
        sampler: what chooses the next network: "tpe" is Optuna's, "random" needs nothing.
        candidates: how many networks a wave starts with.
        halving: one of so many goes on to the next, longer training.
    """

    layers: tuple[tuple[str, ...], ...] | None = None
    channels: tuple[float, ...] | None = None
    frames: tuple[int, ...] | None = None
    streams: tuple[Stream, ...] | None = None
    bits: tuple[Bits, ...] = ("float32", "int8", "mixed", "int4")
    sampler: Literal["tpe", "random"] = "tpe"
    candidates: int = 9
    halving: int = 3

    def __post_init__(self) -> None:
        for name in ("layers", "channels", "frames", "streams", "bits"):
            values = getattr(self, name)
            if values is None:
                continue
            if not values:
                raise ValueError(f"{name}: give at least one (or leave it out)")
            if len(set(values)) < len(values):
                raise ValueError(f"{name}: names one of them twice")
        for ratio in self.channels or ():
            if not 0 <= ratio < 1:
                raise ValueError(f"channels: shares must be at least 0 and below 1, got {ratio:g}")
        percents = [round(100 * ratio) for ratio in self.channels or ()]
        if len(set(percents)) < len(percents):
            raise ValueError("channels: two shares are the same in whole percent, which names have")
        if min(self.frames or (1,)) < 1:
            raise ValueError("frames: must be at least 1")
        for name in ("candidates", "halving"):
            if getattr(self, name) < 2:
                raise ValueError(f"{name}: must be at least 2, got {getattr(self, name)}")
