"""Exported files compute what the network computes, hold nothing a runtime does not read, and
describe themselves."""

import dataclasses
import inspect
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import paddle
import pytest
from paddle import nn

from compress.predict import main
from export import api, deployed, package, runtimes, scripts, verify
from export.deployed import definitions
from export.deployed.record import LONGEST_TEXT
from export.flat.flatten import flatten
from export.flat.layers import FoldedConv
from export.formats import baseline, onnx_model, paddle_model, paddle_strip, table
from export.preprocess import ops
from export.runtimes import ort
from teachers import networks
from teachers.errors import CheckpointError, ExportMismatch, RecipeError, StorageError
from teachers.weights import checkpoints

ROOT = Path(__file__).resolve().parents[1]
CLASSES = ("one", "two", "three")
PROGRAM = table.files("paddle")[0]


def logits_of(network, clips):
    with paddle.no_grad():
        return network(paddle.to_tensor(clips)).numpy()


@pytest.fixture(scope="module")
def trained(tiny_spec, randomised):
    """A tiny network with signal on every path, eight clips and its logits."""
    network = randomised(networks.build(tiny_spec))
    clips = np.random.default_rng(0).standard_normal((8, *tiny_spec.input_shape)).astype("float32")
    return network, clips, logits_of(network, clips)


@pytest.fixture(scope="module")
def folder(trained, tmp_path_factory):
    network, clips, reference = trained
    path = tmp_path_factory.mktemp("deploy")
    package.build(
        network,
        path,
        ("paddle", "onnx"),
        {"classes": CLASSES, "preprocessing": [{"op": "sample", "frames": 8}], "data": "tiny"},
        clips,
        reference,
    )
    return path


def test_flat_network_equals_the_trained_one(trained):
    network, clips, reference = trained
    assert verify.difference(logits_of(flatten(network), clips), reference)["max_rel_diff"] < 1e-5


def test_real_checkpoint_survives_folding(shared):
    golden = np.load(shared / "golden" / "ctrgcn_nwucla.npz")
    flat = flatten(checkpoints.load(shared / "weights" / "ctrgcn_nwucla.pt"))
    assert np.abs(logits_of(flat, golden["input"]) - golden["logits"]).max() < 1e-4


@pytest.mark.parametrize("batch", [1, 3, 8])
@pytest.mark.parametrize("kind", ["paddle", "onnx"])
def test_every_runtime_agrees_at_any_batch_size(trained, folder, kind, batch):
    _, clips, reference = trained
    found = verify.difference(
        deployed.predictors(folder, deployed.read(folder))[kind](clips[:batch]), reference[:batch]
    )
    assert found["agreement"] == 1.0 and found["max_rel_diff"] < 1e-5


@pytest.mark.parametrize("kind", ["paddle", "onnx"])
def test_features_are_what_the_classifier_makes_the_logits_of(trained, folder, kind):
    network, clips, _ = trained
    predict = deployed.predictor_with_features(folder, deployed.read(folder), kind)
    logits, features = predict(clips)
    assert features.shape == (8, network.fc.weight.shape[0])
    expected = features @ network.fc.weight.numpy() + network.fc.bias.numpy()
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)
    # The second output changes nothing of the first.
    np.testing.assert_array_equal(
        logits, deployed.predictors(folder, deployed.read(folder))[kind](clips)
    )


def test_a_model_without_a_classifier_has_no_features(tmp_path):
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Relu", ["x"], ["logits"])],
        "g",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [None, 2])],
        [onnx.helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, [None, 2])],
    )
    onnx.save(onnx.helper.make_model(graph), tmp_path / "model.onnx")
    with pytest.raises(ExportMismatch, match=r"model\.onnx: no matrix product or convolution"):
        ort.load_with_features([tmp_path / "model.onnx"])


