"""What the latency benchmarks run: the files that are compared, ours and other tools', and fresh
networks of the shape that papers quote."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import paddle
from paddle import nn

from benchmarks import rivals
from export import runtimes
from export.flat.flatten import flatten
from export.flat.layers import prepared
from export.formats import onnx_int8, onnx_model, onnx_weights, paddle_model, paddle_weights, table
from export.formats.baseline import save_baseline
from export.quantize.bits import make_plan
from export.quantize.quantized import Quantized, corrected
from teachers import networks
from teachers.skeleton import NTU_25

# As published; 64 for the others.
FRAMES = {"efficientgcn": 288, "stgcn": 100, "stgcnpp": 100}


@dataclass
class Candidate:
    """One file in one runtime.

    Attributes:
        make: threads -> predict.
        files: whose bytes count.
        kind: "onnx" or "paddle" where `PROBE` can load it, else "".
    """

    name: str
    ours: bool
    make: Callable[[int], runtimes.Predict]
    files: list[Path]
    kind: str = ""
    found: dict = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        return sum(path.stat().st_size for path in self.files)


def onnx_file(name: str, path: Path, ours: bool = False) -> Candidate:
    """An `.onnx` file in ONNX Runtime."""
    return Candidate(
        name, ours, lambda threads: runtimes.onnx_runtime(path, threads), [path], "onnx"
    )


def paddle_folder(name: str, folder: Path, ours: bool = False, onednn: bool = False) -> Candidate:
    """`model.pdmodel` and its parameters in Paddle Inference."""
    model, parameters = (folder / file for file in table.files("paddle"))
    return Candidate(
        name,
        ours,
        lambda threads: runtimes.paddle_inference(model, parameters, threads, onednn),
        [model, parameters],
        # `PROBE` loads files as they are served, and with oneDNN none is.
        "" if onednn else "paddle",
    )


def candidates(
    network, quantized: Quantized | None, calibration: np.ndarray, folder: Path
) -> tuple[list[Candidate], list[str]]:
    """(everything that could be made, why the rest could not)."""
    spec, failed = network.spec, []
    save_baseline(network, folder / "baseline")
    default = folder / "baseline" / "model.onnx"
    # The first row is what everything else is compared with: what a person gets who converts the
    # network and stops there.
    found = [onnx_file("paddle2onnx default", default)]
    found.append(
        onnx_file(
            "ours, float32", onnx_model.save(flatten(network), spec, folder / "float32")[0], True
        )
    )
    # Without a run's plan: what the step `ptq: {}` does, on the clips that the other tools
    # calibrate on.
    quantized = quantized or corrected(network, calibration, "percentile", {})
    name = "ours, int8" if quantized.plan.ranges else "ours, the given plan"
    writer = onnx_int8 if quantized.plan.ranges else onnx_weights
    found.append(
        onnx_file(
            name,
            writer.save(quantized.flat(network), spec, folder / "int8", quantized.plan)[0],
            True,
        )
    )
    flat = prepared(flatten(network))
    for kind in ("float16", "int4_weights"):
        path = onnx_weights.save(flatten(network), spec, folder / kind, make_plan(flat, kind))[0]
        found.append(onnx_file(f"ours, {kind.replace('_', ' ')}", path, True))
    for title, make in rivals.ONNX.items():
        try:
            found.append(onnx_file(title, make(default, calibration, folder)))
        except Exception as problem:  # noqa: BLE001  (what other tools raise is a result, too)
            failed.append(_failure(title, problem))
    found.append(paddle_folder("baseline Paddle export", folder / "baseline"))
    found.append(paddle_folder("baseline Paddle export, oneDNN", folder / "baseline", onednn=True))
    paddle_model.save(flatten(network), spec, folder / "paddle")
    found.append(paddle_folder("ours, Paddle float32", folder / "paddle", True))
    weights_alone = quantized.flat(network, activations=False)
    paddle_weights.save(weights_alone, spec, folder / "paddle_int8", quantized.plan)
    found.append(paddle_folder("ours, Paddle, int8 weights", folder / "paddle_int8", True))
    for title, other in rivals.OTHERS.items():
        try:
            predict, files = other(network, default, calibration, folder)
            found.append(Candidate(title, False, predict, files))
        except Exception as problem:  # noqa: BLE001  (as above)
            failed.append(_failure(title, problem))
    return found, failed


def _failure(title: str, problem: Exception) -> str:
    """Why a tool made nothing, in a line: tools print their stack into their messages."""
    text = str(problem).strip()
    reason = text.splitlines()[-1][:160] if text else ""
    return f"{title}: {type(problem).__name__}: {reason}"


def fresh(name: str, drop: str = "") -> nn.Layer:
    """A network with fresh weights, without the blocks `drop` (`l10` or `l9,l10`)."""
    module = networks.module(name)
    paddle.seed(1)
    # The shape that papers quote: NTU RGB+D 60, two persons. Three branches of six channels are
    # EfficientGCN's input.
    spec = module.default_spec(
        60,
        NTU_25,
        FRAMES.get(name, 64),
        2,
        18 if name == "efficientgcn" else 3,
    )
    network = networks.build(module.drop_blocks(spec, tuple(drop.split(","))) if drop else spec)
    network.eval()
    return network
