"""Deployed folders, model files, weights, archives, recipes and reports for `fuzz.py`: valid ones,
hostile ones, how they are read, and damage that keeps their structure."""

from __future__ import annotations

import io
import json
import pickle
import random
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import paddle
from onnx import TensorProto, helper, numpy_helper
from paddle.base.proto.framework_pb2 import ProgramDesc

from compress import recipe
from compress.budget import attribution
from compress.data import clips
from compress.reporting.runs import answers, page, reading, rows
from export import deployed, serving
from export.runtimes import inference, onnx_graph, ort, paddle_program, trial
from teachers import storage
from teachers.errors import DataError
from teachers.weights import paddle_files, torch_zip

SHAPE = (2, 3, 3, 2)
# Of a model tried in a process of its own; an honest one takes a hundredth.
SECONDS = 8.0
# What a reader of numbers, names, sizes or text may not expect.
VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    1,
    2,
    7,
    1e9,
    10**12,
    10**400,
    -(2**31),
    0.5,
    float("nan"),
    float("inf"),
    "",
    "x",
    "../../etc/passwd",
    "/dev/zero",
    "\x1b[31mred\x1b]0;title\x07",
    "\u202e",
    "a" * 5000,
    [],
    {},
    [[[[[[[[[[]]]]]]]]]],
    [1, 2, 3],
    {"op": "sample", "frames": 10**9},
    {"op": "loop", "frames": 99_999},
    {"op": "nosuch"},
    {"paddle": ["deployed.json", "deployed.json"]},
    {"onnx": ["../model.onnx"]},
)
# Operators that must never run, and a few that compute.
OPERATORS = (
    "save",
    "save_combine",
    "load",
    "load_combine",
    "print",
    "py_func",
    "read_file",
    "while",
    "conditional_block",
    "listen_and_serv",
    "run_program",
    "relu",
    "matmul_v2",
    "conv2d",
    "softmax",
    "reshape2",
    "concat",
)


def paddle_model(folder: Path) -> tuple[bytes, bytes]:
    """(.pdmodel, .pdiparams) of a small network for clips of SHAPE."""
    network = paddle.nn.Sequential(
        paddle.nn.Flatten(),
        paddle.nn.Linear(36, 4),
        paddle.nn.ReLU(),
        paddle.nn.Unflatten(1, (1, 2, 2)),
        paddle.nn.Conv2D(1, 2, 2),
        paddle.nn.BatchNorm2D(2),
        paddle.nn.Flatten(),
    )
    network.eval()
    clip = paddle.static.InputSpec([None, *SHAPE], "float32", "clip")
    paddle.jit.save(network, str(folder / "seed"), input_spec=[clip])
    written = tuple((folder / f"seed.{kind}").read_bytes() for kind in ("pdmodel", "pdiparams"))
    for path in folder.glob("seed.*"):
        path.unlink()
    return written[0], written[1]


