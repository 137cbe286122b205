"""Minimal Paddle static export: the flat network as a program (`model.pdmodel`, of Paddle 3
`model.json`) and `model.pdiparams`, and nothing a runtime does not read."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import paddle
from paddle import nn

from export.formats import paddle_strip, paddle_version
from teachers import storage
from teachers.errors import StorageError
from teachers.layers import AsWritten

NEEDED_BYTES = 50_000_000  # less free space than this explains a failed write


def save(flat: nn.Layer, spec, folder: Path) -> list[Path]:
    """Write the flat network for Paddle Inference; the batch size stays free.

    Args:
        flat: what `flatten` returned, or a layer around it.
        spec: the network's spec, for the input shape (N, C, T, V, M).
        folder: where the files of `paddle_version.files` go.
    """
    names = paddle_version.files()
    with storage.scratch() as temporary:
        trace(AsWritten(flat), clip_input(spec), temporary / "model")
        model, parameters = ((temporary / name).read_bytes() for name in names)
    # Every operator carries where in the Python code it was traced from
    model = paddle_strip.strip(model)
    paths = [folder / name for name in names]
    # The model last: a folder with a model and no parameters would look complete
    storage.write_bytes(paths[1], parameters)
    storage.write_bytes(paths[0], model)
    return paths


def clip_input(spec) -> list[paddle.static.InputSpec]:
    """A network's one input, `clip` (N, C, T, V, M) with a free batch size."""
    return [paddle.static.InputSpec([None, *spec.input_shape], "float32", "clip")]


def trace(network: nn.Layer, inputs: list[paddle.static.InputSpec], prefix: Path) -> None:
    """`paddle.jit.save` of a network as it is; its mode stays as it was.

    Raises:
        StorageError: there is no room left at `prefix`.
    """
    training = [layer for layer in network.sublayers(include_self=True) if layer.training]
    network.eval()
    try:
        with warnings.catch_warnings(), paddle_version.tracing():
            # Paddle's own, on every sum of two maps with a free batch size
            warnings.simplefilter("ignore", DeprecationWarning)
            # Of Paddle 3, which asks its own tensors for what they do not have in a trace
            warnings.filterwarnings("ignore", "Tensor do not have 'place' interface")
            paddle.jit.save(network, str(prefix), input_spec=inputs)
    except Exception as error:  # Paddle raises OSError or its own kinds when a write fails
        # A full disk is what a user can do something about; Paddle's own message does not say so
        if shutil.disk_usage(prefix.parent).free < NEEDED_BYTES:
            raise StorageError(
                f"{prefix.parent}: no room left to export to; free some space"
            ) from error
        raise
    finally:
        # Layer by layer: a frozen layer inside a training network stays in evaluation mode
        for layer in training:
            layer.training = True