def test_default_predictor_with_onednn_is_right_too(trained, folder):
    """Paddle's own default for CPU may be oneDNN, which is wrong on a rank-4 conv2d feeding a
    matmul; our graph avoids that."""
    _, clips, reference = trained
    predict_ = runtimes.paddle_inference(folder / PROGRAM, folder / "model.pdiparams", onednn=True)
    assert verify.difference(predict_(clips), reference)["max_rel_diff"] < 1e-4


def test_folder_holds_only_what_is_deployed(folder):
    assert {path.name for path in folder.iterdir()} == {
        "deployed.json",
        "model.onnx",
        "model.pdiparams",
        PROGRAM,
    }
    program = (folder / PROGRAM).read_bytes()
    for dead in (b"op_callstack", b".py", b"batch_norm", b"struct_name"):
        assert dead not in program


def test_onnx_weights_keep_their_block_and_appear_once(folder):
    model = onnx.load(folder / "model.onnx")
    names = [one.name for one in model.graph.initializer]
    assert not [node for node in model.graph.node if node.op_type == "Constant"]
    assert any(name.startswith("l1.") for name in names) and any(
        name.startswith("fc.") for name in names
    )
    assert len(set(names)) == len(names)


def test_stripping_changes_no_number(trained, tmp_path):
    network, clips, _ = trained
    inputs = paddle_model.clip_input(network.spec)
    paddle_model.trace(flatten(network), inputs, tmp_path / "model")
    program, parameters = (tmp_path / name for name in table.files("paddle"))
    plain = runtimes.paddle_inference(program, parameters)(clips)
    before = program.stat().st_size
    program.write_bytes(paddle_strip.strip(program.read_bytes()))
    assert np.array_equal(runtimes.paddle_inference(program, parameters)(clips), plain)
    # Paddle 3 keeps no call stacks: less is dead.
    share = 0.5 if program.suffix == ".pdmodel" else 0.75
    assert program.stat().st_size < share * before


def test_smaller_than_the_baseline_export(trained, folder, tmp_path):
    network, clips, reference = trained
    found = baseline.save_baseline(network, tmp_path)
    sizes = {one["file"]: one["bytes"] for one in found["files"]}
    assert found["bytes"] == sum(sizes.values())
    share = 0.4 if PROGRAM == "model.pdmodel" else 0.6
    assert (folder / PROGRAM).stat().st_size < share * sizes[PROGRAM]
    assert (folder / "model.onnx").stat().st_size < sizes["model.onnx"]
    assert (
        verify.difference(runtimes.onnx_runtime(tmp_path / "model.onnx")(clips), reference)[
            "max_rel_diff"
        ]
        < 1e-4
    )


def test_file_of_another_network_is_refused(trained, folder):
    _, clips, reference = trained
    predict_ = deployed.predictors(folder, deployed.read(folder))["onnx"]
    with pytest.raises(
        ExportMismatch,
        match=(
            r"model.onnx: disagrees with the trained network on 8 clips: top-1 agreement .*do not"
            r" deploy"
        ),
    ):
        verify.require_same(folder / "model.onnx", predict_, clips, -reference)
    with pytest.raises(ExportMismatch, match=r"relative difference 1.0\de-04 \(allowed 1e-05\)"):
        verify.require_same(folder / "model.onnx", predict_, clips, reference * (1 + 1.05e-4))


@pytest.mark.parametrize("batch", [1, 5])
def test_another_answer_is_refused_however_close_the_logits_are(batch):
    """Two classes are nearly equal: the logits of a clip differ by a tenth of what is allowed, which
    is far beyond the noise of the others, in one of the two ways that the file is run."""
    reference = np.array([[1.0, 1.0 + 1e-6, 0.0]] * 5)
    turned = reference.copy()
    turned[0] = reference[0, [1, 0, 2]]

    def predict(clips):
        return (turned if len(clips) == batch else reference)[: len(clips)]

    assert verify.difference(turned, reference)["max_rel_diff"] < verify.TOLERANCE / 5
    agreement = r"0\.00" if batch == 1 else r"80\.00"
    with pytest.raises(
        ExportMismatch, match=rf"top-1 agreement {agreement}% but for ties \(needed"
    ):
        verify.require_same(Path("model.onnx"), predict, np.zeros((5, 3, 8, 5, 2)), reference)


