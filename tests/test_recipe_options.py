"""`--recipe`, `-o`, `--skeleton`, `--classes`, `--frames`, `--persons`: from a checkpoint to an answer
without a data set."""

import json

import numpy as np
import pytest

from compress.cli import main as featherbone, recipe_options
from teachers import ctrgcn, networks
from teachers.ctrgcn import keys
from teachers.errors import RecipeError
from teachers.skeleton import NTU_25, UCLA_20, Skeleton
from teachers.terminal.arguments import Parser
from teachers.weights import checkpoints, hint_options
from tests.test_torch_files import written

# A hand as MediaPipe has it: the wrist, and four joints for each of five fingers.
HAND = Skeleton(
    "hand", 21, tuple((child, 1 if child % 4 == 2 else child - 1) for child in range(2, 22)), 1
)
CLASSES = ("fist", "palm", "point", "thumb up", "wave")
HAND_TEXT = json.dumps(
    {"name": "hand", "joints": 21, "bones": [list(bone) for bone in HAND.bones], "centre": 1}
)


def checkpoint(path, network):
    """A network as torch would have saved its state dict, under the published names."""
    arrays = keys.to_published(network.spec, networks.state_of(network))
    names = {"_mean": "running_mean", "_variance": "running_var"}
    state = {}
    for name, value in arrays.items():
        stem, _, last = name.rpartition(".")
        linear = last == "weight" and value.ndim == 2
        torch_name = f"{stem}.{names.get(last, last)}" if stem else name
        state[torch_name] = np.array(value.T if linear else value, order="C")
    path.write_bytes(written("zip", {"state_dict": state, "epoch": 65}))
    return path


@pytest.fixture(scope="module")
def hand():
    """A narrow CTR-GCN for hands: 5 classes, 21 joints, one person, 16 frames."""
    spec = ctrgcn.default_spec(5, HAND, 16, 1, config=ctrgcn.Config(8))
    network = networks.build(spec)
    network.eval()
    return network


def options_of(*arguments, module=recipe_options):
    parser = Parser()
    module.add_options(parser)
    return parser.parse_args([str(argument) for argument in arguments])


