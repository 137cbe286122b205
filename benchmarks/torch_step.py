"""A training step of our CTR-GCN against PyTorch eager on the published form, and a distilling step: a
student without l10 under the whole network, which stays as it is (ours computes it in ONNX Runtime).

Run: OMP_NUM_THREADS=1 python benchmarks/torch_step.py [--batch 16] [--steps 30] [--skeleton
ucla_20|ntu_25]

Same weights, batch, loss and optimiser, in turn in one process, one thread; `pip install torch` first.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import teachers  # noqa: F401  (prepares the process for Paddle)

# isort: split
import numpy as np
import paddle

from benchmarks.train_step import DECAY, MOMENTUM, RATE, SHAPES, Stepper, pair
from compress.reporting import provenance
from export.flat.flatten import flatten
from export.formats import onnx_format
from export.runtimes import onnx_runtime
from teachers import ctrgcn, networks
from teachers.ctrgcn import keys
from teachers.skeleton import SKELETONS
from teachers.terminal import ending
from teachers.terminal.arguments import Parser
from teachers.terminal.output import show
from teachers.terminal.tables import Table

WARM_UP = 2
# Momentum 0.9: by then the statistics are those of the batch to a thousandth.
SETTLING = 60
DROPPED = ("l10",)
Step = Callable[[np.ndarray, np.ndarray], float]


def ours(network, teacher: Callable[[np.ndarray], np.ndarray] | None) -> Step:
    """A step of Paddle on our form: the loss."""
    stepper = Stepper(network, teacher)
    return lambda x, labels: stepper(paddle.to_tensor(x), paddle.to_tensor(labels))[0]


def theirs(network, teacher) -> Step:
    """The same of PyTorch."""
    import torch
    from torch.nn import functional as F

    network.train()
    optimizer = torch.optim.SGD(
        network.parameters(), RATE, momentum=MOMENTUM, nesterov=True, weight_decay=DECAY
    )

    def kl(target, logits):
        return F.kl_div(
            F.log_softmax(logits, 1),
            F.log_softmax(target, 1),
            reduction="batchmean",
            log_target=True,
        )

    def step(x: np.ndarray, labels: np.ndarray) -> float:
        seen = torch.from_numpy(x)
        logits = network(seen)
        loss = F.cross_entropy(logits, torch.from_numpy(labels))
        if teacher is not None:
            with torch.no_grad():
                taught = teacher(seen)
            loss = loss + 0.5 * (kl(taught, logits) + kl(logits, taught))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    return step


def both(spec, x: np.ndarray):
    """(ours, PyTorch's) with the same weights and statistics."""
    from benchmarks import torch_published

    network, _ = pair(spec)
    network.train()
    # Statistics of BatchNorm as after a training: of fresh ones the logits of a teacher explode.
    with paddle.no_grad():
        for _ in range(SETTLING):
            network(paddle.to_tensor(x))
    state = keys.to_published(spec, networks.state_of(network))
    return network, torch_published.build(spec, state)


def steppers(spec, x: np.ndarray) -> dict[str, tuple[Step, Step]]:
    """(ours, PyTorch's) of either kind of step."""
    whole, torch_whole = both(spec, x)
    teacher, torch_teacher = both(spec, x)
    teacher.eval()
    torch_teacher.eval()
    with tempfile.TemporaryDirectory() as folder:
        (file,) = onnx_format.save(flatten(teacher), spec, Path(folder))
        session = onnx_runtime(file, 1)
    small, torch_small = both(ctrgcn.drop_blocks(spec, DROPPED), x)
    return {
        "training": (ours(whole, None), theirs(torch_whole, None)),
        "distilling": (ours(small, session), theirs(torch_small, torch_teacher)),
    }


def main(arguments: list[str] | None = None) -> int:
    parser = Parser(description=" ".join(__doc__.split("\n\n")[0].split()))
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--skeleton", choices=sorted(SHAPES), default="ucla_20")
    options = parser.parse_args(arguments)
    import torch

    torch.set_num_threads(1)
    classes, frames, persons = SHAPES[options.skeleton]
    spec = ctrgcn.default_spec(classes, SKELETONS[options.skeleton], frames, persons)
    generator = np.random.default_rng(0)
    x = generator.standard_normal((options.batch, *spec.input_shape)).astype("float32")
    labels = np.eye(classes, dtype="float32")[generator.integers(0, classes, options.batch)]
    rows: list[list[str]] = []
    found = {}
    for name, pair_of in steppers(spec, x).items():
        seconds: tuple[list[float], list[float]] = ([], [])
        losses: tuple[list[float], list[float]] = ([], [])
        # In turn, so that a drift of the machine meets both
        for _ in range(WARM_UP + options.steps):
            for place, step in enumerate(pair_of):
                started = time.perf_counter()
                losses[place].append(step(x, labels))
                seconds[place].append(time.perf_counter() - started)
        measured = [values[WARM_UP:] for values in seconds]
        medians = [1000 * float(np.median(values)) for values in measured]
        minima = [1000 * min(values) for values in measured]
        found[name] = {
            "median_ms": medians,
            "min_ms": minima,
            "ratio": medians[1] / medians[0],
            # Equal losses on the way: both do the same work.
            "losses": [values[: WARM_UP + 1] for values in losses],
        }
        rows.append(
            [
                name,
                f"{medians[0]:.0f}",
                f"{medians[1]:.0f}",
                f"{medians[1] / medians[0]:.2f}",
                f"{minima[1] / minima[0]:.2f}",
                f"{losses[0][0]:.5f}, {losses[1][0]:.5f}",
            ]
        )
    columns = ["step", "ours, ms", "PyTorch, ms", "ratio", "of minima", "first losses"]
    show(Table(columns, rows))
    ending.print_last_line(
        {
            **found,
            "batch": options.batch,
            "steps": options.steps,
            "skeleton": options.skeleton,
            "torch": torch.__version__,
            "hardware": asdict(provenance.hardware()),
            "versions": provenance.versions(),
        }
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