def test_an_older_export_leaves_nothing_in_the_folder(trained, tmp_path):
    network, clips, reference = trained
    about = {"classes": CLASSES, "data": "tiny", "preprocessing": []}
    package.build(network, tmp_path, ("paddle", "onnx"), about, clips, reference)
    package.build(network, tmp_path, ("onnx",), about, clips, reference)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deployed.json", "model.onnx"]
    # The older description would pass a refused file off as verified.
    with pytest.raises(ExportMismatch):
        package.build(network, tmp_path, ("onnx",), about, clips, -reference)
    assert not (tmp_path / deployed.NAME).exists()


def test_an_export_that_is_refused_leaves_the_folder_as_it_was(trained, tmp_path):
    network, clips, reference = trained
    about = {"classes": CLASSES, "data": "tiny", "preprocessing": []}
    package.build(network, tmp_path, ("onnx",), about, clips, reference)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(RecipeError, match="continual"):
        package.build(network, tmp_path, ("continual",), about, clips, reference)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_an_export_leaves_other_files_of_its_folder_alone(trained, tmp_path):
    network, clips, reference = trained
    about = {"classes": CLASSES, "data": "tiny", "preprocessing": []}
    others = ("model.npz", "model.py", "model.pt", "model.pdparams", "model_continual.md", "a.onnx")
    package.build(network, tmp_path, ("onnx",), about, clips, reference)
    # Of an export under names of its own, with what is no model among them.
    (tmp_path / "named.onnx").write_bytes((tmp_path / "model.onnx").read_bytes())
    description = dataclasses.replace(
        deployed.read(tmp_path), files={"onnx": ("named.onnx",), "paddle": ("train.py",)}
    )
    for name in (*others, "train.py", "model.pdiparams.info", "model.pdiparams"):
        (tmp_path / name).write_text(name)
    # A name of Paddle 3's programs, but no program.
    (tmp_path / "model.json").write_text('{"lr": 0.1}')
    deployed.write(tmp_path, description)
    package.build(network, tmp_path, ("onnx",), about, clips, reference)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {deployed.NAME, "model.onnx", "model.json", "train.py", *others}


def test_a_folder_in_the_place_of_a_model_is_named(trained, tmp_path):
    network, clips, reference = trained
    (tmp_path / "model.onnx").mkdir()
    with pytest.raises(StorageError, match="model.onnx: cannot write it"):
        package.build(network, tmp_path, ("onnx",), {}, clips, reference)


@pytest.mark.parametrize("name", ["model.onnx", "model.pdiparams", "deployed.json"])
def test_an_export_never_replaces_the_weights(trained, tmp_path, capsys, name):
    path = tmp_path / name
    checkpoints.save(tmp_path / "net.npz", trained[0], {"classes": CLASSES, "data": "tiny"})
    (tmp_path / "net.npz").rename(path)
    content = path.read_bytes()
    command = ["--weights", str(path), "--out", str(tmp_path), "--format", "onnx"]
    assert scripts.main(command) == RecipeError.exit_code
    said = capsys.readouterr().err
    assert f"--out: {path} is the file given with --weights" in said
    assert path.read_bytes() == content and list(tmp_path.iterdir()) == [path]


def test_an_export_beside_its_weights_keeps_them(trained, tmp_path, capsys):
    path = tmp_path / "model.npz"
    checkpoints.save(path, trained[0], {"classes": CLASSES, "data": "tiny", "preprocessing": []})
    command = ["--weights", str(path), "--out", str(tmp_path), "--format", "onnx", "--json"]
    assert scripts.main(command) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(said["files"]) == {deployed.NAME, "model.onnx"} and path.is_file()


def test_damaged_model_is_named(folder, tmp_path):
    (tmp_path / "model.onnx").write_bytes((folder / "model.onnx").read_bytes()[:500])
    with pytest.raises(ExportMismatch, match="model.onnx: its runtime cannot load it"):
        runtimes.onnx_runtime(tmp_path / "model.onnx")


