"""The client of docs/serving.md, built from the page: at most 40 lines for each input, and the same
logits bit for bit as `predict`."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from compress.data.dataset import Dataset, Split
from compress.data.ntu import CENTRED
from compress.inputs import branches, crop_resize, loop, min_max_sample, uniform, view
from compress.inputs.windows import Window
from export import deployed, serving
from export.deployed.record import FORMAT, VERSION, Description, Input, Output, Recorded
from export.preprocess import ops
from teachers.skeleton import COCO_17, NTU_25, NTU_25_PYSKL, UCLA_20

PAGE = Path(__file__).resolve().parents[1] / "docs" / "serving.md"
MOST_LINES = 40
# What the page says that `stream` adds.
STREAM_LINES = 17
# And `map_joints`, and `window` with `trim`.
MAP_LINES = 19
WINDOW_LINES = 10
NOTHING = Split((), (), np.zeros(0, np.int64))
ONCE = {"op": "view_transform", "centre": 1, "spine": [0, 1], "shoulders": [8, 4], "once": True}


def client(steps) -> tuple[str, int]:
    """(the source that serves these steps, its lines that are not empty)."""
    section = PAGE.read_text(encoding="utf-8").split("## A client of your own")[1].split("\n## ")[0]
    source = "\n".join(re.findall(r"```python\n(.*?)```", section, re.DOTALL))
    tree = ast.parse(source)
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    imports = [node for node in tree.body if isinstance(node, ast.Import)]
    wanted: list[str] = []
    open_ = ["logits", *steps]
    while open_:
        name = open_.pop()
        if name in wanted:
            continue
        wanted.append(name)
        calls = (node.func for node in ast.walk(functions[name]) if isinstance(node, ast.Call))
        open_ += [call.id for call in calls if isinstance(call, ast.Name) and call.id in functions]
    parts = [*imports, *(functions[name] for name in wanted)]
    text = "\n".join(ast.get_source_segment(source, part) or "" for part in parts)
    return text, sum(1 for line in text.splitlines() if line.strip())


def dataset(skeleton, persons=2, channels=3, base=(), **more):
    return Dataset(
        "x", NOTHING, NOTHING, ("a",), skeleton, persons, channels, "", base_ops=base, **more
    )


def flat(persons=2, channels=2, **more):
    return dataset(COCO_17, persons, channels, coordinates=2, as_recorded=True, **more)


INPUTS = {
    "crop_resize of prepared NTU": (crop_resize.Config(16), dataset(NTU_25, base=CENTRED)),
    "crop_resize of own clips": (crop_resize.Config(16), dataset(NTU_25, as_recorded=True)),
    "crop_resize of key points": (crop_resize.Config(16), flat(channels=3)),
    "min_max_sample": (min_max_sample.Config(12), dataset(UCLA_20, 1)),
    "uniform": (uniform.Config(12), dataset(NTU_25_PYSKL)),
    "uniform, ten views, short clips": (uniform.Config(60, clips=10), dataset(NTU_25_PYSKL)),
    "uniform of another skeleton": (uniform.Config(12), dataset(UCLA_20)),
    "uniform of key points": (uniform.Config(12), flat(image=(640, 480))),
    "uniform of key points of no image": (uniform.Config(12, clips=2), flat(channels=3)),
    "loop": (loop.Config(64), dataset(NTU_25_PYSKL)),
    "loop, not normalised": (loop.Config(64, normalise="none"), dataset(NTU_25_PYSKL)),
    "branches, X-Sub": (branches.Config(40), dataset(NTU_25)),
    "branches, X-View": (branches.Config(40, view_transform=True), dataset(NTU_25)),
    "branches of transformed clips": (branches.Config(40), dataset(NTU_25, base=(ONCE,))),
}
STREAMED = [name for name, (config, _) in INPUTS.items() if hasattr(config, "stream")]


def served(config, data, folder) -> Description:
    """A folder with the smallest network there is, a matrix product, behind the view."""
    name = type(config).__module__.rpartition(".")[2]
    through = view.build(name, config, data, data.skeleton)
    size = int(np.prod(through.shape))
    weights = np.random.default_rng(1).standard_normal((size, 7)).astype("float32")
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["clip"], ["flat"]),
            helper.make_node("MatMul", ["flat", "w"], ["logits"]),
        ],
        "g",
        [helper.make_tensor_value_info("clip", TensorProto.FLOAT, [None, *through.shape])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [None, 7])],
        [numpy_helper.from_array(weights, "w")],
    )
    opset = [helper.make_opsetid("", 15)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), folder / "model.onnx")
    description = Description(
        format=FORMAT,
        version=VERSION,
        counted_from=0,
        network="stgcn",
        classes=tuple("abcdefg"),
        input=Input("clip", (None, *through.shape)),
        output=Output("logits", (None, 7)),
        skeleton=data.skeleton,
        files={"onnx": ("model.onnx",)},
        recorded=Recorded(data.channels, data.skeleton.joints, data.persons),
        views=through.clips,
        preprocessing=tuple(through.eval_ops),
    )
    deployed.write(folder, description)
    return deployed.read(folder)


def recordings(data) -> list[np.ndarray]:
    """Clips as they come: whole, with gaps and a missing joint, with a person who comes late, padded
    behind, shorter than any input, with one person more or less than the network takes."""
    rng = np.random.default_rng(0)
    C, V = data.channels, data.skeleton.joints
    whole = rng.uniform(0.1, 2, (C, 31, V, 2)).astype("float32")
    gaps = whole.copy()
    gaps[:, 3:5] = 0
    gaps[:, 7, 2, 0] = 0
    gaps[:, 9:12, :, 1] = 0
    late = whole.copy()
    late[:, :6, :, 0] = 0
    padded = np.concatenate([whole, np.zeros_like(whole)], axis=1)
    three = np.concatenate([whole, whole[..., :1] * 2], axis=3)
    return [whole, gaps, late, padded, whole[:, :4], whole[..., :1], three]


def assert_alike(config, data, folder, most_lines=MOST_LINES) -> None:
    description = served(config, data, folder)
    steps = [str(step["op"]) for step in description.preprocessing]
    source, lines = client(steps)
    assert lines <= most_lines, lines
    space: dict = {}
    exec(source, space)  # noqa: S102  (it is what the page is for)
    model = deployed.open_deployed(folder)
    for number, raw in enumerate(recordings(data)):
        views = [serving.prepare(raw, description, "clip", v) for v in range(description.views)]
        expected, _ = model.run(np.stack(views))
        before = raw.copy()
        np.testing.assert_array_equal(space["logits"](str(folder), raw), expected, f"clip {number}")
        np.testing.assert_array_equal(raw, before)


@pytest.mark.parametrize("name", INPUTS)
def test_the_client_has_the_logits_of_predict(name, tmp_path):
    assert_alike(*INPUTS[name], tmp_path)


@pytest.mark.parametrize("stream", ["bone", "joint_motion", "bone_motion"])
@pytest.mark.parametrize("name", STREAMED)
def test_so_it_has_of_every_stream(name, stream, tmp_path):
    config, data = INPUTS[name]
    changed = type(config)(**{**vars(config), "stream": stream})
    assert_alike(changed, data, tmp_path, MOST_LINES + STREAM_LINES)


@pytest.mark.parametrize(("channels", "score"), [(3, False), (4, True)])
def test_so_it_has_of_clips_of_other_joints(channels, score, tmp_path):
    """Joints selected, averaged, derived by weights of both signs, and turned."""
    joints = [[[1.0, [number]]] for number in range(22)]
    joints += [[[1.0, [1, 2, 3]]], [[1.7, [7, 2]], [-0.7, [6]]], [[0.5, [2]], [0.5, [20]]]]
    step = {"op": "map_joints", "joints": joints, "axes": ["-x", "-y", "z"]}
    base = ({**step, "score": True} if score else step,)
    data = dataset(NTU_25, channels=channels, base=base, as_recorded=True)
    assert_alike(crop_resize.Config(16), data, tmp_path, MOST_LINES + MAP_LINES)


@pytest.mark.parametrize("pad", ["input", "loop", "hold"])
@pytest.mark.parametrize("name", ["crop_resize of prepared NTU", "uniform", "branches, X-Sub"])
def test_so_it_has_of_windows(name, pad, tmp_path):
    config, data = INPUTS[name]
    windowed = type(config)(**{**vars(config), "window": Window(6, 20, pad)})
    assert_alike(windowed, data, tmp_path, MOST_LINES + WINDOW_LINES)


def test_every_step_stands_on_the_page():
    for name in ops.STEPS:
        client([name])
