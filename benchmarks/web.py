"""onnxruntime-web in Node, as a predict function: the engine that browsers run, as WebAssembly.

It is looked for in the folder that the environment variable ONNXRUNTIME_WEB names, after
`npm install onnxruntime-web` there; without it in the folder where one stands.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import weakref
from pathlib import Path

import numpy as np

from export import runtimes
from teachers.errors import DataError

SCRIPT = Path(__file__).with_name("web.mjs")


def folder() -> Path:
    """Where onnxruntime-web is installed.

    Raises:
        DataError: it, or Node, is not there; says how to install it.
    """
    place = Path(os.environ.get("ONNXRUNTIME_WEB", "."))
    if shutil.which("node") is None:
        raise DataError("onnxruntime-web: needs Node; install nodejs and npm")
    if not (place / "node_modules" / "onnxruntime-web").is_dir():
        raise DataError(
            f"onnxruntime-web: not in {place / 'node_modules'}; run npm install onnxruntime-web in a"
            " folder, and name it in ONNXRUNTIME_WEB"
        )
    return place.resolve()


def load(model: Path, threads: int = 1) -> runtimes.Predict:
    """A process that runs a model, clips (N, C, T, V, M) -> logits (N, K); it ends with the
    function."""
    command = ["node", str(SCRIPT), str(folder()), str(model), str(threads)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def predict(x: np.ndarray) -> np.ndarray:
        assert process.stdin is not None and process.stdout is not None
        clips = np.ascontiguousarray(x, dtype="<f4")
        head = struct.pack(f"<{1 + clips.ndim}i", clips.ndim, *clips.shape)
        process.stdin.write(head + clips.tobytes())
        process.stdin.flush()
        size = process.stdout.read(4)
        if len(size) < 4:
            raise DataError(f"{model}: onnxruntime-web cannot run it; its message is above")
        (count,) = struct.unpack("<i", size)
        return np.frombuffer(process.stdout.read(4 * count), "<f4").reshape(len(x), -1)

    weakref.finalize(predict, _end, process)
    return predict


def _end(process: subprocess.Popen) -> None:
    process.kill()
    process.wait()
