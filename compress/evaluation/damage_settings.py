"""What a recipe says about robustness. Loads no Paddle: a recipe is read without it."""

from __future__ import annotations

from dataclasses import dataclass, replace

# The share of joints that `budget.max_drop_at_20pct_joints` judges.
JUDGED = 0.2


@dataclass(frozen=True)
class Config:
    """`robustness:`, clips on which the networks are judged beside those of the split. 0 leaves a row
    out.

    Attributes:
        draws: of every kind of damage; every network sees the same.
        joints_lost: shares of the joints that are lost in all frames.
        jitter: deviation of the noise, a share of the body's largest extent.
        frames_lost: share of the frames.
        part: share of a clip that is left, a stretch anywhere in it.
        first: shares of a clip that are left, from its start: an action that is not over yet.
        yaw: degrees, either way.
        known_answered: share of training-side clips that the threshold for unknown classes lets
            through; see `leave_out`.
    """

    draws: int = 5
    joints_lost: tuple[float, ...] = (0.1, 0.2, 0.3)
    jitter: float = 0.02
    frames_lost: float = 0.5
    part: float = 0.5
    first: tuple[float, ...] = (0.25, 0.5, 0.75)
    yaw: float = 30.0
    known_answered: float = 0.95

    def __post_init__(self):
        if not 1 <= self.draws <= 1000:
            raise ValueError("draws: must be from 1 to 1000")
        for name in ("joints_lost", "first"):
            shares = getattr(self, name)
            if not all(0 < share < 1 for share in shares):
                raise ValueError(f"{name}: must be shares between 0 and 1, such as [0.1, 0.2]")
            if len(set(shares)) < len(shares):
                raise ValueError(f"{name}: names a share twice")
        for name in ("jitter", "frames_lost", "part"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name}: must be a share from 0, which leaves it out, to 1")
        if not 0 <= self.yaw <= 180:
            raise ValueError("yaw: must be from 0 to 180 degrees")
        if not 0 < self.known_answered < 1:
            raise ValueError("known_answered: must be a share between 0 and 1")

    def with_judged(self) -> Config:
        """The same, with the row that the gate of the budget judges."""
        if JUDGED in self.joints_lost:
            return self
        return replace(self, joints_lost=tuple(sorted((*self.joints_lost, JUDGED))))


# Of a recipe that sets the gate alone.
GATE_ONLY = Config(joints_lost=(JUDGED,), jitter=0.0, frames_lost=0.0, part=0.0, first=(), yaw=0.0)
