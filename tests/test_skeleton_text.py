"""Raw `.skeleton` text: what it says is read exactly, and whatever else the bytes are, the answer
is an error that helps."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from skeleton_sample import write

from compress.data.ntu import skeleton_text
from compress.data.ntu.clean import efficientgcn_raw
from teachers.errors import DataError

JOINTS = np.random.default_rng(0).normal(size=(4, 25, 3)).astype(np.float32)
FIRST, SECOND = 72057594037931101, 72057594037931102  # the same as doubles
FRAMES = [
    [],
    [(FIRST, JOINTS[0])],
    [(SECOND, JOINTS[1]), (FIRST, JOINTS[2])],
    [(SECOND, JOINTS[3])],
]
TEXT = write(FRAMES)
LINES = TEXT.decode().split(
    "\r\n"
)  # 0: frames, 1: no body, 2: a body, 3: its id, 4: 25, 5-29: joints, 30: two bodies
FIX = "copy the file again, or remove it"
quick = settings(deadline=None, database=None, derandomize=True, max_examples=400)


def changed(line: int, text: str) -> bytes:
    return "\n".join([*LINES[:line], text, *LINES[line + 1 :]]).encode()


def failure(data: bytes) -> str:
    with pytest.raises(DataError) as caught:
        skeleton_text.parse(data, "x.skeleton")
    return str(caught.value)


@pytest.mark.parametrize("end", ["\r\n", "\n"])
def test_bodies_are_read_with_their_frames_and_places(end):
    recording = skeleton_text.parse(write(FRAMES, end), "x")
    assert recording.frames == 4 and list(recording.bodies) == [str(FIRST), str(SECOND)]
    for name, frames, places, joints in (
        (FIRST, [1, 2], [0, 1], [0, 2]),
        (SECOND, [2, 3], [0, 0], [1, 3]),
    ):
        body = recording.bodies[str(name)]
        assert (body.frames.tolist(), body.places.tolist(), body.joints.dtype) == (
            frames,
            places,
            np.float32,
        )
        np.testing.assert_array_equal(body.joints, JOINTS[joints])


def test_nan_is_a_coordinate_and_what_is_not_kept_may_be_infinite():
    recording = skeleton_text.parse(changed(5, "NaN 1e-3 -nan -inf Infinity 3 4 5 6 7 8 2"), "x")
    np.testing.assert_array_equal(
        recording.bodies[str(FIRST)].joints[0, 0], np.array([np.nan, 1e-3, np.nan], np.float32)
    )


def test_a_recording_of_nobody():
    assert skeleton_text.parse(b"2\n0\n0\n\n", "x") == skeleton_text.Recording(2, {})


@pytest.mark.parametrize(
    "data, message",
    [
        (b"", "line 1: the end of the file, expected the number of frames"),
        (b"\x00" + TEXT, "line 1: holds b'\\x00', expected numbers"),
        (changed(9, "a_b"), "line 10: holds b'_', expected numbers"),
        (changed(0, "-1"), "line 1: '-1', expected the number of frames"),
        (
            changed(0, "0"),
            "line 1: 0 frames (lines left: 112), expected 1 to 20000 with a line or more each",
        ),
        (
            changed(0, "1000000000"),
            (
                "line 1: 1000000000 frames (lines left: 112), expected 1 to 20000 with a line or"
                " more each"
            ),
        ),
        (
            b"20001" + b"\n0" * 20001,
            (
                "line 1: 20001 frames (lines left: 20001), expected 1 to 20000 with a line or more"
                " each"
            ),
        ),
        (b"9" * 5000, f"line 1: '{'9' * 40}...', expected the number of frames"),
        (
            changed(0, "5"),
            "line 114: the end of the file, expected the number of bodies in frame 4",
        ),
        (changed(0, "3"), "line 86: '1', expected the end after 3 frames"),
        (changed(2, "1.0"), "line 3: '1.0', expected the number of bodies in frame 1"),
        (
            changed(2, "999999999999"),
            "line 3: 999999999999 bodies in frame 1 (lines left: 110), expected 27 lines for each",
        ),
        (
            b"\n".join(TEXT.splitlines()[:20]),
            "line 3: 1 bodies in frame 1 (lines left: 17), expected 27 lines for each",
        ),
        (changed(3, "1 2 3"), "line 4: '1 2 3', expected the id of a body and nine numbers"),
        (
            changed(3, "1.5 0 1 1 1 1 0 0 0 2"),
            "line 4: '1.5 0 1 1 1 1 0 0 0 2', expected the id of a body and nine numbers",
        ),
        (
            changed(3, "1 0 1 1 1 1 0 0 1e 2"),
            "line 4: '1 0 1 1 1 1 0 0 1e 2', expected the id of a body and nine numbers",
        ),
        (changed(4, "24"), "line 5: 24 joints, expected 25"),
        (changed(5, ""), "line 6: '', expected the 12 numbers of a joint"),
        (changed(7, "1 2 3"), "line 8: '1 2 3', expected the 12 numbers of a joint"),
        (
            changed(29, "1 2 3 4 5 6 7 8 9 10 11 1e"),
            "line 30: '1 2 3 4 5 6 7 8 9 10 11 1e', expected the 12 numbers of a joint",
        ),
        (
            changed(33, "1 inf 3 4 5 6 7 8 9 10 11 2"),
            (
                "line 34: '1 inf 3 4 5 6 7 8 9 10 11 2', expected coordinates that are finite in"
                " float32, or NaN"
            ),
        ),
        (
            changed(33, "1 2 -1e39 4 5 6 7 8 9 10 11 2"),
            (
                "line 34: '1 2 -1e39 4 5 6 7 8 9 10 11 2', expected coordinates that are finite in"
                " float32, or NaN"
            ),
        ),
        (
            changed(58, LINES[31]),
            f"line 59: body {SECOND} for the second time in frame 2, expected every body once",
        ),
        (TEXT + b"1\r\n", "line 114: '1', expected the end after 4 frames"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(data, message):
    assert failure(data) == f"x.skeleton: {message}; {FIX}"


def test_claims_cost_no_memory():
    skeleton_text.parse(TEXT, "x")
    tracemalloc.start()
    for claim in (
        b"999999999999\n0\n",
        b"20000\n0\n",
        b"1\n999999999999\n",
        b"1\n1\n1 0 1 1 1 1 0 0 0 2\n999999999999\n",
    ):
        failure(claim)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000


def test_files_that_are_too_large_or_unreadable(tmp_path, monkeypatch):
    path = tmp_path / "x.skeleton"
    path.write_bytes(TEXT)
    assert list(skeleton_text.read(path).bodies) == [str(FIRST), str(SECOND)]
    monkeypatch.setattr(skeleton_text, "LARGEST_FILE", len(TEXT) - 1)
    with pytest.raises(DataError) as caught:
        skeleton_text.read(path)
    assert (
        str(caught.value)
        == f"{path}: more than {len(TEXT) - 1} bytes are no NTU RGB+D recording; remove it"
    )
    with pytest.raises(DataError) as caught:
        skeleton_text.read(tmp_path)
    assert (
        str(caught.value)
        == f"{tmp_path}: cannot be read (Is a directory); check its permissions or copy it again"
    )


def test_the_two_places_of_most_energy_become_the_persons():
    """A place is filled by whoever stands there; ids do not matter."""
    clip = efficientgcn_raw(skeleton_text.parse(TEXT, "x"))
    first, second = np.zeros((2, 4, 25, 3), np.float32)
    first[1:], second[2] = JOINTS[[0, 1, 3]], JOINTS[2]
    energies = [sum(place.std(axis=(0, 1))) for place in (JOINTS[[0, 1, 3]], JOINTS[[2]])]
    order = [first, second] if energies[0] > energies[1] else [second, first]
    assert clip.dtype == np.float32 and clip.flags["C_CONTIGUOUS"]
    np.testing.assert_array_equal(clip, np.stack(order).transpose(3, 1, 2, 0))


@pytest.mark.parametrize(
    "scales, kept",
    [
        ((1, 2, 3), (2, 1)),
        ((3, 1, 2), (0, 2)),
        ((1, 2, 3, 4, 9), (3, 2)),
        ((2, 2), (1, 0)),
        ((1,), (0, None)),
        ((1, np.nan, 2), (2, 0)),
        ((), (None, None)),
    ],
)
def test_energy_orders_places(scales, kept):
    """The highest first, of equal ones the later; a fifth body is not looked at, nor a place of
    nothing but NaN."""
    bodies = [scale * JOINTS[0] for scale in scales]
    clip = efficientgcn_raw(skeleton_text.parse(write([list(enumerate(bodies))] * 2), "x"))
    expected = [np.zeros_like(JOINTS[0]) if place is None else bodies[place] for place in kept]
    np.testing.assert_array_equal(
        clip, np.stack([np.stack(expected).transpose(2, 1, 0)] * 2, axis=1)
    )


def survives(data: bytes) -> None:
    """Either an error with the file's name and the fix, or a recording that keeps its promises."""
    try:
        recording = skeleton_text.parse(data, "x.skeleton")
    except DataError as error:
        assert str(error).startswith("x.skeleton: line ") and str(error).endswith(FIX)
        return
    assert 1 <= recording.frames < len(data)
    for body in recording.bodies.values():
        assert len(body.frames) == len(body.places) == len(body.joints) > 0 and body.joints.shape[
            1:
        ] == (25, 3)
        assert (
            (np.diff(body.frames) > 0).all()
            and body.frames[0] >= 0
            and body.frames[-1] < recording.frames
        )
        assert (
            (body.places >= 0).all()
            and body.joints.dtype == np.float32
            and not np.isinf(body.joints).any()
        )
    assert efficientgcn_raw(recording).shape == (3, recording.frames, 25, 2)