def onnx_model() -> bytes:
    """A small network for clips of SHAPE."""
    weights = np.random.default_rng(0).normal(size=(36, 2)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["clip"], ["flat"]),
            helper.make_node("MatMul", ["flat", "w"], ["product"]),
            helper.make_node("Relu", ["product"], ["logits"]),
        ],
        "seed",
        [helper.make_tensor_value_info("clip", TensorProto.FLOAT, [None, *SHAPE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [None, 2])],
        [numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    return model.SerializeToString()


def description(sealed: bool) -> bytes:
    """A deployed.json for either model."""
    content: dict[str, Any] = {
        "format": "featherbone-deployed",
        "version": 1,
        "network": "stgcn",
        "classes": ["walk", "sit"],
        "data": "own",
        "recorded": {"channels": 2, "joints": 3, "persons": 2, "names": ["a", "b", "c"]},
        "views": 2,
        "input": {
            "name": "clip",
            "layout": "N,C,T,V,M",
            "dtype": "float32",
            "shape": [None, *SHAPE],
        },
        "output": {"name": "logits", "shape": [None, 2], "note": ""},
        "skeleton": {"name": "own_3", "joints": 3, "bones": [[2, 1], [3, 2]], "centre": 1},
        "preprocessing": [
            {"op": "centre", "joint": 0},
            {"op": "uniform", "frames": 3, "clip": 0, "clips": 2},
            {"op": "stream", "kind": "bone", "bones": [[2, 1], [3, 2]]},
        ],
        "files": {"onnx": ["model.onnx"], "paddle": ["model.pdmodel", "model.pdiparams"]},
        "paddle_note": "",
    }
    # Damage breaks the seal, and what is behind it is reached without one alone.
    if sealed:
        content["sha256"] = {"model.onnx": "0" * 64}
    return json.dumps(content).encode()


def hostile_programs(model: bytes, marker: Path) -> list[bytes]:
    """Programs that write `marker` when Paddle runs them."""
    found = []
    for kind in ("save", "save_combine", "print"):
        program = ProgramDesc.FromString(model)
        operators = program.blocks[0].ops
        source = operators[1].outputs[0].arguments[0]
        operator = operators.add(type=kind)
        slot = operator.inputs.add(parameter="X")
        slot.arguments.append(source)
        # 2 is STRING, 6 BOOLEAN, of AttrType in framework.proto.
        operator.attrs.add(name="file_path", type=2, s=str(marker))
        operator.attrs.add(name="overwrite", type=6, b=True)
        # Before what fetches the answer.
        last = len(operators) - 1
        moved = [ProgramDesc.FromString(program.SerializeToString()).blocks[0].ops[last]]
        kept = [operators[index] for index in range(last)]
        ordered = [*kept[:2], *moved, *kept[2:]]
        copies = [type(each).FromString(each.SerializeToString()) for each in ordered]
        del operators[:]
        operators.extend(copies)
        found.append(program.SerializeToString())
    return found


def seeds(marker: Path, folder: Path, hostile: list[bytes]) -> dict[str, list[bytes]]:
    """{kind: valid inputs}, and hostile ones that would write `marker`."""
    model, parameters = paddle_model(folder)
    names = {"conv2d_0.w_0": {"structured_name": "l1.conv.weight", "stop_gradient": False}}
    info = [pickle.dumps(names, protocol) for protocol in range(6)]
    report = _report()
    older = {key: value for key, value in report.items() if key != "schema_version"}
    arrays = {"x_train": np.ones((2, 4, 150), "f4"), "y_train": np.eye(2)}
    return {
        "deployed.json": [description(False), description(False), description(True)],
        "pdmodel": [model] * 3 + hostile_programs(model, marker),
        "pdiparams": [parameters],
        "pdiparams.info": info * 20 + hostile,
        "onnx": [onnx_model()],
        "npz": [_npz(arrays, np.savez), _npz(arrays, np.savez_compressed), _bomb()],
        "weights npz": [
            _npz({storage.META: np.frombuffer(b'{"a": 1}', np.uint8), "w": np.ones(9)}, save)
            for save in (np.savez, np.savez_compressed)
        ],
        "torch zip": [
            _torch(pickle.dumps(OrderedDict(w=np.ones((2, 2), "f4")), protocol))
            for protocol in (2, 4)
        ],
        "recipe": [
            (recipe.CONFIGS / f"{name}.yaml").read_bytes()
            for name in ("ctrgcn_lite_dml", "stgcn", "stgcnpp")
        ],
        "report.json": [json.dumps(each).encode() for each in (report, report, older)],
    }


def _report() -> dict[str, Any]:
    network = {"name": "n", "top1": 50.0, "bytes": 9, "runtime": "ONNX Runtime", "p50_ms": 2.0}
    epochs = [{"epoch": k, "train": {"loss": 2.0}, "val": {"student/top1": 9.0}} for k in (1, 2)]
    return {
        "schema_version": 1,
        "recipe": "r",
        "status": "ok",
        "networks": [{"role": "student", "name": "n", "params": 1, "top1": 50.0}],
        "runtimes": [{"name": "ONNX Runtime", "deployed": True, "bytes": 5, "p50_ms": 1.0}],
        "budget": {"limit_bytes": 9, "total_bytes": 5, "within": True},
        "provenance": {"hardware": {"cpu": "a"}, "effective": {"steps": [{"ptq": {"clips": 8}}]}},
        "before": network,
        "after": {**network, "bytes": 5, "top1": 49.0},
        "curves": [{"title": "step 1: train", "epochs": epochs}],
        "per_class": [{"class": "a", "clips": 3, "teacher": 60.0, "student": 50.0}],
    }


def readers(folder: Path) -> dict[str, Callable[[bytes], object]]:
    """{kind: reads the input or raises a FeatherboneError}."""
    model, parameters = paddle_model(folder)
    files = {
        "model.pdmodel": model,
        "model.pdiparams": parameters,
        "model.onnx": onnx_model(),
    }

    def written(name: str, read: Callable[[Path], object]) -> Callable[[bytes], object]:
        def run(data: bytes) -> object:
            # All of them, for another kind of input may have damaged them.
            for each, content in files.items():
                (folder / each).write_bytes(content)
            (folder / name).write_bytes(data)
            return read(folder / name)

        return run

    def tried(paths: list[str], check: Callable, load: Callable) -> Callable[[Path], object]:
        whole = [folder / name for name in paths]

        def run(_: Path) -> object:
            attribution.parts_of(whole[0], whole[0].stat().st_size)
            # Here too, where it takes a tenth of what a process of its own takes.
            check(*whole)
            trial.require(whole[0], partial(load, whole), (1, *SHAPE), 1000, SECONDS)
            return None

        return run

    def named(path: Path) -> object:
        names = paddle_files.structured_names(path.with_suffix(""))
        # It costs a table nothing but its names, so this reader refuses without a word.
        if not names:
            raise DataError(f"{path}: no names")
        return names

    paddle_try = tried(["model.pdmodel", "model.pdiparams"], paddle_program.check, inference.load)
    return {
        "deployed.json": written("deployed.json", _serve),
        "pdmodel": written("model.pdmodel", paddle_try),
        "pdiparams": written("model.pdiparams", paddle_try),
        "pdiparams.info": written("model.pdiparams.info", named),
        "onnx": written("model.onnx", tried(["model.onnx"], onnx_graph.check, ort.load)),
        "npz": written("x.npz", clips.read_clip),
        "weights npz": lambda data: storage.read_arrays(Path("x.npz"), data),
        "torch zip": lambda data: torch_zip.read(Path("x.pt"), data),
        "recipe": written("x.yaml", lambda path: recipe.load(str(path))),
        "report.json": written("report.json", _compared),
    }


def _compared(path: Path) -> object:
    """What `featherbone compare` makes of a report, all but its files."""
    runs = reading.read_all([path])
    kept = answers.of(runs)
    return page.render(runs, kept, rows.table_of(runs, kept), path.parent)


def _serve(path: Path) -> object:
    """What predict.py does with a folder, but for its runtimes."""
    described = deployed.read(path.parent)
    deployed.models.model_files(path.parent, described)
    recorded = described.recording
    persons = min(recorded.persons or 1, 3)
    raw = np.ones((min(recorded.channels, 9), 5, min(recorded.joints, 50), persons), np.float32)
    views = np.stack([serving.prepare(raw, described, "clip", n) for n in range(described.views)])
    logits = np.zeros((len(views), len(described.classes)), np.float32)
    scores = serving.answer(lambda _: logits, views, described, "clip")
    return serving.top_classes(scores, described.classes)


def mutated(kind: str, data: bytes, generator: random.Random) -> bytes | None:
    """The input with one or two values of its structure changed; None for kinds that have none."""
    try:
        if kind in ("deployed.json", "report.json"):
            return _mutated_json(data, generator)
        if kind == "pdmodel":
            return _mutated_program(data, generator)
        if kind == "onnx":
            return _mutated_graph(data, generator)
    # Of seeds that are damaged on purpose.
    except (ValueError, IndexError):
        return data
    return None


def _mutated_json(data: bytes, generator: random.Random) -> bytes:
    content = json.loads(data)
    for _ in range(generator.randint(1, 2)):
        place = content
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            key = generator.choice(keys)
            inner = place[key]
            if not isinstance(inner, (dict, list)) or not inner or generator.random() < 0.3:
                break
            place = inner
        action = generator.random()
        if action < 0.15:
            del place[key]
        elif action < 0.25 and isinstance(place, dict):
            place[generator.choice(["extra", "\x1b[2J", "views", "a" * 2000])] = inner
        elif action < 0.3 and isinstance(place, list):
            place *= generator.choice([2, 50, 3000])
        else:
            place[key] = generator.choice(VALUES)
    return json.dumps(content).encode()


def _mutated_program(data: bytes, generator: random.Random) -> bytes:
    program = ProgramDesc.FromString(data)
    for _ in range(generator.randint(1, 2)):
        block = program.blocks[0]
        operator = generator.choice(list(block.ops))
        action = generator.randrange(7)
        if action == 0:
            operator.type = generator.choice(OPERATORS)
        elif action == 1 and operator.attrs:
            _mutate_attribute(generator.choice(list(operator.attrs)), generator)
        elif action == 2 and operator.inputs:
            slot = generator.choice(list(operator.inputs))
            names = [variable.name for variable in block.vars]
            del slot.arguments[:]
            slot.arguments.extend(generator.choices(names, k=generator.randrange(3)))
        elif action == 3:
            variable = generator.choice([v for v in block.vars if v.type.HasField("lod_tensor")])
            paddle_files.tensor_of(variable).dims[:] = _sizes(generator)
        elif action == 4:
            del block.ops[generator.randrange(len(block.ops))]
        elif action == 5:
            del block.vars[generator.randrange(len(block.vars))]
        else:
            program.blocks.add(idx=1, parent_idx=0)
    return program.SerializeToString()


def _mutate_attribute(attribute: Any, generator: random.Random) -> None:
    attribute.i = generator.choice([0, -1, 1, 2**31 - 1, -(2**31), 7])
    attribute.f = generator.choice([0.0, -1.0, 1e38])
    attribute.s = generator.choice(["", "NHWC", "VALID", "x" * 100])
    if attribute.ints:
        attribute.ints[:] = [max(-(2**31), min(size, 2**31 - 1)) for size in _sizes(generator)]
    if generator.random() < 0.2:
        attribute.type = generator.randrange(14)


def _sizes(generator: random.Random) -> list[int]:
    choices = [-1, 0, 1, 2, 3, 36, 100_000, 2**31 - 1, -(2**31)]
    return generator.choices(choices, k=generator.randrange(6))


def _mutated_graph(data: bytes, generator: random.Random) -> bytes:
    model = onnx.load_model_from_string(data)
    graph = model.graph
    for _ in range(generator.randint(1, 2)):
        node = generator.choice(list(graph.node))
        action = generator.randrange(7)
        if action == 0:
            node.op_type = generator.choice(["Loop", "Scan", "Conv", "Relu", "Tile", "Nosuch"])
        elif action == 1:
            node.domain = generator.choice(["", "com.microsoft", "evil", "ai.onnx.ml"])
        elif action == 2:
            node.input[0] = generator.choice(["w", "clip", "flat", "nosuch", ""])
        elif action == 3:
            tensor = graph.initializer[0]
            tensor.data_location = TensorProto.EXTERNAL
            place = generator.choice(["/etc/passwd", "../x", "model.pdiparams", "", "none"])
            tensor.external_data.add(key="location", value=place)
            tensor.ClearField("raw_data")
        elif action == 4:
            graph.initializer[0].dims[:] = _sizes(generator)
        elif action == 5:
            size = numpy_helper.from_array(np.array([2**33, 2**10], np.int64), "huge")
            graph.initializer.append(size)
            graph.node.insert(0, helper.make_node("ConstantOfShape", ["huge"], ["made"]))
        else:
            del graph.node[generator.randrange(len(graph.node))]
    return model.SerializeToString()


def _npz(arrays: dict[str, np.ndarray], save: Callable) -> bytes:
    content = io.BytesIO()
    save(content, **arrays)
    return content.getvalue()


def _bomb() -> bytes:
    """A .npz of a megabyte that unpacks to a gigabyte."""
    content = io.BytesIO()
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f4", "fortran_order": False, "shape": (2, 300, 450_000)}
    )
    with (
        zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("x_train.npy", "w", force_zip64=True) as file,
    ):
        file.write(header.getvalue())
        block = bytes(10_000_000)
        for _ in range(108):
            file.write(block)
    return content.getvalue()


def _torch(content: bytes) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("archive/data.pkl", content)
        file.writestr("archive/version", "3")
    return archive.getvalue()
