"""The parts of a body that joints of any skeleton are, and how one part is made of others.

A part is a side and a word: `left wrist`, `pelvis`. In the tables, `S` stands for either side.
"""

from __future__ import annotations

from collections.abc import Sequence

from teachers.skeleton.sides import split_side

# Weighted means of parts; several parts of one weight count as one point, their mean.
Mean = tuple[tuple[float, tuple[str, ...]], ...]

# Words of different authors for one part.
_WORDS = {
    "spine base": "pelvis",
    "hip centre": "pelvis",
    "hip center": "pelvis",
    "middle hip": "pelvis",
    "mid hip": "pelvis",
    "hip": "pelvis",
    "hips": "pelvis",
    "root": "pelvis",
    "spine middle": "spine",
    "spine mid": "spine",
    "belly": "spine",
    "torso": "spine",
    "spine top": "shoulder centre",
    "spine shoulder": "shoulder centre",
    "shoulder center": "shoulder centre",
    "thorax": "shoulder centre",
    "chest": "shoulder centre",
    "left foot index": "left big toe",
    "right foot index": "right big toe",
    # 48 and 54 of the face's points are the corners of the mouth.
    "left lip 0": "left mouth",
    "right lip 0": "right mouth",
    "left index 1": "left index",
    "right index 1": "right index",
    "left pinky 1": "left pinky",
    "right pinky 1": "right pinky",
    "left thumb 4": "left thumb",
    "right thumb 4": "right thumb",
}

# In the order in which they are tried. Kinect's neck lies between its shoulder centre and head, its
# hand in the palm; MediaPipe's index and pinky are knuckles.
_DERIVED: dict[str, tuple[Mean, ...]] = {
    "pelvis": (((1, ("left hip", "right hip")),),),
    "shoulder centre": (((1, ("left shoulder", "right shoulder")),),),
    "spine": (((0.5, ("pelvis",)), (0.5, ("shoulder centre",))),),
    "neck": (((0.67, ("shoulder centre",)), (0.33, ("head",))),),
    # The ears are level with the centre of the head, and the nose is in front of it.
    "head": (
        ((1, ("left ear", "right ear")),),
        ((1, ("nose", "head top")),),
        ((1, ("left eye", "right eye")),),
        ((1, ("nose",)),),
        ((1, ("head top",)),),
    ),
    "S eye": (((1, ("S eye inner", "S eye outer")),),),
    "S wrist": (((1, ("S hand root",)),),),
    "S hand root": (((1, ("S wrist",)),),),
    "S hand": (
        ((0.5, ("S wrist",)), (0.5, ("S middle 1",))),
        ((0.5, ("S wrist",)), (0.5, ("S index", "S pinky"))),
    ),
    "S hand tip": (
        ((1, ("S middle 4",)),),
        # Beyond the knuckles, by the proportions of a hand.
        ((1.7, ("S index", "S pinky")), (-0.7, ("S wrist",))),
    ),
    "S index": (((0.5, ("S hand",)), (0.5, ("S hand tip",))),),
    "S pinky": (((0.5, ("S hand",)), (0.5, ("S hand tip",))),),
    "S foot": (((1, ("S big toe", "S small toe")),), ((1, ("S big toe",)),)),
    "S big toe": (((1, ("S foot",)),),),
    "S small toe": (((1, ("S foot",)),), ((1, ("S big toe",)),)),
}

# Where a part cannot be had, the next one towards the pelvis.
_INWARD = {
    "S eye inner": "S eye",
    "S eye outer": "S eye",
    "S eye": "nose",
    "S mouth": "nose",
    "nose": "head",
    "S ear": "head",
    "head top": "head",
    "head": "neck",
    "neck": "shoulder centre",
    "S thumb": "S hand",
    "S hand tip": "S hand",
    "S index": "S hand",
    "S pinky": "S hand",
    "S hand": "S wrist",
    "S hand root": "S wrist",
    "S wrist": "S elbow",
    "S elbow": "S shoulder",
    "S shoulder": "shoulder centre",
    "shoulder centre": "spine",
    "spine": "pelvis",
    "S big toe": "S ankle",
    "S small toe": "S ankle",
    "S foot": "S ankle",
    "S heel": "S ankle",
    "S ankle": "S knee",
    "S knee": "S hip",
    "S hip": "pelvis",
}


def parts_of(names: Sequence[str]) -> tuple[str, ...]:
    """The part that each joint is, by its name; a name that no table has is a part of its own."""
    parts = []
    for name in names:
        side, rest = split_side(name)
        part = f"{side} {rest}".strip()
        parts.append(_WORDS.get(part, part))
    # OpenPose's and Halpe's neck is the middle of the shoulders; Kinect's, above it, has another
    # joint there.
    if "shoulder centre" not in parts:
        parts = ["shoulder centre" if part == "neck" else part for part in parts]
    return tuple(parts)


def derived(part: str) -> tuple[Mean, ...]:
    """How a part is made of others, the best way first."""
    side, general = _general(part)
    return tuple(
        tuple((weight, tuple(_sided(word, side) for word in words)) for weight, words in mean)
        for mean in _DERIVED.get(general, ())
    )


def inward(part: str) -> str | None:
    """The next part towards the pelvis; None for the pelvis and for parts that no table has."""
    side, general = _general(part)
    following = _INWARD.get(general)
    return None if following is None else _sided(following, side)


def _general(part: str) -> tuple[str, str]:
    side, _, rest = part.partition(" ")
    return (side, f"S {rest}") if side in ("left", "right") else ("", part)


def _sided(word: str, side: str) -> str:
    return f"{side} {word[2:]}" if word.startswith("S ") else word
