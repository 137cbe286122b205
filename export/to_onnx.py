"""ONNX export of the flat network through paddle2onnx, as `model.onnx`.

Run: python export/to_onnx.py --weights runs/NAME/weights/student.npz --out deploy
"""
from __future__ import annotations

import os
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import onnx  # noqa: E402
import paddle2onnx  # noqa: E402
from paddle import nn  # noqa: E402

from export import scripts, static  # noqa: E402
from teachers import storage  # noqa: E402

MODEL = "model.onnx"
OPSET = 15


def save(network: nn.Layer, spec, folder: Path) -> list[Path]:
    """Write `model.onnx` of a network, input `clip` (N, C, T, V, M) with a free batch size, output `logits` (N, K)."""
    with tempfile.TemporaryDirectory() as temporary:
        prefix = Path(temporary) / "model"
        static.trace(network, spec, prefix)
        with quiet():
            paddle2onnx.export(f"{prefix}.pdmodel", f"{prefix}.pdiparams", f"{prefix}.onnx", opset_version=OPSET)
        model = onnx.load(f"{prefix}.onnx")
    tidy(model)
    onnx.checker.check_model(model)
    storage.write_bytes(folder / MODEL, model.SerializeToString())
    return [folder / MODEL]


def tidy(model: onnx.ModelProto) -> None:
    """Short names for values and no names for nodes: the weights keep theirs, a runtime needs no others."""
    kept = {one.name for one in (*model.graph.initializer, *model.graph.input)}
    rename = {model.graph.output[0].name: "logits"}
    for node in model.graph.node:
        node.name, node.doc_string = "", ""
        for name in node.output:
            if name and name not in kept and name not in rename:
                rename[name] = f"v{len(rename)}"
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = [rename.get(name, name) for name in names]
    model.graph.output[0].name = "logits"
    del model.graph.value_info[:]


@contextmanager
def quiet():
    """Keep what paddle2onnx prints from C++ off the terminal."""
    sys.stdout.flush()
    saved, null = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    try:
        yield
    finally:
        os.dup2(saved, 1)
        os.close(saved)
        os.close(null)


def main(arguments: list[str] | None = None) -> int:
    return scripts.export(arguments, "onnx", __doc__)


if __name__ == "__main__":
    sys.exit(main())
