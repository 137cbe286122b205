"""`python -m teachers.convert`: any weights file becomes ours; what cannot be read is a message and
an exit code."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import paddle
import pytest

from teachers import convert, ctrgcn, networks
from teachers.ctrgcn import keys
from teachers.skeleton import UCLA_20
from teachers.weights import checkpoints

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def arrays(randomised):
    """A narrow CTR-GCN under PaddleVideo's names: 4 classes, 20 joints, 1 person."""
    network = randomised(
        networks.build(ctrgcn.default_spec(4, UCLA_20, 52, 1, config=ctrgcn.Config(8)))
    )
    return keys.to_published(network.spec, networks.state_of(network))


def written(path: Path, arrays, prefix: str = "backbone.") -> Path:
    paddle.save(
        {prefix + name: paddle.to_tensor(value) for name, value in arrays.items()}, str(path)
    )
    return path


def run(capsys, *arguments) -> tuple[int, str, str]:
    code = convert.main([str(one) for one in arguments])
    return code, *capsys.readouterr()


def test_a_published_checkpoint_becomes_ours(tmp_path, capsys, arrays):
    source, target = written(tmp_path / "net.pdparams", arrays), tmp_path / "net.npz"
    code, out, err = run(capsys, source, target, "--frames", 16)
    spec = checkpoints.load(target).spec
    assert code == 0 and not err and spec.input_shape == (3, 16, 20, 1)
    assert json.loads(out.splitlines()[-1]) == {
        "out": str(target),
        "bytes": target.stat().st_size,
        "format": "Paddle",
        "network": "ctrgcn",
        "layouts": list(keys.READS),
        "parameters": networks.parameters(spec),
        "classes": 4,
        "class_names": None,
        "skeleton": "ucla_20",
        "joints": 20,
        "input": [3, 16, 20, 1],
        "preprocessing": [],
    }
    assert out.startswith(
        f"{source}: ctrgcn in Paddle format, {networks.parameters(spec):,} parameters, 4 classes\n"
    )
    assert "input: 3 coordinates, 16 frames, 20 joints (ucla_20), 1 person\n" in out
    assert np.array_equal(
        networks.state_of(checkpoints.load(target))["l1.graph.topology"], arrays["l1.gcn1.PA"]
    )


def test_persons_that_the_weights_are_not_for_are_refused(tmp_path, capsys, arrays):
    source, target = written(tmp_path / "net.pdparams", arrays), tmp_path / "net.npz"
    code, _, err = run(capsys, source, target, "--persons", 2)
    assert code == 1 and not target.exists()
    assert err == f"error: --persons 2: the weights of {source} are for 1; leave out --persons\n"
    assert run(capsys, source, target, "--persons", 1)[0] == 0


def test_ours_stays_ours_with_what_it_was_trained_on(tmp_path, capsys, tiny_spec):
    checkpoints.save(tmp_path / "a.npz", networks.build(tiny_spec), {"classes": ["a", "b", "c"]})
    code, out, _ = run(capsys, tmp_path / "a.npz", tmp_path / "b.npz")
    assert code == 0 and json.loads(out.splitlines()[-1])["format"] == "this project's"
    assert checkpoints.read(tmp_path / "b.npz")[2] == {"classes": ["a", "b", "c"]}
    code, _, err = run(capsys, tmp_path / "a.npz", tmp_path / "c.npz", "--frames", 16)
    assert (
        code == 1
        and "a.npz: says its input and skeleton itself; leave out --frames" in err
        and not (tmp_path / "c.npz").exists()
    )


def test_either_network_of_a_distillation_checkpoint(tmp_path, capsys, arrays):
    both = {f"Student.backbone.{name}": value for name, value in arrays.items()}
    both |= {
        f"Teacher.backbone.{name}": value + (name == "fc.bias") for name, value in arrays.items()
    }
    source = written(tmp_path / "dml.pdparams", both, "")
    for part, bias in (("", 0), ("#Student", 0), ("#Teacher", 1)):
        assert run(capsys, f"{source}{part}", tmp_path / "one.npz")[0] == 0
        found = networks.state_of(checkpoints.load(tmp_path / "one.npz"))["fc.bias"]
        np.testing.assert_array_equal(found, arrays["fc.bias"] + bias)
    plain = written(tmp_path / "plain.pdparams", arrays)
    code, _, err = run(capsys, f"{plain}#Teacher", tmp_path / "two.npz")
    assert code == 1 and err == f"error: {plain}: has no part 'Teacher' (it holds one network)\n"


def test_a_hostile_pickle_is_refused_and_not_run(tmp_path, capsys):
    class Hostile:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'trace'}",)

    (tmp_path / "net.pdparams").write_bytes(pickle.dumps({"l1.gcn1.PA": Hostile()}))
    code, out, err = run(capsys, tmp_path / "net.pdparams", tmp_path / "net.npz")
    assert (
        code == 1
        and json.loads(out)["status"] == "failed"
        and f"net.pdparams: refuses to load '{os.system.__module__}.system'" in err
    )
    assert sorted(one.name for one in tmp_path.iterdir()) == ["net.pdparams"]


