"""What the continual form of a network costs and says beside its windowed form.

Run: python benchmarks/continual.py WEIGHTS [CLIP ...] [--frames 100] [--rounds 7]

WEIGHTS are of ST-GCN or STGCN++. Both files are exported, verified and followed by `Recogniser` on
one thread, in turn: processor time a frame at strides 1, 4 and 16, and what a track keeps. Then how
far the continual answer is, in a stream of noise, from the network on as much as the answer can see
(the same numbers, if it is right) and from the ordinary windowed answer. Every CLIP (`.skeleton`,
`.npy`) is brought to the network's frames and comes again and again; both forms answer it. The last
line of stdout is JSON.
"""

from __future__ import annotations

import argparse
import sys
import time
import tracemalloc
from dataclasses import replace
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import teachers  # noqa: F401  (prepares the process for Paddle)

# isort: split
import numpy as np
import paddle
from paddle import nn

from compress.data import clips
from export import api, deployed, serving
from export.deployed import Live
from export.flat.flatten import flatten
from export.runtimes.steps import Steps
from export.serve import Recogniser
from teachers import networks, storage
from teachers.ctrgcn import network as ctrgcn
from teachers.skeleton import NTU_25
from teachers.terminal import ending
from teachers.terminal.arguments import Parser
from teachers.terminal.output import show
from teachers.terminal.tables import Table

FORMS = ("onnx", "continual")
STRIDES = (1, 4, 16)
TRACKS = 16
# Frames of a round: a multiple of every stride and of the frames of a call.
ROUND = 16
# A clip comes as often as the continual answer can see back, and once more.
TIMES = 4


