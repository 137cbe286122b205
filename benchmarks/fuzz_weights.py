"""Weights files of every kind for `fuzz.py`, with foreign objects beside the tensors, and the texts that
say what a checkpoint does not: valid ones, hostile ones, how they are read."""

from __future__ import annotations

import argparse
import datetime
import io
import json
import pathlib
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np

from teachers.weights import checkpoints, hint_options, kinds, naming

# What an unknown class is made and filled by, and a class that nobody has.
PLACEHOLDERS = [
    b"cnowhere\nThing\n",
    b"cargparse\nNamespace\n)\x81",
    b"cmmengine.logging.history_buffer\nHistoryBuffer\n)\x81}b",
    b"(inowhere\nThing\n",
    b"(cnowhere\nThing\no",
    b")}\x92",
    b"h\x00)\x81" * 40,
    b"K\x01K\x02s",
    b"cbuiltins\ngetattr\n",
    b"ctorch\nBFloat16Storage\n",
    b"ctorch._tensor\n_rebuild_from_type_v2\n",
]


def seeds(hostile: list[bytes]) -> dict[str, list[bytes]]:
    """{kind: valid inputs}, and hostile pickles."""
    arrays = OrderedDict(
        (f"module.net.{name}", np.ones((2, 2), "f4")) for name in ("fc.weight", "ema_x")
    )
    objects = {
        "args": argparse.Namespace(path=pathlib.PurePosixPath("/x"), lr=0.1),
        "saved": datetime.datetime(2024, 5, 1, tzinfo=datetime.UTC),
        "state_dict_ema": arrays,
    }
    skeleton = {"name": "hand", "joints": 3, "bones": [[2, 1], [3, 2]], "centre": 1}
    pickles = [
        pickle.dumps({"state_dict": arrays} | objects, protocol) for protocol in range(6)
    ] * 20
    return {
        "weights pickle": pickles + hostile,
        "safetensors": [_safetensors(arrays, "F32"), _safetensors(arrays, "BF16")],
        # Refused whole for what they are, unless damage makes pickles of them.
        "any weights": [
            pickles[0],
            _safetensors(arrays, "F32"),
            _zip("net/data.pkl", "net/constants.pkl"),
            _zip("a.npy"),
            b"<!DOCTYPE html><html></html>",
            b"version https://git-lfs.github.com/spec/v1\n",
            b"\x0a\x10\x08\x00\x10" + bytes(20),
        ],
        "skeleton option": [
            json.dumps(skeleton).encode(),
            b"{name: a, joints: 2, bones: [[2, 1]], centre: 1}",
        ],
        "class names": [b"wave\nclap\n", b"wave,clap"],
    }


def readers(folder: Path) -> dict[str, Callable[[bytes], object]]:
    """{kind: reads the input or raises a FeatherboneError}."""

    def weights(data: bytes) -> object:
        path = Path("x.pth")
        for part in (None, naming.AVERAGED):
            arrays = checkpoints.arrays_in(path, data, part)
            last = list(naming.variants(arrays, None, path))
        return last

    def text(name: str, read: Callable[[str], object]) -> Callable[[bytes], object]:
        def run(data: bytes) -> object:
            (folder / name).write_bytes(data)
            return read(str(folder / name))

        return run

    return {
        "weights pickle": weights,
        "safetensors": lambda data: checkpoints.arrays_in(Path("x.safetensors"), data, None),
        "any weights": lambda data: kinds.format_of(Path("x.pth"), data),
        "skeleton option": text("x.yaml", hint_options.skeleton_of),
        "class names": text("labels.csv", hint_options.class_names),
    }


def _safetensors(arrays: dict[str, np.ndarray], dtype: str) -> bytes:
    header = {}
    size = {"F32": 16, "BF16": 8}[dtype]
    for number, name in enumerate(arrays):
        offsets = [number * size, (number + 1) * size]
        header[name] = {"dtype": dtype, "shape": [2, 2], "data_offsets": offsets}
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(size * len(arrays))


def _zip(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    return file.getvalue()
