"""The TIPC chain: what a parameters file says becomes these commands, their ends are counted, and
an inference reports in AutoLog's form."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import raw_ntu
from benchmarks.tipc import chain, check, infer, parameters, prepare, results
from export import package
from export.runtimes import in_process
from teachers import networks, stgcnpp
from teachers.errors import DataError, ExportMismatch
from teachers.skeleton import NTU_25

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = sorted((ROOT / "benchmarks/tipc/configs").glob("*/train_infer_python.txt"))
MODE = "lite_train_lite_infer"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.parent.name)
def test_the_commands_of_each_parameters_file(path):
    lines = parameters.read(path)
    folder = Path("out") / path.parent.name / MODE
    found = chain.commands(lines, MODE, folder)
    # Train, evaluate, export, and two each of oneDNN, threads and batch sizes.
    assert [command.infers for command in found] == [False] * 3 + [True] * 8
    assert len({command.log for command in found}) == len(found)
    train, judged, export, first = (command.text for command in found[:4])
    trained = f"{folder}/norm_train_gpus_-1_autocast_null"
    recipe = f"benchmarks/tipc/configs/{path.parent.name}/recipe.yaml"
    assert train == (
        f"python compress/run.py --recipe {recipe} --device=cpu -o teacher.train.epochs=1"
        f" -o teacher.train.batch_size=8 --output={trained}"
    )
    assert judged.endswith(f"accuracy --recipe {recipe} --device cpu {trained}/weights/student.npz")
    assert export == (
        f"python export/static.py --weights={trained}/weights/student.npz --out={trained}/inference"
    )
    assert first == (
        "python benchmarks/tipc/infer.py --use_gpu=False --enable_mkldnn=True --cpu_threads=1"
        f" --batch_size=1 --precision=fp32 --model_dir={trained}/inference"
        " --infer_dir=benchmarks/tipc/output/data/raw --enable_benchmark=True"
        f" --model_name={path.parent.name}"
    )
    assert found[3].log.name == (
        "python_infer_cpu_usemkldnn_True_threads_1_precision_fp32_batchsize_1.log"
    )


def changed(tmp_path, before: str, after: str) -> Path:
    text = CONFIGS[0].read_text()
    assert before in text
    path = tmp_path / "train_infer_python.txt"
    path.write_text(text.replace(before, after))
    return path


@pytest.mark.parametrize(
    "before, after, message",
    [
        ("lite_train_lite_infer=1|", "", "has no value for lite_train_lite_infer"),
        ("--use_gpu:False", "--use_gpu:True", "--use_gpu:True is not done by this chain"),
        ("pact_train:null", "pact_train:x.py", "pact_train:x.py is not done by this chain"),
        ("gpu_list:-1", "gpu_list:0", "gpu_list:0 is not done"),
        ("==infer_params==", "==serving==", "unknown section 'serving'"),
        ("eval:", "eval", "expected key:value"),
        ("fpgm_train:null\n", "", "a section ends before its line for trainer_extra_2"),
    ],
)
def test_files_that_ask_for_something_else_are_refused(before, after, message, tmp_path):
    with pytest.raises(DataError, match=re.escape(message)):
        chain.commands(parameters.read(changed(tmp_path, before, after)), MODE, tmp_path / "output")


@pytest.fixture
def tiny(tmp_path):
    """A parameters file whose commands do nothing but end, the third of them badly."""
    script = tmp_path / "ends.py"
    script.write_text(
        "import sys\n"
        f"print('\\n'.join({results.FIGURES!r}))\n"
        "sys.exit(int('--weights' in ' '.join(sys.argv[1:2])))\n"
    )
    path = changed(tmp_path, "python:python", f"python:{sys.executable}")
    text = path.read_text()
    for program in ("compress/run.py", "export/static.py", "benchmarks/tipc/infer.py"):
        text = text.replace(f":{program}", f":{script}")
    path.write_text(text.replace(":-m compress.cli accuracy", f":{script}"))
    return path


def test_every_command_is_run_and_its_end_is_told(tiny, tmp_path, capsys):
    arguments = [str(tiny), MODE, "--output", str(tmp_path / "out")]
    with pytest.raises(DataError, match=r"results_python.log"):
        check.problems([], tmp_path)
    assert chain.main([*arguments, "--json"]) == 1
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    # The export failed, and what comes behind it was run all the same.
    assert (told["commands"], told["successful"], told["failed"]) == (11, 10, 1)
    lines = Path(told["results"]).read_text().splitlines()
    assert lines[0].startswith("\033[33m Run successfully with command - ctrgcn - ")
    assert lines[0].endswith("norm_train_gpus_-1_autocast_null.log!  \033[0m")
    assert lines[2].startswith("\033[33m Run failed with command - ctrgcn - ")
    assert check.main([*arguments, "--json"]) == 1
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["problems"] == [
        "1 of 11 commands failed"
    ]


def test_a_chain_that_was_stopped_or_printed_no_figures_is_no_success(tiny, tmp_path, capsys):
    tiny.write_text(tiny.read_text().replace("--weights:null", "--file:null"))
    arguments = [str(tiny), MODE, "--output", str(tmp_path / "out")]
    assert chain.main(arguments) == check.main(arguments) == 0
    folder = tmp_path / "out" / "ctrgcn" / MODE
    log = folder / results.NAME
    lines = log.read_text().splitlines()
    log.write_text("\n".join(lines[:-1]))
    (
        folder / "python_infer_cpu_usemkldnn_True_threads_1_precision_fp32_batchsize_1.log"
    ).write_text(results.FIGURES[0])
    capsys.readouterr()
    assert check.main([*arguments, "--json"]) == 1
    stopped, silent = json.loads(capsys.readouterr().out.splitlines()[-1])["problems"]
    assert stopped == "10 commands ended, 11 were to be run"
    assert "has no enable_mkldnn:" in silent
    # Nothing is removed that no chain has written.
    log.unlink()
    assert chain.main([*arguments, "--json"]) == 1
    assert "is not the folder of an earlier chain" in capsys.readouterr().out


@pytest.fixture(scope="module")
def deployed_folder(tmp_path_factory):
    """A narrow STGCN++ of 16 frames, exported, that takes recordings."""
    folder = tmp_path_factory.mktemp("tipc")
    network = networks.build(
        stgcnpp.default_spec(
            60, NTU_25, frames=16, persons=2, config=stgcnpp.Config(width=6, stages=2)
        )
    )
    network.eval()
    clips = np.random.default_rng(0).normal(size=(2, 3, 16, 25, 2)).astype("float32")
    about = {"preprocessing": [{"op": "uniform", "frames": 16}]}
    reference = in_process(network)(clips)
    package.build(network, folder / "deploy", ("paddle",), about, clips, reference)
    raw_ntu.write(folder / "raw", 3, defects=False)
    return folder


def test_an_inference_reports_as_autolog_does(deployed_folder, capsys):
    arguments = [
        f"--model_dir={deployed_folder / 'deploy'}",
        f"--infer_dir={deployed_folder / 'raw'}",
        *("--batch_size=2", "--cpu_threads=1", "--model_name=stgcnpp", "--json"),
    ]
    assert infer.main([*arguments, "--enable_mkldnn=False"]) == 0
    out = capsys.readouterr().out
    assert results.lacking(out) == []
    assert re.search(
        r"^\[\d{4}/\d\d/\d\d \d\d:\d\d:\d\d\] root INFO:  preprocess_time\(ms\): [\d.]+,"
        r" inference_time\(ms\): [\d.]+, postprocess_time\(ms\): [\d.]+$",
        out,
        re.MULTILINE,
    )
    assert "  batch_size: 2\n" in out and "  data_num: 3\n" in out
    assert re.search(r"cpu_rss\(MB\): \d+\.\d, gpu_rss\(MB\): None, gpu_util: None%", out)
    answers = json.loads(out.splitlines()[-1])["answers"]
    assert [answer["clip"] for answer in answers] == sorted(
        path.stem for path in (deployed_folder / "raw").glob("*.skeleton")
    )


def test_wrong_logits_of_onednn_are_no_success():
    plain = np.array([[1, 2], [3, -4]], "float32")
    infer.require_alike(plain + 1e-3, plain)
    with pytest.raises(ExportMismatch, match="logits differ by 2.5e-01"):
        infer.require_alike(plain + 1, plain)
    with pytest.raises(ExportMismatch):
        infer.require_alike(plain * np.nan, plain)


def test_data_of_a_lite_chain(tmp_path, capsys, monkeypatch):
    # The third performer, of the test split, begins at 24.
    monkeypatch.setattr(prepare, "CLIPS", 26)
    folder = tmp_path / "data"
    config = changed(tmp_path, "benchmarks/tipc/output/data/raw", str(folder / "raw"))
    assert prepare.main([str(config), MODE, "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told == {"folder": str(folder), "train": 24, "val": 2}
    assert len(list((folder / "raw").glob("*.skeleton"))) == prepare.CLIPS
    assert (folder / "original" / "xsub" / "train_data.npy").is_file()
    (folder / "mine.txt").write_text("")
    assert prepare.main([str(config), MODE, "--json"]) == 1
    assert prepare.main([str(config), "whole_train_whole_infer", "--json"]) == 1
    assert (folder / "mine.txt").is_file()


@pytest.mark.parametrize("script", ["prepare.sh", "test_train_inference_python.sh"])
def test_the_scripts_are_found_from_any_folder(script, tmp_path):
    done = subprocess.run(
        ["bash", ROOT / "benchmarks/tipc" / script, "--help"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 and "train_infer_python.txt" in done.stdout
