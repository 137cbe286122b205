"""Valid inputs of every kind that `fuzz.py` damages, how they are read, and how they are damaged."""

from __future__ import annotations

import json
import pickle
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks import fuzz_poses
from compress.data import nw_ucla, pyskl
from compress.data.bad_clips import BadClips
from compress.data.ntu import prepared_files, skeleton_text
from compress.data.ntu.clean import efficientgcn_raw
from compress.data.own import dataset_yaml, kinetics_labels, labels_csv, splits
from compress.data.own.labels import numbered
from compress.data.own.paths import Folder
from compress.data.poses import csv_files, scores, table
from compress.data.poses.contract import Wanted
from teachers.errors import DataError
from teachers.weights import safe_pickle

WANTED = Wanted(3, 2, persons=2)
# (M, T, V, C)
CLIP = np.random.default_rng(0).normal(size=(2, 3, 3, 2)).round(3)
# What readers of text have fallen over: huge and negative counts, numbers that are none, nesting,
# NUL, broken UTF-8, YAML anchors, paths out of the folder. Python refuses to turn more than 4,300
# digits into a number, so one token has more.
TOKENS = [
    b"0",
    b"-1",
    b"1",
    b"25",
    b"1e999",
    b"nan",
    b"null",
    b"true",
    b"[",
    b"]",
    b"{",
    b"}",
    b",",
    b'"',
    b"\n",
    b"\x00",
    b"\xff",
    b"9" * 12,
    b"9" * 5000,
    b"1000000000",
    b"[" * 3000,
    b"frame",
    b"../",
    b"/etc/passwd.csv",
    b"&a [*a]",
    b'"\\Uffffffff"',
    b": ",
    b"- ",
    b"%",
]
# Every opcode of the pickle protocols, and globals: what a pickle needs to call something.
OPCODES = [
    bytes([code])
    for code in b"()].RQ0123456789abcdeghijklpqrstu}\x80\x81\x82\x85\x86\x87\x8a\x8b\x8c\x8d\x8e\x8f\x90\x91\x92\x93\x94\x95\x96"
]
GLOBALS = [
    b"cos\nsystem\n",
    b"cbuiltins\neval\n",
    b"cnumpy\nndarray\n",
    b"cnumpy\ndtype\n",
    b"cbuiltins\nset\n",
    b"cnumpy.core.multiarray\n_reconstruct\n",
    b"cnumpy.core.multiarray\nscalar\n",
    b"ccollections\nOrderedDict\n",
    b"h\x00h\x00\x86q\x00" * 40,
    b"J\xff\xff\xff\x7f",
    b"U\x02V9",
    b"\x85R",
]


class Call:
    """Pickles as a call of any function."""

    def __init__(self, function: Callable, *arguments):
        self.reduced = function, arguments

    def __reduce__(self):
        return self.reduced


def seeds(marker: Path) -> dict[str, list[bytes]]:
    """{kind: valid inputs}; half of the pickles are hostile and would write `marker` if they were
    run."""
    clip = CLIP
    # One person, two, and frames in which nobody is seen: the three shapes that a reader takes.
    clip_frames: list[list] = [clip[0].tolist(), clip.transpose(1, 0, 2, 3).tolist(), [[], None]]
    return {
        "skeleton": [_skeleton([[], [1], [2, 1]]), _skeleton([[7]] * 2)],
        "nw_ucla json": [
            json.dumps(
                {
                    "file_name": "a01_s01_e00_v01",
                    "skeletons": np.zeros((2, 20, 3)).tolist(),
                    "label": 1,
                }
            ).encode()
        ],
        "own json": [json.dumps({"frames": frames}).encode() for frames in clip_frames],
        **fuzz_poses.seeds(clip),
        "own csv": _csv(clip),
        "own npy": (
            [_npy(clip.transpose(3, 1, 2, 0).astype(kind)) for kind in ("f4", "f8", "i2")]
            + [_npy(clip[0]), _npy(clip[0].reshape(3, 6))]
        ),
        "npz": [
            _npz(clip=clip[0]),
            _npz(keypoints=clip[0], scores=clip[0, ..., 0], label=np.array(1)),
        ],
        "kinetics labels": [fuzz_poses.kinetics_labels()],
        "labels.csv": [
            b"file,label,split\nclip.csv,walk,train\nclip.npy,sit,val\n",
            b'file,label\n"clip.csv",0\nclip.npy,1\n',
        ],
        "dataset.yaml": [
            (
                b"joints: 3\nedges: [[2, 1], [3, 2]]\ncentre: 1\npersons: 2\ncoordinates: 2\nsplit:"
                b" {val: [P03]}\nclasses: [a, b]\n"
            ),
            (
                b"joints: 3\nedges: &e [[2, 1]]\nnames: [hip, knee, foot]\nsplit: {fraction: 0.2,"
                b" seed: 1}\nframe_rate: 30\n"
            ),
        ],
        "label pickle": (
            [
                pickle.dumps(content, protocol)
                for protocol in range(6)
                for content in ([["a", b"b"], [0, 1]], [["a", "b"], np.array([0, 1])])
            ]
            * 10
            + hostile(marker)
        ),
        "annotation pickle": (
            [pickle.dumps(_annotations(clip), protocol) for protocol in range(6)] * 20
            + hostile(marker)
        ),
    }