def run(capsys, *arguments):
    code = featherbone([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return code, json.loads(out.splitlines()[-1]), out, err


RECIPE = ("--recipe", "ctrgcn_lite_dml", "-o", "data.name=own", "-o", "data.root=/nowhere")


def test_a_hand_from_a_checkpoint_to_an_answer(tmp_path, capsys, hand):
    source = checkpoint(tmp_path / "hand.pth", hand)
    (tmp_path / "labels.txt").write_text("\n".join(CLASSES) + "\n", encoding="utf-8")
    (tmp_path / "hand.yaml").write_text(f"skeleton: {HAND_TEXT}\n", encoding="utf-8")
    code, found, _, err = run(
        capsys,
        "convert",
        source,
        tmp_path / "hand.npz",
        *RECIPE,
        "--skeleton",
        tmp_path / "hand.yaml",
        "--classes",
        tmp_path / "labels.txt",
        "--frames",
        16,
    )
    assert code == 0, err
    assert found["skeleton"] == "hand" and found["input"] == [3, 16, 21, 1]
    assert found["class_names"] == list(CLASSES)
    assert found["preprocessing"] == ["centre_seen", "crop_resize"]
    code, _, _, err = run(
        capsys,
        "export",
        "--weights",
        tmp_path / "hand.npz",
        "--out",
        tmp_path / "deploy",
        "--format",
        "onnx",
    )
    assert code == 0, err
    clip = np.random.default_rng(0).normal(size=(40, 21, 3)).astype("float32")
    np.save(tmp_path / "clip.npy", clip)
    code, found, _, err = run(capsys, "predict", tmp_path / "deploy", tmp_path / "clip.npy")
    assert code == 0, err
    answer = found["clips"][0]
    assert {entry["class"] for entry in answer["top5"]} == set(CLASSES)
    # The same clip by hand, through the steps that the file has.
    about = checkpoints.read(tmp_path / "hand.npz")[2]
    assert about["recorded"]["joints"] == 21 and about["data"] == "own"


def test_export_takes_the_options_itself(tmp_path, capsys, hand):
    source = checkpoint(tmp_path / "hand.pth", hand)
    code, _, _, err = run(
        capsys,
        "export",
        "--weights",
        source,
        "--out",
        tmp_path / "deploy",
        "--format",
        "onnx",
        *RECIPE,
        "--skeleton",
        HAND_TEXT,
        "--classes",
        ",".join(CLASSES),
        "--frames",
        16,
    )
    assert code == 0, err
    description = json.loads((tmp_path / "deploy" / "deployed.json").read_text())
    assert description["classes"] == list(CLASSES)
    assert description["skeleton"]["name"] == "hand"
    assert [step["op"] for step in description["preprocessing"]] == ["centre_seen", "crop_resize"]


def test_what_a_recipe_says_is_what_a_run_with_its_data_would_say(tmp_path, randomised):
    spec = ctrgcn.default_spec(10, UCLA_20, 52, 1, config=ctrgcn.Config(8))
    source = checkpoint(tmp_path / "net.pth", randomised(networks.build(spec)))
    options = options_of(
        "--recipe",
        "ctrgcn_lite_dml",
        "-o",
        "data.name=nw_ucla",
        "-o",
        "data.root=/nowhere",
        "-o",
        "teacher.width=8",
    )
    read, _, about = recipe_options.read(source, options)
    assert read == spec
    assert [step["op"] for step in about["preprocessing"]] == ["centre", "min_max", "sample"]
    assert about["classes"][4] == "sit down" and about["data"] == "nw_ucla"
    assert about["recorded"] == {"channels": 3, "joints": 20, "persons": 1}


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("-o", "seed=2"), "-o seed=2: changes a recipe, and there is none; give --recipe NAME"),
        (("--classes", "a,b"), "--classes: 2 names for the 5 classes of .*hand.pth"),
        (("--classes", "a,b,a,c,d"), "--classes: names 'a' twice"),
        (("--classes", "labels.txt"), "--classes labels.txt: no such file"),
        (("--classes", ","), "--classes: names no class"),
        (("--skeleton", "{name: hand, joints: 21"), "--skeleton: not YAML or JSON"),
        (("--skeleton", '{name: "\\Uffffffff", joints: 21}'), "--skeleton: not YAML or JSON"),
        (("--skeleton", "{name: " + "[" * 3000), "--skeleton: brackets are nested more than 20"),
        (("--skeleton", "{name: " + "x" * 70_000), "--skeleton: is longer than 64000"),
        (("--skeleton", "{name: hand, joints: 21}"), "--skeleton: the key 'bones' is missing"),
        (
            ("--skeleton", "{name: hand, joints: 3, bones: [[1, 4]], centre: 1}"),
            r"bone \[1, 4\] does not join two of its 3 joints",
        ),
        (
            ("--skeleton", "hands"),
            r"--skeleton hands: no such skeleton or file \(known: ntu_25,.*describe yours",
        ),
        (
            ("--recipe", "stgcnpp", "--skeleton", HAND_TEXT),
            "holds a ctrgcn, the recipe stgcnpp says stgcnpp",
        ),
        (
            ("--recipe", "efficientgcn_b0", "-o", "teacher.name=ctrgcn", "--skeleton", HAND_TEXT),
            r"its input \(C, T, V, M\) is \(3, ",
        ),
    ],
)
def test_what_cannot_be_is_said(tmp_path, hand, arguments, message):
    source = checkpoint(tmp_path / "hand.pth", hand)
    with pytest.raises(Exception, match=message) as caught:
        recipe_options.read(source, options_of("--skeleton", HAND_TEXT, *arguments))
    assert caught.type.__name__ in ("RecipeError", "CheckpointError")


def test_a_file_of_this_project_says_itself(tmp_path, hand):
    path = tmp_path / "net.npz"
    checkpoints.save(path, hand, {"classes": list("abcde")})
    with pytest.raises(RecipeError, match="says its input and skeleton itself"):
        recipe_options.read(path, options_of("--frames", 16))
    # Names of its classes and the input are what such a file may lack.
    assert recipe_options.read(path, options_of("--classes", "v,w,x,y,z"))[2] == {
        "classes": ["v", "w", "x", "y", "z"]
    }
    about = recipe_options.read(path, options_of(*RECIPE))[2]
    assert about["classes"] == list("abcde")
    assert about["preprocessing"][-1]["frames"] == 16
    checkpoints.save(path, hand, about)
    with pytest.raises(RecipeError, match="says its input itself; leave out --recipe"):
        recipe_options.read(path, options_of(*RECIPE))


def test_class_names_from_files(tmp_path):
    (tmp_path / "a.txt").write_text("\ufeffgo\r\nstop, then go\r\n\r\n", encoding="utf-8")
    (tmp_path / "a.json").write_text('["go", "stop"]')
    (tmp_path / "a.yaml").write_text("- go\n- 3\n")
    (tmp_path / "bad.json").write_text('{"go": 1}')
    assert hint_options.class_names(str(tmp_path / "a.txt")) == ("go", "stop, then go")
    assert hint_options.class_names(str(tmp_path / "a.json")) == ("go", "stop")
    assert hint_options.class_names(str(tmp_path / "a.yaml")) == ("go", "3")
    with pytest.raises(RecipeError, match="expected a list of names"):
        hint_options.class_names(str(tmp_path / "bad.json"))
    assert hint_options.skeleton_of("ntu_25") is NTU_25
    assert hint_options.skeleton_of(HAND_TEXT) == HAND