@ending.command
def main(arguments: list[str] | None = None) -> int:
    """The command; returns the exit code."""
    parser = Parser(
        prog="python benchmarks/continual.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("weights")
    parser.add_argument("clips", nargs="*", type=Path)
    parser.add_argument("--frames", type=int, help="of the network (default: the weights' own)")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args(arguments)
    network = api.load(options.weights, options.frames)
    shape = network.spec.input_shape
    noise = np.random.default_rng(0).standard_normal((4, *shape)).astype(np.float32)
    with storage.scratch() as folder:
        about = api.about(options.weights)
        verified = api.export(network, folder, noise, FORMS, about)
        steps = Steps(folder / "model_continual.onnx")
        found: dict[str, object] = {
            "input_shape": list(shape),
            "chunk": steps.chunk,
            "delay": steps.delay,
            "whole_clip_max_rel_diff": verified["continual"]["max_rel_diff"],
            "stream_max_rel_diff": in_a_stream(network, steps),
            "state_bytes": 4 * steps.size,
            "track_bytes": kept(folder),
            "cost": costs(folder, options.rounds),
            "clips": [said(folder, steps, path) for path in options.clips],
            "ctrgcn_share_below_first_mean": ctrgcn_share(),
        }
    _print(found)
    ending.print_last_line(found)
    return 0


def _live(folder: Path, stride: int) -> Live:
    window = deployed.read(folder).input.clip[1]
    # Nothing is answered before a window is full: only full ones are timed.
    return Live(window=window, min_frames=window, stride=stride, max_tracks=TRACKS)


def _poses(recogniser: Recogniser, count: int, persons: int) -> np.ndarray:
    """(count, persons, V, C), random walks."""
    recorded = recogniser.description.recording
    shape = (count, persons, recorded.joints, recorded.channels)
    moves = np.random.default_rng(0).normal(0, 0.02, shape)
    return (1 + moves.cumsum(0)).astype(np.float32)


def costs(folder: Path, rounds: int) -> list[dict[str, object]]:
    """Milliseconds of processor time a frame of a track, windowed and continual in turn."""
    M = deployed.read(folder).input.clip[3]
    rows = [
        _cost(folder, rounds, stride, persons, tracks=1)
        for persons in range(1, M + 1)
        for stride in STRIDES
    ]
    return [*rows, _cost(folder, 3, ROUND, 1, tracks=TRACKS)]


def _cost(folder: Path, rounds: int, stride: int, persons: int, tracks: int) -> dict[str, object]:
    live = _live(folder, stride)
    recognisers = {form: Recogniser(folder, live, form) for form in FORMS}
    poses = _poses(recognisers["onnx"], 2 * live.window, persons)
    spent: dict[str, list[float]] = {form: [] for form in FORMS}
    done = dict.fromkeys(FORMS, 0)

    def push(form: str, count: int) -> None:
        for number in range(done[form], done[form] + count):
            pose = poses[number % len(poses)]
            recognisers[form].push_many([(track, pose, number / 30) for track in range(tracks)])
        done[form] += count

    # The continual stream until it answers, too.
    push("onnx", live.window)
    push("continual", 2 * live.window)
    # Two windows or more; a frame of the continual form is a part of a call.
    frames = {"onnx": max(2, stride), "continual": ROUND}
    for _ in range(rounds):
        for form in FORMS:
            started = time.process_time()
            push(form, frames[form])
            spent[form].append(1000 * (time.process_time() - started) / frames[form] / tracks)
    summary = {form: [min(each), float(np.median(each))] for form, each in spent.items()}
    pairs = zip(summary["continual"], summary["onnx"], strict=True)
    return {
        "tracks": tracks,
        "persons": persons,
        "stride": stride,
        "windowed_ms": summary["onnx"],
        "continual_ms": summary["continual"],
        "ratio": [continual / windowed for continual, windowed in pairs],
    }


def kept(folder: Path) -> int:
    """Bytes that a track takes in a `Recogniser`, measured."""
    recogniser = Recogniser(folder, _live(folder, ROUND), "continual")
    poses = _poses(recogniser, ROUND + 3, 1)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number, pose in enumerate(poses):
        recogniser.push_many([(track, pose, number / 30) for track in range(TRACKS)])
    taken = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return taken // TRACKS


def in_a_stream(network: nn.Layer, steps: Steps) -> float:
    """How far the continual logits are from those of the network on as many frames as they can see,
    the mean taken of the moments that they are of; relative to the largest."""
    C, _, V, M = network.spec.input_shape
    length = 2 * steps.delay + steps.span
    frames = np.random.default_rng(1).standard_normal((1, C, length, V, M)).astype(np.float32)
    state = np.zeros((1, steps.size), np.float32)
    seen = np.ones((1, steps.chunk), np.float32)
    logits = np.zeros(0)
    for start in range(0, length, steps.chunk):
        logits, state = steps(frames[:, :, start : start + steps.chunk], seen, state)
    spec = replace(network.spec, frames=length)
    windowed = networks.build(spec)
    networks.load_state(windowed, networks.state_of(network), "the same weights")
    windowed.eval()
    *body, head = flatten(windowed)
    with paddle.no_grad():
        x = paddle.to_tensor(frames)
        for layer in body:
            x = layer(x)
        first = steps.delay // steps.chunk
        expected = head(x[:, :, :, first : first + steps.pooled]).numpy()
    return float(np.abs(logits - expected).max() / np.abs(expected).max())


def said(folder: Path, steps: Steps, path: Path) -> dict[str, object]:
    """What both forms say of a clip."""
    description = deployed.read(folder)
    ((_, raw),) = clips.read_clip(path)
    x = serving.prepare(raw, description, path.name)[None]
    windowed = deployed.predictors(folder, description)["onnx"](x)
    T = x.shape[2]
    again = np.concatenate([x] * TIMES, axis=2)
    state = np.zeros((1, steps.size), np.float32)
    seen = np.ones((1, steps.chunk), np.float32)
    answers = []
    for start in range(0, again.shape[2] - steps.chunk + 1, steps.chunk):
        logits, state = steps(again[:, :, start : start + steps.chunk], seen, state)
        answers.append(logits)
    first = answers[T // steps.chunk - 1]
    name = description.classes[int(windowed.argmax())]
    return {
        "clip": path.name,
        "frames": raw.shape[1],
        "windowed": name,
        "whole_clip": description.classes[int(steps.whole(x).argmax())],
        "once": description.classes[int(first.argmax())],
        "again_and_again": description.classes[int(answers[-1].argmax())],
        "windowed_score": float(serving.scores_of(windowed).max()),
        "again_and_again_score": float(serving.scores_of(answers[-1])[int(windowed.argmax())]),
    }


def ctrgcn_share() -> float:
    """The share of CTR-GCN's multiply-accumulates, published on NTU RGB+D, that windows which
    overlap could share: the 1x1 convs of its first block. What they feed, the topology, is made of
    the mean over the window's frames."""
    spec = ctrgcn.default_spec(60, NTU_25, 64, 1)
    block = spec.blocks[0]
    inputs, outputs = block.in_channels, block.inside.graph
    relations = 2 * inputs * block.relation_channels
    a_point = ctrgcn.SUBSETS * (relations + inputs * outputs)
    a_point += inputs * outputs if block.graph_projects else 0
    _, T, V, M = spec.input_shape
    return a_point * T * V * M / networks.macs(spec)


def _print(found: dict) -> None:
    for name, value in found.items():
        if name not in ("cost", "clips"):
            show(f"{name}: {value}")
    rows = [
        (
            str(row["tracks"]),
            str(row["persons"]),
            str(row["stride"]),
            *(
                " / ".join(f"{each:.2f}" for each in row[f"{form}_ms"])
                for form in ("windowed", "continual")
            ),
            " / ".join(f"{100 * each:.1f}" for each in row["ratio"]),
        )
        for row in found["cost"]
    ]
    heads = ("tracks", "persons", "stride", "windowed ms a frame", "continual", "% (min / median)")
    show(Table(heads, rows))
    if found["clips"]:
        keys = ("clip", "windowed", "whole_clip", "once", "again_and_again")
        show(Table(keys, [tuple(str(row[key]) for key in keys) for row in found["clips"]]))


if __name__ == "__main__":
    sys.exit(main())
