"""What the names of NTU RGB+D recordings say, and the published splits by them (arXiv 1604.02808,
arXiv 1905.04757).

SsssCcccPpppRrrrAaaa: setup, camera, subject, replication, action; the class is the action less one.
"""

from __future__ import annotations

import re

import numpy as np

from teachers.weights.benchmarks import NTU_120

__all__ = ["NTU_120", "edition", "numbers", "problem", "split_counts", "trains"]

# Fixed widths: names are sorted, compared and kept as 20 bytes.
NAME = re.compile(r"S(\d{3})C(\d{3})P(\d{3})R(\d{3})A(\d{3})")
LENGTH = 20
PARTS = ("setup", "camera", "subject", "replication", "action")
# The highest number of each in NTU RGB+D 120; all of them count from 1.
MOST = (32, 3, 106, 2, 120)
# Of NTU RGB+D 60; the rest came with 120.
SMALL_SETUPS = 17
SMALL_CLASSES = 60
# The 20 of NTU 60 are the first of these 53, so one list serves both editions.
TRAIN_SUBJECTS = (
    1,
    2,
    4,
    5,
    8,
    9,
    13,
    14,
    15,
    16,
    17,
    18,
    19,
    25,
    27,
    28,
    31,
    34,
    35,
    38,
    45,
    46,
    47,
    49,
    50,
    52,
    53,
    54,
    55,
    56,
    57,
    58,
    59,
    70,
    74,
    78,
    80,
    81,
    82,
    83,
    84,
    85,
    86,
    89,
    91,
    92,
    93,
    94,
    95,
    97,
    98,
    100,
    103,
)
# Cameras 2 and 3 train: front and side views; camera 1 sees everybody at 45 degrees.
TRAIN_CAMERAS = (2, 3)
# Clips that remain after the lists of missing skeletons, and how many of them train and test.
# NTU 120 replaced X-View by X-Set (arXiv 1905.04757), so each edition has two benchmarks.
PUBLISHED = {
    60: (56_578, {"xsub": (40_091, 16_487), "xview": (37_646, 18_932)}),
    120: (113_945, {"xsub": (63_026, 50_919), "xset": (54_468, 59_477)}),
}


def problem(name: str) -> str:
    """What is wrong with a name, in words; "" for a name of NTU RGB+D."""
    # fullmatch: copies are often called S001C001P001R001A001(1).
    match = NAME.fullmatch(name)
    if not match:
        return "its name is not like S001C001P001R001A001, which says class and split"
    # A number out of range is a slip or another set; its class or split would be silently wrong.
    for part, number, most in zip(PARTS, map(int, match.groups()), MOST, strict=True):
        if not 1 <= number <= most:
            return f"{part} {number} in its name is none of NTU RGB+D, which has 1 to {most}"
    return ""


def numbers(names: np.ndarray) -> np.ndarray:
    """(n, 5) int64 setup, camera, subject, replication, action of (n,) names, all of them good, as
    bytes of length 20."""
    # The letters as bytes, five groups of a letter and three digits: 114,000 regular expressions
    # would take longer than all the rest of opening a cache.
    letters = np.ascontiguousarray(names).astype(f"S{LENGTH}").view(np.uint8)
    digits = letters.reshape(-1, 5, 4)[:, :, 1:].astype(np.int64) - ord("0")
    return digits @ np.array([100, 10, 1])


def trains(recordings: np.ndarray, benchmark: str) -> np.ndarray:
    """(n,) whether a clip trains; the others test."""
    setup = recordings[:, 0]
    camera = recordings[:, 1]
    subject = recordings[:, 2]
    if benchmark == "xset":
        # The paper's rule: even setup numbers train, odd ones test.
        return setup % 2 == 0
    if benchmark == "xview":
        return np.isin(camera, TRAIN_CAMERAS)
    # X-Sub of both editions: subjects above 40 occur in NTU 120 alone.
    return np.isin(subject, TRAIN_SUBJECTS)


def edition(recordings: np.ndarray) -> int:
    """60, or 120 where a setup or an action is there that came with it."""
    # Either is enough: of a part of NTU 120 one may have the new setups with old actions.
    later_setup = (recordings[:, 0] > SMALL_SETUPS).any()
    later_action = (recordings[:, 4] > SMALL_CLASSES).any()
    return 120 if later_setup or later_action else 60


def split_counts(recordings: np.ndarray) -> dict[str, tuple[int, int]]:
    """{benchmark: (clips to train, clips to test)} of the benchmarks that the set's edition has."""
    counts = {}
    for benchmark in PUBLISHED[edition(recordings)][1]:
        # int, because the counts go into report.json and json refuses numpy's integers.
        train = int(trains(recordings, benchmark).sum())
        counts[benchmark] = (train, len(recordings) - train)
    return counts