def test_description_says_how_to_feed_the_network(folder, tiny_spec):
    description = deployed.read(folder)
    assert description.classes == CLASSES and description.input.shape == (None, 3, 8, 5, 2)
    assert description.skeleton.joints == 5
    assert description.preprocessing == ({"op": "sample", "frames": 8},)
    with pytest.raises(
        CheckpointError, match="deployed.json: no such file; give a deployed folder"
    ):
        deployed.read(folder.parent / "nowhere")


def test_joints_are_counted_from_zero_and_steps_are_defined(trained, tmp_path):
    network, clips, reference = trained
    steps = [
        {"op": "centre", "joint": 1, "frame": 0},
        {"op": "stream", "kind": "bone", "bones": [[2, 1], [3, 2]]},
        {"op": "sample", "frames": 8},
    ]
    package.build(network, tmp_path, ("onnx",), {"preprocessing": steps}, clips, reference)
    content = json.loads((tmp_path / "deployed.json").read_text())
    assert content["version"] == 2 and content["counted_from"] == 0
    skeleton = network.spec.skeleton
    assert content["skeleton"]["centre"] == skeleton.centre - 1
    assert content["skeleton"]["bones"] == [[a - 1, b - 1] for a, b in skeleton.bones]
    assert content["preprocessing"][0]["joint"] == 1
    assert content["preprocessing"][1]["bones"] == [[1, 0], [2, 1]]
    assert set(content["steps"]) == {"terms", "centre", "stream", "sample"}
    # In memory as ever: views and identities are made of it.
    description = deployed.read(tmp_path)
    assert description.skeleton == skeleton and list(description.preprocessing) == steps
    # A folder of version 1 has the same steps and counts bones from 1.
    old = content | {"version": 1, "skeleton": dataclasses.asdict(skeleton), "preprocessing": steps}
    for key in ("counted_from", "steps", "requires", "sha256"):
        del old[key]
    (tmp_path / "deployed.json").write_text(json.dumps(old))
    description = deployed.read(tmp_path)
    assert description.skeleton == skeleton and list(description.preprocessing) == steps
    deployed.write(tmp_path, description)
    written = json.loads((tmp_path / "deployed.json").read_text())
    assert {key: written[key] for key in content if key not in ("requires", "sha256")} == {
        key: value for key, value in content.items() if key not in ("requires", "sha256")
    }
    assert deployed.read(tmp_path).skeleton == skeleton


def test_every_step_has_a_definition_that_names_its_keys():
    assert set(definitions.TEXTS) == set(ops.STEPS)
    for name, function in ops.STEPS.items():
        keys = list(inspect.signature(function).parameters)[1:]
        missing = [key for key in keys if key not in definitions.TEXTS[name]]
        assert not missing, f"{name}: {missing}"
        assert len(definitions.TEXTS[name]) < LONGEST_TEXT
    assert len(definitions.REPAIR) < LONGEST_TEXT


def test_pairs_to_repair_by_are_counted_from_zero_and_explained(tiny_spec, tmp_path):
    recorded = {"channels": 3, "joints": 5, "persons": 2, "repair_bones": [[2, 1], [5, 4]]}
    (tmp_path / "model.onnx").write_bytes(b"model")
    deployed.write(
        tmp_path, deployed.describe(tiny_spec, {"recorded": recorded}, {"onnx": ["model.onnx"]})
    )
    written = json.loads((tmp_path / "deployed.json").read_text())
    assert written["recorded"]["repair_bones"] == [[1, 0], [4, 3]]
    assert written["steps"]["repair_bones"] == definitions.REPAIR
    assert deployed.read(tmp_path).recording.repair_bones == ((2, 1), (5, 4))