def _csv(clip: np.ndarray) -> list[bytes]:
    rows = [
        ",".join(map(str, [frame, person, *clip[person, frame].ravel()]))
        for frame in range(3)
        for person in range(2)
    ]
    return [
        "\n".join(["frame,person,x0,y0,x1,y1,x2,y2", *rows]).encode(),
        b"x1,y1,x2,y2,x3,y3\n1,2,3,4,5,6\n,1,1,1,1,1e3\n",
        b"index;x0;y0;conf0;x1;y1;conf1;x2;y2;conf2;timestamp\n0;1,5;2;1;3;4;0;5;6;1;00:00\n",
    ]


def hostile(marker: Path) -> list[bytes]:
    """Pickles that write a file when something runs them."""
    import os
    import subprocess

    text = str(marker)
    calls = [
        Call(os.system, f"touch {text}"),
        Call(os.open, text, os.O_CREAT),
        Call(eval, f"open({text!r}, 'w')"),
        Call(open, text, "w"),
        Call(exec, f"open({text!r}, 'w')"),
        Call(subprocess.call, ["touch", text]),
        Call(np.save, text, 1),
        Call(Path.touch, Path(text)),
        Call(pickle.loads, pickle.dumps(Call(os.system, f"touch {text}"))),
    ]
    return [
        # Bare, and inside what a label file holds: the reader must refuse it wherever it stands.
        pickle.dumps(wrapped, protocol)
        for call in calls
        for wrapped in (call, [["a", "b"], [0, call]])
        for protocol in range(6)
    ]


