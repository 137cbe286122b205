"""The export a person gets without this project: the published form through `paddle.jit.save` and
paddle2onnx's defaults.

It stands beside ours in every report, so that the gain is visible.
"""

from __future__ import annotations

from pathlib import Path

import paddle2onnx
from paddle import nn

from export.formats import paddle_model
from export.formats.onnx_model import OPSET, quiet
from teachers import networks


def save_baseline(network: nn.Layer, folder: Path) -> dict:
    """Write `model.pdmodel`, `.pdiparams`, `.pdiparams.info` and `model.onnx` of the published
    form.

    Returns:
        {"bytes": of all files, "files": [{"file", "bytes"}]}.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paddle_model.trace(networks.published(network), network.spec, folder / "model")
    with quiet():
        paddle2onnx.export(
            str(folder / "model.pdmodel"),
            str(folder / "model.pdiparams"),
            str(folder / "model.onnx"),
            opset_version=OPSET,
        )
    files = [{"file": path.name, "bytes": path.stat().st_size} for path in sorted(folder.iterdir())]
    return {"bytes": sum(one["bytes"] for one in files), "files": files}
