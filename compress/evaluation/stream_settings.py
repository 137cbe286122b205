"""What a recipe says about live poses. Loads no Paddle: a recipe is read without it."""

from __future__ import annotations

from dataclasses import dataclass

# Shares of actions with the right alarm, for each of which a rule is found.
SENSITIVITIES = (0.7, 0.8, 0.9, 0.95)


@dataclass(frozen=True)
class Config:
    """`streams:`, recordings on which what ships is tried as it follows live poses.

    Attributes:
        clips: of each side at most, training and validation.
        rate: frames a second of the data.
        window: frames; 0: as many as the network was trained on (`input.window`), else as the median
            training clip has.
        stride: frames from window to window.
        sensitivity: the share whose rule is written into `deployed.json`.
    """

    clips: int = 200
    rate: float = 30.0
    window: int = 0
    stride: int = 4
    sensitivity: float = 0.9

    def __post_init__(self):
        for name, lowest in (("clips", 1), ("window", 0), ("stride", 1)):
            if getattr(self, name) < lowest:
                raise ValueError(f"{name}: must be at least {lowest}")
        if not 0.1 <= self.rate <= 1000:
            raise ValueError("rate: must be 0.1 to 1000 frames a second")
        if self.sensitivity not in SENSITIVITIES:
            known = ", ".join(f"{each:g}" for each in SENSITIVITIES)
            raise ValueError(f"sensitivity: must be one of {known}")
