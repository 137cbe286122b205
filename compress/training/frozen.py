"""What computes a teacher that stays as it is: Paddle, or ONNX Runtime on its flat network.

A frozen teacher takes a quarter of a distilling step on a CPU, and its flat network in ONNX Runtime
computes the same logits to 1e-5 of the largest in about half the time (benchmarks/LOG.md).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import paddle

from compress.data.dataset import Split
from compress.evaluation.evaluate import training_clips
from compress.training.model import Model, fused
from export import verify
from export.flat.flatten import flatten
from export.formats import onnx_format
from export.runtimes import Predict, default_threads, in_process, onnx_runtime
from teachers.errors import ExportMismatch, first_line

Choice = Literal["auto", "paddle", "onnxruntime"]
Teachers = Mapping[str, tuple[Model, ...]]
# A batch {view fingerprint: x (N, C, T, V, M)} -> logits (N, K) by role
Compute = Callable[[dict], dict[str, paddle.Tensor]]

# Iterations of a training from which on `auto` makes a session: to export a network takes as long
# as a session saves in ten to thirty of them. A number and no measured time, for a resumed training
# must decide as it did before.
WORTHWHILE = 50
# Clips on which a session is compared with Paddle: a batch of the usual size.
COMPARED = 16


@dataclass(frozen=True)
class Frozen:
    """Networks that only predict.

    Attributes:
        runtime: "paddle" or "onnxruntime".
        note: for the report, what was decided; empty where there was nothing to decide.
    """

    compute: Compute
    runtime: str = "paddle"
    note: str = ""


def choose(
    teachers: Teachers, wanted: Choice, iterations: int, split: Split, before: str | None
) -> Frozen:
    """What the frozen teachers of a training are computed by, from their weights of now on.

    Args:
        wanted: of the recipe. "auto": ONNX Runtime on a CPU, if the training is long enough.
        iterations: of the whole training.
        split: clips for the comparison with Paddle.
        before: what computed them in the epochs that are resumed, None: there are none.
    """
    networks = Frozen(lambda batch: _by_network(teachers, batch))
    if not teachers or not _by_session(wanted, iterations, before):
        return networks
    try:
        sessions = {role: _sessions(ensemble, split) for role, ensemble in teachers.items()}
    # Paddle can always go on, and the reason is told: a note in the report.
    except Exception as error:  # noqa: BLE001  (each exporter and runtime has kinds of its own)
        return Frozen(
            networks.compute,
            note=f"the frozen teacher was computed by Paddle, not ONNX Runtime: {first_line(error)}",
        )
    return Frozen(
        lambda batch: {role: fused(ensemble, batch) for role, ensemble in sessions.items()},
        "onnxruntime",
        "the frozen teacher was computed by ONNX Runtime (teacher.runtime: paddle is the other way,"
        " which differs in the last digits)",
    )


def _by_session(wanted: Choice, iterations: int, before: str | None) -> bool:
    if wanted != "auto":
        return wanted == "onnxruntime"
    # An epoch that another runtime's digits went into would not be the undisturbed run's.
    if before is not None:
        return before == "onnxruntime"
    # On a GPU the batch would travel to the CPU and the logits back.
    return iterations >= WORTHWHILE and not paddle.get_device().startswith("gpu")


def _by_network(teachers: Teachers, batch: dict) -> dict[str, paddle.Tensor]:
    with paddle.no_grad():
        return {role: fused(ensemble, batch) for role, ensemble in teachers.items()}


def _sessions(ensemble: tuple[Model, ...], split: Split) -> tuple[Session, ...]:
    return tuple(
        Session(_session(model, split), model.view.fingerprint, model.weight) for model in ensemble
    )


@dataclass(frozen=True)
class Session:
    """A `Model` that ONNX Runtime computes."""

    predict: Predict
    view: str
    weight: float

    def __call__(self, batch: dict) -> paddle.Tensor:
        """Logits (N, K) of a batch {view fingerprint: x (N, C, T, V, M)}."""
        return paddle.to_tensor(self.predict(batch[self.view].numpy()))


def _session(model: Model, split: Split) -> Predict:
    """The network in ONNX Runtime, on as many threads as Paddle has.

    Raises:
        ExportMismatch: its logits are not Paddle's.
    """
    network = model.network
    # Loaded whole: nothing of the file is needed once there is a session.
    with tempfile.TemporaryDirectory() as folder:
        (file,) = onnx_format.save(flatten(network), network.spec, Path(folder))
        # Threads that wait in a loop would take their cores from the student's half of the step.
        predict = onnx_runtime(file, default_threads(), spinning=False)
    # The same clips in every process that resumes the training, so that each decides alike. One
    # alone, too, as a last batch may be.
    (clips,) = training_clips(split, model.view, COMPARED).batches(COMPARED)
    for batch in (clips, clips[:1]):
        _require_equal(predict(batch), in_process(network)(batch))
    return predict


def _require_equal(logits: np.ndarray, reference: np.ndarray) -> None:
    apart = verify.difference(logits, reference)["max_rel_diff"]
    if not apart <= verify.TOLERANCE:
        raise ExportMismatch(
            f"logits differ by {apart:.1e} of the largest (allowed {verify.TOLERANCE:.0e})"
        )