def readers(folder: Path) -> dict[str, Callable[[bytes], object]]:
    """{kind: reads the input or raises a FeatherboneError}; what reads files reads them in
    `folder`."""
    np.save(folder / "clip.npy", np.zeros((2, 3, 3, 2)))
    for split in ("k_train", "k_val"):
        (folder / "kinetics" / split).mkdir(parents=True, exist_ok=True)
        (folder / "kinetics" / f"{split}_label.json").write_bytes(fuzz_poses.kinetics_labels())
        for clip in fuzz_poses.CLIPS:
            (folder / "kinetics" / split / f"{clip}.json").write_bytes(b"{}")
    (folder / "clip").mkdir(exist_ok=True)
    (folder / "clip" / "v_00_keypoints.json").write_bytes(fuzz_poses.seeds(CLIP)["frame folder"][0])
    (folder / "clip.csv").write_text("x0,y0,x1,y1,x2,y2\n1,1,1,1,1,1\n")

    # These readers take paths; the file is written again for each input.
    def written(name: str, read: Callable[[Path], object]) -> Callable[[bytes], object]:
        def run(data: bytes):
            (folder / name).write_bytes(data)
            return read(folder / name)

        return run

    def labels(_: Path):
        bad = BadClips(folder, skip=True)
        files = Folder(folder)
        listing = labels_csv.read(files, bad)
        entries, labelled = numbered(listing.entries, None, folder, bad)
        bad.check(listing.lines)
        validates = splits.validating(entries, labelled.numbers, None, folder)
        return validates, files.unnamed()

    def kinetics_set(_: Path):
        bad = BadClips(folder, skip=True)
        listing = kinetics_labels.read(Folder(folder / "kinetics"), bad)
        bad.check(listing.lines)
        return numbered(listing.entries, listing.classes, folder, bad)

    return {
        "skeleton": lambda data: efficientgcn_raw(skeleton_text.parse(data, "x.skeleton")),
        "nw_ucla json": lambda data: nw_ucla.parse(data, "a01_s01_e00_v01.json", 0),
        **dict.fromkeys(
            ("own json", *fuzz_poses.seeds(CLIP)),
            lambda data: scores.fitted(table.parse_json(data, "x.json", WANTED), WANTED, "x.json"),
        ),
        "own csv": lambda data: scores.fitted(csv_files.parse(data, "x.csv", WANTED), WANTED, "x"),
        "own npy": written("x.npy", lambda path: table.read(path, WANTED)),
        "npz": written("x.npz", lambda path: table.read(path, WANTED)),
        "frame folder": written(
            "clip/v_01_keypoints.json", lambda path: table.read(path.parent, WANTED)
        ),
        "kinetics labels": written("kinetics/k_train_label.json", kinetics_set),
        "labels.csv": written("labels.csv", labels),
        "dataset.yaml": written("dataset.yaml", lambda path: dataset_yaml.read(folder)),
        "label pickle": lambda data: prepared_files.names_and_labels(
            safe_pickle.load(data, "x.pkl", DataError), "x.pkl"
        ),
        "annotation pickle": written("x.pkl", lambda path: pyskl.load(pyskl.Config(str(path)), 1)),
    }


def damaged(data: bytes, other: bytes, generator: random.Random, tokens: list[bytes]) -> bytes:
    """`data` after one to four changes: bytes, tokens, cuts, repeats, and parts of `other`; now and
    then unchanged."""
    found = bytearray(data)
    for _ in range(generator.randint(0, 4)):
        at, length = generator.randint(0, len(found)), generator.randint(1, 60)
        kind = generator.randrange(7)
        # Most inputs must stay nearly valid: what is wrecked at its first byte reaches no code
        # behind the parser.
        if kind == 0 and found:
            found[at % len(found)] = generator.randrange(256)
        elif kind == 1:
            found[at:at] = generator.choice(tokens)
        elif kind == 2:
            found[at : at + generator.randint(0, 8)] = generator.choice(tokens)
        elif kind == 3:
            del found[at : at + length]
        elif kind == 4:
            found[at:at] = found[at : at + length] * generator.randint(1, 5)
        elif kind == 5:
            start = generator.randrange(len(other) or 1)
            found[at:at] = other[start : start + length]
        elif generator.random() < 0.3:
            del found[at:]
    return bytes(found)


def _skeleton(frames: list[list[int]]) -> bytes:
    """`.skeleton` text of frames with bodies of these ids."""
    lines = [str(len(frames))]
    for bodies in frames:
        lines.append(str(len(bodies)))
        for body in bodies:
            lines += [f"{body} 0 1 1 1 1 0 0.02 0.05 2", "25"]
            lines += [
                f"{joint / 7:.4f} -0.25 3.1 277.4 191.8 1036.2 519.1 -0.2 0 0.96 0 2"
                for joint in range(25)
            ]
    # CRLF, as `raw_ntu.py` has it too.
    return "\r\n".join(lines).encode() + b"\r\n"


def _npz(**arrays: np.ndarray) -> bytes:
    import io

    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def _npy(values: np.ndarray) -> bytes:
    import io

    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


def _annotations(clip: np.ndarray) -> dict:
    entries = [
        {
            "frame_dir": name,
            "label": label,
            "total_frames": 3,
            # Half precision, as PYSKL's files of 2D key points have it.
            "keypoint": clip.astype(np.float16),
            "img_shape": (1080, 1920),
            "keypoint_score": np.ones(clip.shape[:3], np.float16),
        }
        for label, name in enumerate("ab")
    ]
    return {"split": {"train": ["a"], "val": ["b"]}, "annotations": entries}
