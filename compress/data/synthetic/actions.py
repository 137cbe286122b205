"""The actions of the synthetic data set, as poses at moments; `kinematics.py` says what the angles
mean."""

from __future__ import annotations

from dataclasses import dataclass, field

# hinge -> (pitch, twist, roll) in degrees
Pose = dict[str, tuple[float, float, float]]
# A centre, and how far either way of it.
Range = tuple[Pose, Pose]


@dataclass(frozen=True)
class Action:
    """One action for the right hand or foot.

    Attributes:
        keys: (phase, pose added to the posture) within one repetition, which starts and ends in the
            posture.
        reps, period: range of repetitions, and of seconds a repetition.
        hold, spread: where the hinges go before the repetitions, drawn from hold - spread to hold +
            spread; hinges that are not named stay where the person happened to have them.
        returns: false: stays in the last pose.
        lift: height of a jump between phases 0.4 and 0.75, metres.
        sitting: share of clips in which it is done on a chair.
    """

    name: str
    reps: tuple[float, float]
    period: tuple[float, float]
    keys: tuple[tuple[float, Pose], ...]
    hold: Pose = field(default_factory=dict)
    spread: Pose = field(default_factory=dict)
    returns: bool = True
    lift: float = 0.0
    sitting: float = 0.0


def both(**hinges: tuple[float, float, float]) -> Pose:
    """A pose of both sides."""
    return {f"{side}.{name}": angles for name, angles in hinges.items() for side in "rl"}