TOKENS = st.sampled_from(
    [
        b"0",
        b"1",
        b"2",
        b"25",
        b"26",
        b"-1",
        b"1e999",
        b"1e39",
        b"nan",
        b"inf",
        b"1_0",
        b"0x1",
        b"+5",
        b".",
        b"",
        b" ",
        b"\n",
        b"\r",
        b"\r\n",
        b"\t",
        b"\x00",
        b"\xff",
        b"\x0b",
        b"99999999999999999999",
        b"1000000000",
        b"#",
    ]
)
LINE = st.lists(TOKENS, max_size=13).map(b" ".join)


@quick
@given(st.one_of(st.binary(max_size=500), st.lists(LINE, max_size=60).map(b"\n".join)))
def test_any_bytes_are_read_or_refused(data):
    survives(data)


@quick
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["token", "line", "cut", "copy", "drop", "swap"]),
            st.integers(0, 10**6),
            st.integers(0, 10**6),
            st.one_of(TOKENS, LINE, st.binary(max_size=8)),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_damaged_recordings_are_read_or_refused(damages):
    lines = TEXT.splitlines()
    for kind, where, column, new in damages:
        at = where % len(lines)
        if kind == "token":
            tokens = lines[at].split() or [b""]
            tokens[column % len(tokens)] = new
            lines[at] = b" ".join(tokens)
        elif kind == "line":
            lines[at] = new
        elif kind == "cut":
            lines = [*lines[:at], lines[at][: column % (len(lines[at]) + 1)]]
        elif kind == "copy":
            lines = [*lines[:at], lines[at], *lines[at:]]
        elif kind == "drop":
            lines = [*lines[:at], *lines[at + 1 :]] or [b""]
        else:
            lines[at], lines[column % len(lines)] = lines[column % len(lines)], lines[at]
    survives(b"\n".join(lines))


@settings(quick, max_examples=40)
@given(
    st.lists(st.lists(st.integers(0, 2**63), unique=True, max_size=4), min_size=1, max_size=6),
    st.integers(0, 99),
)
def test_what_was_written_is_what_is_read(ids, seed):
    generator = np.random.default_rng(seed)
    frames = [
        [
            (
                name,
                generator.normal(0, 10.0 ** generator.integers(-40, 38), (25, 3)).astype(
                    np.float32
                ),
            )
            for name in names
        ]
        for names in ids
    ]
    recording = skeleton_text.parse(write(frames), "x")
    assert recording.frames == len(frames)
    assert list(recording.bodies) == list(
        dict.fromkeys(str(name) for names in ids for name in names)
    )
    for frame, bodies in enumerate(frames):
        for place, (name, joints) in enumerate(bodies):
            body = recording.bodies[str(name)]
            index = body.frames.tolist().index(frame)
            assert body.places[index] == place
            np.testing.assert_array_equal(body.joints[index], joints)
