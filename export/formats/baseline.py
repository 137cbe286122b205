"""The baseline export, which a person gets without this project: the published form through
`paddle.jit.save` and paddle2onnx's defaults.

It stands beside ours in every report, so that the gain is visible.
"""

from __future__ import annotations

from pathlib import Path

from paddle import nn

from export.formats import paddle_model, paddle_version
from export.formats.onnx_model import OPSET
from teachers import networks


def save_baseline(network: nn.Layer, folder: Path) -> dict:
    """Write what `paddle.jit.save` makes of the published form, and its `model.onnx`.

    Returns:
        {"bytes": of all files, "files": [{"file", "bytes"}]}.
    """
    folder.mkdir(parents=True, exist_ok=True)
    inputs = paddle_model.clip_input(network.spec)
    paddle_model.trace(networks.published(network), inputs, folder / "model")
    paddle_version.to_onnx(folder / "model", OPSET)
    files = [{"file": path.name, "bytes": path.stat().st_size} for path in sorted(folder.iterdir())]
    return {"bytes": sum(one["bytes"] for one in files), "files": files}
