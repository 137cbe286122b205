"""A training step of our CTR-GCN against the published form: same weights, same batch, one process,
ratio of medians.

Run: OMP_NUM_THREADS=1 python benchmarks/train_step.py [--batch 16] [--steps 10] [--skeleton
ucla_20|ntu_25]
"""

from __future__ import annotations

import sys
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

from compress.process import device
from compress.reporting import provenance
from compress.training.mixup import soft_labels
from compress.training.objectives import cross_entropy, dml
from teachers import ctrgcn, networks
from teachers.ctrgcn import keys
from teachers.ctrgcn.published import PublishedCTRGCN
from teachers.skeleton import SKELETONS
from teachers.terminal import ending
from teachers.terminal.arguments import Parser
from teachers.terminal.output import show

# Classes, frames and persons of the two public configurations of CTR-GCN.
SHAPES = {"ntu_25": (60, 64, 2), "ucla_20": (10, 52, 1)}
# The public recipe's optimiser but for its rate
RATE, MOMENTUM, DECAY = 0.01, 0.9, 1e-4


class Stepper:
    """A network with its optimiser; one call is one training step, under a teacher (clips -> logits)
    if there is one."""

    def __init__(self, network, teacher: Callable[[np.ndarray], np.ndarray] | None = None):
        self.network = network
        self.teacher = teacher
        network.train()
        # Its time is part of a step's.
        self.optimizer = paddle.optimizer.Momentum(
            RATE, MOMENTUM, parameters=network.parameters(), use_nesterov=True, weight_decay=DECAY
        )

    def __call__(self, x, labels) -> tuple[float, float]:
        """(loss, seconds)."""
        started = time.perf_counter()
        logits = self.network(x)
        loss = cross_entropy(logits, labels)
        if self.teacher is not None:
            loss = loss + dml(logits, paddle.to_tensor(self.teacher(x.numpy())))
        loss.backward()
        self.optimizer.step()
        self.optimizer.clear_grad()
        # Reading the loss waits for a GPU to finish, so the time is that of the step.
        value = float(loss)
        return value, time.perf_counter() - started


def pair(spec) -> tuple:
    """(ours, published form) with the same random weights; alpha is not zero, so that every path
    carries a gradient."""
    paddle.seed(0)
    ours = networks.build(spec)
    state = networks.state_of(ours)
    generator = np.random.default_rng(0)
    for name, value in state.items():
        # A fresh network has zeros there, and a factor of zero hides what lies behind it.
        if name.endswith(("alpha", "values_bias", "refine_bias", "graph.bn.weight")):
            state[name] = generator.uniform(0.2, 0.6, value.shape).astype("float32")
    networks.load_state(ours, state, "benchmark")
    published = PublishedCTRGCN(spec)
    networks.load_state(published, keys.to_published(spec, state), "benchmark")
    return ours, published


def agreement(spec, batch: int = 4) -> dict[str, float]:
    """Relative differences of the two forms in float64, where rounding does not hide a mistake:
    training-mode logits, and the gradients of weights at both ends of the network."""
    paddle.set_default_dtype("float64")
    try:
        ours, published = pair(spec)
        generator = np.random.default_rng(1)
        x = paddle.to_tensor(generator.standard_normal((batch, *spec.input_shape)))
        labels = soft_labels(
            paddle.to_tensor(generator.integers(0, spec.classes, batch)), spec.classes
        ).astype("float64")
        logits = []
        for network in (ours, published):
            network.train()
            logits.append(network(x))
            cross_entropy(logits[-1], labels).backward()
    finally:
        # Also after a failure: the default is the process's, and the tests go on in it.
        paddle.set_default_dtype("float32")
    first = spec.blocks[0].id
    pairs = {
        "topology gradient": (
            getattr(ours, first).graph.topology,
            getattr(published, first).gcn1.PA,
        ),
        "alpha gradient": (getattr(ours, first).graph.alpha, getattr(published, first).gcn1.alpha),
        "classifier gradient": (ours.fc.weight, published.fc.weight),
    }
    found = {"logits": _relative(*logits)}
    return found | {
        name: _relative(mine.grad, theirs.grad) for name, (mine, theirs) in pairs.items()
    }


def _relative(ours, published) -> float:
    # By the largest value: single gradients near zero would blow up a ratio of their own.
    return float((ours - published).abs().max() / published.abs().max())


def measure(ours, published, x, labels, steps: int) -> dict[str, list[float]]:
    """Seconds of each step, the two in turn so that a drift of the machine meets both."""
    steppers = {"ours": Stepper(ours), "published": Stepper(published)}
    seconds: dict[str, list[float]] = {name: [] for name in steppers}
    for number in range(steps + 2):
        for name, step in steppers.items():
            spent = step(x, labels)[1]
            # The first two build kernels and buffers.
            if number >= 2:
                seconds[name].append(spent)
    return seconds


def main(arguments: list[str] | None = None) -> int:
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--skeleton", choices=sorted(SHAPES), default="ucla_20")
    parser.add_argument("--device", choices=("auto", "cpu", "gpu"), default="auto")
    options = parser.parse_args(arguments)
    device.select(options.device)
    classes, frames, persons = SHAPES[options.skeleton]
    spec = ctrgcn.default_spec(classes, SKELETONS[options.skeleton], frames, persons)
    generator = np.random.default_rng(0)
    x = paddle.to_tensor(
        generator.standard_normal((options.batch, *spec.input_shape)).astype("float32")
    )
    labels = soft_labels(paddle.to_tensor(generator.integers(0, classes, options.batch)), classes)
    ours, published = pair(spec)
    agree = agreement(spec)
    seconds = measure(ours, published, x, labels, options.steps)
    medians = {name: float(np.median(values)) for name, values in seconds.items()}
    for name, values in seconds.items():
        show(
            f"{name:>10}: median {1000 * medians[name]:8.1f} ms  (min {1000 * min(values):.1f}, max"
            f" {1000 * max(values):.1f}, {options.steps} steps, batch {options.batch},"
            f" {options.skeleton})"
        )
    show(
        "agreement, relative: " + ", ".join(f"{name} {value:.1e}" for name, value in agree.items())
    )
    ratio = medians["published"] / medians["ours"]
    show(f"published / ours: {ratio:.2f}x")
    ending.print_last_line(
        {
            "ratio": ratio,
            "median_seconds": medians,
            "agreement": agree,
            "batch": options.batch,
            "skeleton": options.skeleton,
            "hardware": asdict(provenance.hardware()),
            "versions": provenance.versions(),
        },
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
