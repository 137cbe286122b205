"""Every step of `export.preprocess.ops` in words and numbers, as `deployed.json` carries it: whoever
has the folder can write the client, in any language, without this project.

Joints are counted from 0 here, as everywhere in `deployed.json` since its version 2.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

# One for all: what the texts below take as known.
TERMS = (
    "x is a clip x[C, T, V, M] in float32: coordinates, frames, joints, persons, all counted from 0,"
    " with as many persons as input.shape has: more are cut, missing ones are zeros. A person is"
    " missing from a frame, and a frame is empty, where all its numbers are 0. The steps of"
    " preprocessing run in order, each with the keys beside its op. Divisions are of reals unless"
    " floor is written. All arithmetic is float32 unless float64 is written."
)

_ALIGN = (
    " Then everything is turned so that in frame 0 of person 0 the vector from spine[0] to spine[1]"
    " points along (0, 0, 1); after that so that the vector from shoulders[1] to shoulders[0] points"
    " along (1, 0, 0); a key that is not there is left out. A turn from vector v onto unit axis a is"
    " in float64 R = I + s K + (1 - c) K K with n = v x a, s = |n| / |v|, c = v.a / |v| and K the"
    " cross product matrix of n / |n|; I where |v| < 1e-6 or the sum of |n_i| < 1e-6; R is rounded"
    " to float32, and every point p becomes R p."
)

TEXTS: Mapping[str, str] = {
    "centre": (
        "Subtract x[:, frame, joint, person] (frame and person are 0 where not given) from every"
        " joint of every person who is not missing from a frame."
    ),
    "centre_seen": (
        "Only the first `coordinates` channels (3 where not given) move. A joint is seen where one of"
        " them is not 0. Person m is around the origin in frame t where, for each coordinate,"
        " low <= h and high >= -h, low and high being the extremes over the seen joints and h half"
        " of the largest high - low. Take the first frame, and in it the first person, of whom"
        " `joint` is seen or who is around the origin; subtract x[:, t, joint, m] from every seen"
        " joint. No such frame: nothing changes."
    ),
    "trim": "Drop the empty frames at the end; of a clip of zeros keep frame 0.",
    "window": (
        "n = index of the last frame that is not empty, plus 1; n = 1 of a clip of zeros. n > frames:"
        " keep the `frames` frames from floor((n - frames) / 2) on, else the first n. With pad, frame i"
        " of `frames` is then, of the L kept, i modulo L (loop) or min(i, L - 1) (hold). Windows of"
        " fewer than `least` frames were not trained on: do not answer them."
    ),
    "drop_empty": "Drop every empty frame; of a clip of zeros keep frame 0.",
    "min_max": (
        "For each coordinate, a = min and b = max over frames, joints and persons:"
        " (x - a) / (b - a) * (high - low) + low, with 1 in place of b - a where b = a."
    ),
    "sample": "Take frames floor(i * (T - 1) / (frames - 1)) for i = 0 .. frames - 1, in float64.",
    "crop_resize": (
        "n = index of the last frame that is not empty, plus 1. k = floor((1 - ratio) * n / 2) in"
        " float64. Keep frames k .. n - k - 1, L of them. Resize in time: frame i of `frames` is at"
        " p = (i + 0.5) * L / frames - 0.5, limited to 0 .. L - 1, in float64; w = p - floor(p)"
        " rounded to float32; x[floor(p)] * (1 - w) + x[min(floor(p) + 1, L - 1)] * w."
    ),
    "loop": "Frame i of `frames` is frame i modulo T.",
    "fit": "The first `frames` frames; empty ones behind where there are fewer.",
    "uniform": (
        "View v of n (n = clips; v = 0 .. n - 1 replaces clip). frames <= T: frame i is"
        " floor((2 (i n + v) + 1) * T / (2 n frames)). Else frame i is (s + i) modulo T, with"
        " s = v where n > T, else floor(v * T / n)."
    ),
    "normalise_3d": (
        "Person p is in most frames (of equal ones the first). Nobody in any frame: keep person 0"
        " alone. Keep the frames that p is in, and put p first, the others behind in their order."
        " Subtract x[:, 0, centre, 0] from every joint whose numbers are not all 0." + _ALIGN
    ),
    "normalise_2d": (
        "Only channels 0 and 1 change. With image = [width, height]: x = (x - width / 2) / (width /"
        " 2), y likewise; without it, over all seen joints, middle = (min + max) / 2 of each and both"
        " divided by half of the larger max - min (at least 1e-6). Seen is a joint whose x or y is"
        " not 0 and, where threshold is given, whose last channel is above it. Where a person's x"
        " and y are all 0 in a frame, and where the last channel is not above threshold, x and y"
        " become 0."
    ),
    "view_transform": (
        "Each person by themselves: missing from frame 0, their missing frames are dropped, else"
        " those behind their last one; what is left is repeated until T frames are full. Subtract"
        " x[:, t, centre, 0] of every frame t from all joints whose numbers are not all 0. With once:"
        " a clip whose joint centre of person 0 is 0 in every frame stays as it is." + _ALIGN
    ),
    "map_joints": (
        "The joints change. Joint i of the result is the sum of weight * point over the pairs"
        " [weight, [joint, ...]] of joints[i], in their order; a point is the sum of its joints over"
        " how many of them are seen, a joint being seen where a coordinate of it is not 0. With a"
        " point of which none is seen the joint is 0. With score the last channel is a confidence:"
        " the smallest of the seen joints that it is made of, 0 where the joint is. With axes,"
        " coordinate k is then the one that axes[k] names (x, y, z); - turns its sign."
    ),
    "stream": (
        "By kind. bone: joint a of every pair [a, b] of bones becomes x[a] - x[b], joints that are no a become"
        " 0. joint_motion: frame t becomes x[t + 1] - x[t], the last frame 0; with absent, 0 where a"
        " person is missing from either frame. bone_motion: bone, then motion; who is missing is"
        " decided before. With score the last channel is a confidence: of a bone the mean of both"
        " joints' ((x[a] + x[b]) / 2; joints that are no a keep theirs), of a motion the mean of both"
        " frames' (last frame 0)."
    ),
    "branches": (
        "6 C channels, one block behind the other: x; x less joint centre of the same frame and"
        " person; x[t + 1] - x[t]; x[t + 2] - x[t]; v = x[a] - x[b] of every pair [a, b] of bones"
        " at joint a, 0 at others; arccos(v / (|v| + 0.0001)) in float64, rounded to float32. Both"
        " differences in time are 0 in the last two frames."
    ),
}


# Of `recorded.repair_bones`, which comes before the steps.
REPAIR = (
    "Before the steps. Missing is a joint that is not a number, and one at 0 whose person has another"
    " that is not, unless the seen joints of the clip lie on either side of 0 along every axis (or all"
    " at 0 of it). It is interpolated linearly in time between the nearest frames of its person that"
    " have it, and takes the first or last such place beyond them. A joint that a person never has"
    " takes the place of the nearest by pairs of repair_bones, of equally near ones the first; 0 where"
    " no pair leads to one. Frames of zeros stay."
)


def of(steps: Iterable[Mapping[str, object]], repairs: bool = False) -> dict[str, str]:
    """{op: what it does} of the steps of a folder, with the terms that the texts use.

    Args:
        repairs: missing joints are filled, see REPAIR.
    """
    names = dict.fromkeys(str(step.get("op")) for step in steps)
    texts = {"repair_bones": REPAIR} if repairs else {}
    texts |= {name: TEXTS[name] for name in names if name in TEXTS}
    return {"terms": TERMS, **texts} if texts else {}