# Within their spreads, arms of different actions are held alike (wave and hammer, clap and box):
# one frame does not tell them, the motion does.
ACTIONS = (
    Action(
        "wave",
        (1.5, 2.2),
        (0.9, 1.4),
        sitting=0.4,
        hold={"r.shoulder": (20, -20, 45), "r.elbow": (70, 0, 0)},
        spread={"r.shoulder": (30, 40, 35), "r.elbow": (10, 0, 0)},
        keys=((0.25, {"r.elbow": (60, 0, 0)}), (0.75, {"r.elbow": (-60, 0, 0)})),
    ),
    Action(
        "hammer",
        (1.5, 2.2),
        (0.9, 1.4),
        sitting=0.4,
        hold={"r.shoulder": (45, 0, 15), "r.elbow": (70, 0, 0)},
        spread={"r.shoulder": (30, 20, 15), "r.elbow": (20, 0, 0)},
        keys=(
            (0.25, {"r.shoulder": (65, 0, 0), "r.elbow": (10, 0, 0)}),
            (0.75, {"r.shoulder": (-55, 0, 0), "r.elbow": (-15, 0, 0)}),
        ),
    ),
    Action(
        "clap",
        (1.5, 2.2),
        (0.9, 1.4),
        sitting=0.4,
        hold=both(shoulder=(35, 5, 10), elbow=(70, 0, 0)),
        spread=both(shoulder=(30, 10, 10), elbow=(20, 0, 0)),
        keys=((0.25, both(shoulder=(0, 45, -5))), (0.75, both(shoulder=(0, -45, 15)))),
    ),
    Action(
        # The arms take turns, where clap moves them together: held alike, one frame may fit either.
        "box",
        (1.5, 2.2),
        (0.9, 1.4),
        sitting=0.4,
        hold=both(shoulder=(30, 10, 15), elbow=(70, 0, 0)),
        spread=both(shoulder=(25, 20, 15), elbow=(20, 0, 0)),
        keys=(
            (
                0.25,
                {
                    "r.shoulder": (45, 0, 0),
                    "r.elbow": (-60, 0, 0),
                    "l.shoulder": (-40, 0, 0),
                    "l.elbow": (50, 0, 0),
                },
            ),
            (
                0.75,
                {
                    "l.shoulder": (45, 0, 0),
                    "l.elbow": (-60, 0, 0),
                    "r.shoulder": (-40, 0, 0),
                    "r.elbow": (50, 0, 0),
                },
            ),
        ),
    ),
    Action(
        "flap both arms",
        (1.5, 2.2),
        (0.9, 1.4),
        sitting=0.4,
        hold=both(shoulder=(20, 5, 40), elbow=(50, 0, 0)),
        spread=both(shoulder=(30, 35, 25), elbow=(40, 0, 0)),
        keys=((0.25, both(shoulder=(0, 0, 60))), (0.75, both(shoulder=(0, 0, -45)))),
    ),
    Action(
        # Trunk alone, so arms are wherever the person has them.
        "twist",
        (1.5, 2.2),
        (1.0, 1.5),
        sitting=0.4,
        keys=(
            (0.25, {"spine": (0, 25, 0), "chest": (0, 30, 0)}),
            (0.75, {"spine": (0, -25, 0), "chest": (0, -30, 0)}),
        ),
    ),
    Action(
        # The trunk, as in twist, but about another axis: speed does not tell the two apart.
        "sway",
        (1.5, 2.2),
        (1.0, 1.5),
        sitting=0.4,
        keys=(
            (0.25, {"root": (0, 0, 12), "spine": (0, 0, 15), "chest": (0, 0, 10)}),
            (0.75, {"root": (0, 0, -12), "spine": (0, 0, -15), "chest": (0, 0, -10)}),
        ),
    ),
    Action(
        # Never on a chair, from here on: these actions need the legs.
        "kick",
        (1.5, 2.2),
        (0.9, 1.4),
        keys=(
            (0.3, {"r.hip": (-35, 0, 0), "r.knee": (-45, 0, 0)}),
            (0.7, {"r.hip": (65, 0, 0), "r.knee": (-5, 0, 0)}),
        ),
    ),
    Action(
        "walk in place",
        (1.5, 2.2),
        (0.9, 1.4),
        keys=(
            (0.25, {"r.hip": (70, 0, 0), "r.knee": (-85, 0, 0)}),
            # Through the posture between two steps, or both legs would be half raised at once.
            (0.5, {}),
            (0.75, {"l.hip": (70, 0, 0), "l.knee": (-85, 0, 0)}),
        ),
    ),
    Action(
        "jump",
        (1.5, 2.2),
        (0.9, 1.3),
        # Feet stretch in the flight (phases 0.4 to 0.75), knees bend to land after it.
        lift=0.3,
        keys=(
            (0.25, both(hip=(40, 0, 0), knee=(-65, 0, 0), ankle=(25, 0, 0))),
            (0.5, both(ankle=(-30, 0, 0))),
            (0.8, both(hip=(30, 0, 0), knee=(-45, 0, 0), ankle=(15, 0, 0))),
        ),
    ),
    Action(
        "squat",
        (1.2, 1.8),
        (1.3, 2.0),
        keys=(
            (
                0.5,
                both(hip=(80, 0, 8), knee=(-100, 0, 0), ankle=(25, 0, 0)) | {"spine": (-15, 0, 0)},
            ),
        ),
    ),
    Action(
        "fall down",
        # Once, and for good: nobody falls twice in two seconds.
        (1, 1),
        (0.9, 1.6),
        returns=False,
        hold=both(shoulder=(10, 0, 5), elbow=(20, 0, 0)),
        keys=(
            (0.4, {"root": (-15, 0, 15)} | both(knee=(-40, 0, 0), hip=(35, 0, 0))),
            (0.9, {"root": (-10, 0, 100)} | both(knee=(-25, 0, 0), hip=(10, 0, -8))),
        ),
    ),
)

# Postures people are in whatever they do. They are drawn apart from the action, so that the other
# arm says nothing of the class.
ARMS: Range = (
    both(shoulder=(20, 10, 30), elbow=(60, 0, 0)),
    both(shoulder=(40, 45, 25), elbow=(50, 0, 0)),
)
TRUNK: Range = {}, {"spine": (14, 8, 6), "chest": (12, 8, 6), "head": (15, 20, 8)}
STANDING: Range = (
    both(hip=(20, 0, 8), knee=(-30, 0, 0)),
    both(hip=(20, 8, 6), knee=(30, 0, 0), ankle=(6, 0, 0)),
)
SITTING: Range = (
    both(hip=(85, 0, 8), knee=(-85, 0, 0)),
    both(hip=(10, 8, 8), knee=(20, 0, 0), ankle=(6, 0, 0)),
)