def test_a_folder_says_what_its_files_need(trained, tmp_path):
    network, clips, reference = trained
    quantized = api.quantize(network, kind="int4_weights")
    package.build(network, tmp_path, ("onnx", "paddle"), {}, clips, reference, quantized)
    needs = deployed.read(tmp_path).requires
    opset = onnx.load(tmp_path / "model.onnx").opset_import[0].version
    assert needs["onnx"]["opset"] == str(opset) == "21" and needs["onnx"]["onnxruntime"] == "1.19"
    # The version that stamped the program; those before it promise nothing.
    assert needs["paddle"] == {
        "paddlepaddle": paddle.__version__,
        "checked_with": f"paddlepaddle {paddle.__version__}",
    }
    package.build(network, tmp_path, ("onnx",), {}, clips, reference)
    assert deployed.read(tmp_path).requires["onnx"]["opset"] == "15"


@pytest.mark.parametrize("kind", ["paddle", "onnx"])
def test_predict_from_the_folder_alone(trained, folder, tmp_path, capsys, kind):
    _, clips, reference = trained
    np.save(tmp_path / "many.npy", clips[:3])
    assert main([str(folder), str(tmp_path / "many.npy"), "--runtime", kind]) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [one["class"] for one in said["clips"]] == [
        CLASSES[index] for index in reference[:3].argmax(1)
    ]
    assert all(abs(sum(best["score"] for best in one["top5"]) - 1) < 0.01 for one in said["clips"])


def test_predict_refuses_another_skeleton(folder, tmp_path, capsys):
    np.save(tmp_path / "clip.npy", np.ones((3, 8, 25, 2), "float32"))
    assert main([str(folder), str(tmp_path / "clip.npy")]) == 1
    assert (
        "has 3 coordinates of 25 joints; this network needs 3 of 5 (five)"
        in capsys.readouterr().err
    )


def test_predict_needs_a_clip_that_exists(folder, tmp_path, capsys):
    assert main([str(folder), str(tmp_path / "none.npy")]) == 1
    assert "none.npy" in capsys.readouterr().err


@pytest.mark.parametrize(
    "script, files",
    [("static.py", [*table.files("paddle")]), ("to_onnx.py", ["model.onnx"])],
)
def test_export_scripts(trained, tmp_path, script, files):
    network, _, _ = trained
    checkpoints.save(
        tmp_path / "net.npz", network, {"classes": CLASSES, "data": "tiny", "preprocessing": []}
    )
    done = subprocess.run(
        [sys.executable, str(ROOT / "export" / script), "--weights", "net.npz", "--out", "deploy"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    said = json.loads(done.stdout.splitlines()[-1])
    assert set(said["files"]) == {"deployed.json", *files} and said["max_rel_diff"] <= 1e-5
    assert deployed.read(tmp_path / "deploy").classes == CLASSES


def test_export_script_with_bad_weights(tmp_path):
    (tmp_path / "net.npz").write_bytes(b"PK\x03\x04 cut short")
    done = subprocess.run(
        [sys.executable, str(ROOT / "export/static.py"), "--weights", "net.npz", "--out", "deploy"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (
        done.returncode == 1
        and "net.npz: damaged or truncated" in done.stderr
        and "Traceback" not in done.stderr
    )


def test_convs_of_equal_weights_keep_their_own_biases(tmp_path):
    class Twins(nn.Sequential):
        def forward(self, x):
            return paddle.concat([layer(x[:, :, :, :, 0]) for layer in self], axis=1).mean([2, 3])

    weight = np.ones((4, 3, 1, 1))
    flat = Twins(
        *(
            FoldedConv("l1", name, weight, np.full(4, bias))
            for name, bias in (("one", 1.0), ("two", 2.0))
        )
    )
    onnx_model.save(flat, SimpleNamespace(input_shape=(3, 8, 5, 1)), tmp_path)
    found = runtimes.onnx_runtime(tmp_path / "model.onnx")(np.zeros((1, 3, 8, 5, 1), "float32"))
    np.testing.assert_allclose(found, [[1, 1, 1, 1, 2, 2, 2, 2]])