def test_an_unknown_layout_names_keys_and_what_is_known(tmp_path, capsys, arrays):
    source = written(tmp_path / "net.pdparams", {"encoder.weight": np.zeros(2, "float32")})
    code, _, err = run(capsys, source, tmp_path / "net.npz")
    assert (
        code == 1
        and "an unknown layout; its keys start with encoder.weight. Known: files of this"
        " project; ctrgcn from"
        in err
    )
    source = written(
        tmp_path / "part.pdparams",
        {name: value for name, value in arrays.items() if name != "l3.gcn1.alpha"},
    )
    code, _, err = run(capsys, source, tmp_path / "net.npz")
    assert (
        code == 1
        and err == f"error: {source}: as ctrgcn: has no 'l3.gcn1.alpha'\n"
        and not (tmp_path / "net.npz").exists()
    )


@pytest.mark.parametrize("kept", [0, 10, 2000, -100])
def test_a_truncated_file(tmp_path, capsys, arrays, kept):
    source = written(tmp_path / "net.pdparams", arrays)
    source.write_bytes(source.read_bytes()[:kept])
    code, _, err = run(capsys, source, tmp_path / "net.npz")
    # Behind the path, which has the test's name in it.
    said = err.split("net.pdparams: ")[1]
    assert code == 1 and ("truncated" in said or said.startswith("is empty (0 bytes)"))
    assert "copy or download it again" in said and not (tmp_path / "net.npz").exists()


def test_wrong_arguments_say_what_fits(tmp_path, capsys, arrays):
    source = written(tmp_path / "net.pdparams", arrays)
    code, _, err = run(capsys, source, tmp_path / "net.npz", "--skeleton", "ntu_25")
    assert code == 1 and "is for 20 joints, the skeleton 'ntu_25' has 25" in err
    assert (
        run(capsys, source, source)[2]
        == f"error: {source}: is the file to read; give another name for the result\n"
    )
    assert run(capsys, tmp_path / "none.pt", tmp_path / "net.npz")[::2] == (
        1,
        f"error: {tmp_path / 'none.pt'}: no such file; check the path of the weights\n",
    )
    with pytest.raises(SystemExit, match="^1$"):
        convert.main([str(source), str(tmp_path / "net.npz"), "--frames", "0"])
    assert "0 is not a positive number" in capsys.readouterr().err
    code, _, err = run(capsys, source, tmp_path / "net.npz", "--skeleton", "ntu")
    assert code == 1 and "--skeleton ntu: no such skeleton or file (did you mean 'ntu_25'?" in err
    assert not (tmp_path / "net.npz").exists()


def test_a_target_that_cannot_be_written(tmp_path, capsys, arrays):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "full").write_text("")
    code, _, err = run(capsys, written(tmp_path / "net.pdparams", arrays), tmp_path / "folder")
    assert code == 1 and f"error: {tmp_path / 'folder'}: cannot write it" in err


@pytest.mark.parametrize(
    "name, network, parameters, classes, joints, kind",
    [
        ("ctrgcn_ntu60.pt", "ctrgcn", 1_446_672, 60, 25, "torch"),
        ("ctrgcn_nwucla.pt", "ctrgcn", 1_426_892, 10, 20, "torch"),
        ("ctrgcn_nwucla_joint_trained.pt", "ctrgcn", 1_426_892, 10, 20, "torch"),
        ("efficientgcn_b0_epsep_ntu60_xsub.pth.tar", "efficientgcn", 345_333, 60, 25, "torch"),
        ("efficientgcn_b0_sg_ntu60_xsub.pdparams", "efficientgcn", 306_201, 60, 25, "Paddle"),
        ("efficientgcn_b0_sg_ntu60_xview.pdparams", "efficientgcn", 306_201, 60, 25, "Paddle"),
        ("stgcn_ntu60.pth", "stgcn", 3_098_832, 60, 25, "torch"),
        ("stgcnpp_ntu60.pth", "stgcnpp", 1_403_144, 60, 25, "torch"),
    ],
)
def test_real_files(shared, tmp_path, capsys, name, network, parameters, classes, joints, kind):
    source = shared / "weights" / name
    if not source.is_file() or network not in networks.names():
        pytest.skip(f"needs {source} and the network {network}")
    code, out, err = run(capsys, source, tmp_path / "net.npz")
    found = json.loads(out.splitlines()[-1])
    assert code == 0 and not err
    assert [found[key] for key in ("network", "parameters", "classes", "joints", "format")] == [
        network,
        parameters,
        classes,
        joints,
        kind,
    ]
    before = checkpoints.read(source)
    after = checkpoints.read(tmp_path / "net.npz")
    assert after[0] == before[0] and all(
        np.array_equal(after[1][key], value) for key, value in before[1].items()
    )


def test_runs_as_a_module_and_as_a_script_from_any_folder(tmp_path, arrays):
    written(tmp_path / "net.pdparams", arrays)
    for command, folder in (
        (["-m", "teachers.convert"], ROOT),
        ([str(ROOT / "teachers" / "convert.py")], tmp_path),
    ):
        done = subprocess.run(
            [sys.executable, *command, str(tmp_path / "net.pdparams"), str(tmp_path / "out.npz")],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert (
            json.loads(done.stdout.splitlines()[-1])["network"] == "ctrgcn"
            and (tmp_path / "out.npz").is_file()
        )
        (tmp_path / "out.npz").unlink()
