"""Whether two sets of packages (requirements.txt and requirements-paddle3.txt) give the same answers:
one writes what it computes, the other compares.

Run: python benchmarks/paddle_versions.py write FOLDER in one environment, then
python benchmarks/paddle_versions.py compare FOLDER in the other. Small networks with weights from
numpy's generator; about ten seconds each. Compared are logits bit for bit, losses of a short training,
and the ONNX files, float and int8, node for node. Exit code 1 and what differs, where something does.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import teachers  # noqa: F401  (prepares the process for Paddle)

# isort: split

import numpy as np
import onnx
import paddle
from onnx import helper, numpy_helper
from paddle import nn
from paddle.nn import functional as F

from export.flat.flatten import flatten
from export.formats import onnx_format, paddle_format, table
from export.quantize.quantized import Quantized, corrected
from export.runtimes import in_process
from teachers import networks, storage
from teachers.skeleton import Skeleton
from teachers.terminal import ending
from teachers.terminal.arguments import Parser
from teachers.terminal.output import say

# Without dropout, whose random numbers are of another generator in every version.
CONFIGS: dict[str, dict[str, float]] = {
    "ctrgcn": {"width": 8},
    "efficientgcn": {"width": 16, "dropout": 0.0},
}
CLASSES = 3
STEPS = 6
# A training adds up in another order where two versions split work in another way.
LOSS_TOLERANCE = 1e-6
FIVE = Skeleton("five", 5, ((2, 1), (3, 1), (4, 1), (5, 4)), centre=1)


def network_of(name: str) -> nn.Layer:
    """A narrow network whose weights do not depend on Paddle's generator."""
    module = networks.module(name)
    network = networks.build(
        module.default_spec(CLASSES, FIVE, 16, 2, config=module.Config(**CONFIGS[name]))
    )
    generator = np.random.default_rng(1)
    state = networks.state_of(network)
    for tensor, value in state.items():
        if tensor.endswith("_variance"):
            state[tensor] = generator.uniform(0.5, 2.0, value.shape).astype("float32")
        else:
            # Near what a layer keeps the size of its input with, whatever its width.
            spread = 0.3 if value.ndim <= 1 else np.sqrt(value.shape[0] / value.size)
            state[tensor] = generator.normal(0, spread, value.shape).astype("float32")
    networks.load_state(network, state, name)
    network.eval()
    return network


def clips_of(network: nn.Layer, count: int = 8) -> np.ndarray:
    """(count, C, T, V, M) of noise."""
    shape = (count, *network.spec.input_shape)
    return np.random.default_rng(2).standard_normal(shape).astype("float32")


def losses(network: nn.Layer) -> list[float]:
    """Of STEPS iterations with momentum; the network is trained."""
    network.train()
    optimiser = paddle.optimizer.Momentum(0.01, parameters=network.parameters())
    x = paddle.to_tensor(clips_of(network))
    labels = paddle.to_tensor(np.arange(len(x)) % CLASSES)
    found = []
    for _ in range(STEPS):
        loss = F.cross_entropy(network(x), labels)
        loss.backward()
        optimiser.step()
        optimiser.clear_grad()
        found.append(float(loss))
    return found


def nodes_of(path: Path) -> list[tuple]:
    """Every node with its attributes, constants by content and values by number, for the names that
    a converter makes up say nothing."""
    graph = onnx.load(path).graph
    stored = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    numbers = {each.name: number for number, each in enumerate(graph.input)}
    nodes = []
    for node in graph.node:
        inputs: list[object] = []
        for name in node.input:
            value = stored.get(name)
            inputs.append(
                numbers.get(name) if value is None else (value.dtype, value.shape, value.tobytes())
            )
        for name in node.output:
            numbers[name] = len(numbers)
        attributes = sorted(
            (each.name, str(helper.get_attribute_value(each))) for each in node.attribute
        )
        nodes.append((node.op_type, inputs, attributes, len(node.output)))
    return nodes


def write(folder: Path, plans: Path) -> None:
    """Everything of every network, in a folder for each.

    Args:
        plans: the folder of the first set, which has found the ranges of activations.
    """
    for name in CONFIGS:
        place = storage.make_folder(folder / name)
        network = network_of(name)
        clips = clips_of(network)
        logits = in_process(network)(clips)
        plan = plans / name / "plan.npz"
        if not plan.is_file():
            corrected(network, clips, "percentile", {}).save(plan)
        quantized = Quantized.read(plan)
        paddle_format.save(flatten(network), network.spec, place)
        both: dict[str, Quantized | None] = {"float": None, "int8": quantized}
        for kind, found in both.items():
            where = storage.make_folder(place / kind)
            flat = flatten(network) if found is None else found.flat(network)
            onnx_format.save(flat, network.spec, where, None if found is None else found.plan)
        arrays = {"logits": logits, "losses": np.array(losses(network))}
        storage.write_arrays(place / "answers.npz", arrays, {"paddle": paddle.__version__})


def differences(first: Path, second: Path) -> Iterator[str]:
    """What two written folders have unlike."""
    for name in CONFIGS:
        (one, about), (other, of_other) = (
            storage.read_arrays(folder / name / "answers.npz") for folder in (first, second)
        )
        apart = np.abs(one["losses"] - other["losses"]).max()
        say(
            f"{name}: Paddle {about['paddle']} and {of_other['paddle']}: logits"
            f" {np.abs(one['logits'] - other['logits']).max():.1e} apart, losses {apart:.1e}"
        )
        if not np.array_equal(one["logits"], other["logits"]):
            yield f"{name}: logits"
        if not apart <= LOSS_TOLERANCE:
            yield f"{name}: losses"
        for kind in ("float", "int8"):
            both = [nodes_of(folder / name / kind / "model.onnx") for folder in (first, second)]
            unlike = sum(a != b for a, b in zip(*both, strict=False))
            say(f"{name}: {kind} ONNX, {len(both[0])} and {len(both[1])} nodes, {unlike} unlike")
            if both[0] != both[1]:
                yield f"{name}: {kind} ONNX"


@ending.command
def main(arguments: list[str] | None = None) -> int:
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("do", choices=("write", "compare"))
    parser.add_argument("folder", type=Path)
    options = parser.parse_args(arguments)
    if options.do == "write":
        write(options.folder, options.folder)
        found: list[str] = []
    else:
        with storage.scratch() as temporary:
            write(temporary, options.folder)
            found = list(differences(options.folder, temporary))
    written = list(table.files("paddle"))
    ending.print_last_line({"do": options.do, "unlike": found, "paddle_files": written})
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
