"""The command as a user runs it: exit codes, messages, resume after kill -9 and Ctrl-C, a full
disk."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from compress.reporting.record import from_json, to_json
from export.formats import table

ROOT = Path(__file__).resolve().parents[1]
TINY = [
    "--recipe",
    "ctrgcn_lite_dml",
    "-o",
    "data.train_clips=36",
    "-o",
    "data.val_clips=12",
    "-o",
    "teacher.width=8",
    "-o",
    "teacher.train.epochs=1",
    "-o",
    "teacher.train.warmup_epochs=0",
    "-o",
    "steps.train.epochs=3",
    "-o",
    "steps.train.warmup_epochs=0",
    "-o",
    "budget.max_top1_drop=100",
    "--device",
    "cpu",
]


def start(arguments, cwd, **options):
    return subprocess.Popen(
        [sys.executable, str(ROOT / "compress/run.py"), *arguments],
        cwd=cwd,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        **options,
    )


def run(arguments, cwd, **options):
    process = start(arguments, cwd, **options)
    out, err = process.communicate(timeout=240)
    assert "Traceback" not in err, err[-3000:]
    return process.returncode, json.loads(out.splitlines()[-1]), out, err


def weights(folder):
    with np.load(folder / "weights" / "student.npz") as archive:
        return {name: archive[name] for name in archive.files if name != "__meta__"}


def results(folder):
    report = json.loads((folder / "report.json").read_text())
    curves = [
        [
            {key: value for key, value in record.items() if key != "seconds"}
            for record in curve["epochs"]
        ]
        for curve in report["curves"]
    ]
    return curves, [
        {key: row.get(key) for key in ("name", "top1", "agreement", "max_rel_diff")}
        for row in report["runtimes"]
    ]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """One run to the end: (folder it was started in, exit code, last line, stdout, stderr)."""
    cwd = tmp_path_factory.mktemp("whole")
    return cwd, *run([*TINY, "--output", "run"], cwd)


def test_whole_run_delivers(finished):
    cwd, code, last, _, err = finished
    assert code == 0, err[-2000:]
    folder = cwd / "run"
    for name in (
        "report.html",
        "report.json",
        "weights/teacher.npz",
        "weights/student.npz",
        *(f"deploy/{name}" for name in table.files("paddle")),
        "deploy/model.onnx",
        "deploy/deployed.json",
    ):
        assert (folder / name).stat().st_size > 0, name
    assert last["status"] == "ok" and last["exit_code"] == 0
    assert set(last["deployed"]) == {"Paddle Inference", "ONNX Runtime"}
    for row in last["deployed"].values():
        assert row["agreement"] == 1.0 and row["max_rel_diff"] <= 1e-5
    assert last["total_bytes"] == sum(path.stat().st_size for path in (folder / "deploy").iterdir())
    report = json.loads((folder / "report.json").read_text())
    assert to_json(from_json(report)) == report and next(iter(report)) == "schema_version"
    assert report["networks"][0]["blocks"] == [f"l{number}" for number in range(1, 11)]
    assert report["networks"][1]["blocks"] == [f"l{number}" for number in range(1, 10)]
    assert (
        sum(part["bytes"] for file in report["budget"]["files"] for part in file["parts"])
        == last["total_bytes"]
    )
    assert sum(map(sum, report["confusion"])) == 12
    for curve, learner in zip(report["curves"], ("teacher", "student"), strict=True):
        tops = [epoch["val"][f"{learner}/top1"] for epoch in curve["epochs"]]
        assert tops[curve["kept_epoch"] - 1] == max(tops)
    assert {row["timings"] for row in report["runtimes"]} == {50}
    before, after = report["before"], report["after"]
    assert before["bytes"] == sum(path.stat().st_size for path in (folder / "teacher").iterdir())
    assert before["runtime"] == after["runtime"] and before["p50_ms"] > 0 and not before["note"]
    assert before["params"] > after["params"] and after["bytes"] == last["total_bytes"]
    # One epoch of training, 12 clips, chance level.
    assert last["verdict"] == "passed with warnings" and len(last["warnings"]) == 3
    assert any(path.suffix == ".log" for path in (folder / "curves").iterdir())


def test_next_run_reuses_the_teacher(finished):
    cwd = finished[0]
    code, _, _, err = run([*TINY, "-o", "steps.train.enabled=false", "--output", "again"], cwd)
    assert code == 0 and "teacher: reuses teachers/ctrgcn-" in err
    report = json.loads((cwd / "again" / "report.json").read_text())
    assert report["networks"][0]["origin"].startswith("reused")
    assert [step["name"] for step in report["steps"]] == ["prune_layers"]


def wait_for_epoch(folder, epoch, process, training="step2_train"):
    from teachers import storage
    from teachers.errors import CheckpointError

    until = time.monotonic() + 200
    while time.monotonic() < until and process.poll() is None:
        try:
            if storage.read_arrays(folder / "state" / f"{training}.npz")[1]["epoch"] >= epoch:
                return
        except CheckpointError:
            pass
        time.sleep(0.05)
    pytest.fail("the run never came that far: " + process.communicate()[1][-2000:])


def test_killed_run_resumes_to_identical_results(finished, tmp_path):
    process = start([*TINY, "--output", "run"], tmp_path)
    wait_for_epoch(tmp_path / "run", 1, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / "run" / "weights" / "student.npz").exists()
    code, _, _, err = run([*TINY, "--output", "run", "--resume"], tmp_path)
    assert code == 0, err[-2000:]
    whole, resumed = weights(finished[0] / "run"), weights(tmp_path / "run")
    assert whole.keys() == resumed.keys() and all(
        np.array_equal(whole[name], resumed[name]) for name in whole
    )
    assert results(finished[0] / "run") == results(tmp_path / "run")


def test_ctrl_c_says_how_to_resume(finished, tmp_path):
    process = start([*TINY, "--output", "run"], tmp_path)
    wait_for_epoch(tmp_path / "run", 1, process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err[-2000:]
    assert (
        "interrupted; everything finished is kept. Continue with: python compress/run.py" in err
        and "--resume" in err
    )
    assert json.loads(out.splitlines()[-1])["status"] == "interrupted"
    assert json.loads((tmp_path / "run" / "report.json").read_text())["status"] == "interrupted"
    code, _, _, err = run([*TINY, "--output", "run", "--resume"], tmp_path)
    assert code == 0 and results(finished[0] / "run") == results(tmp_path / "run")


def test_sigterm_in_teacher_training_leaves_its_epochs_in_the_report(tmp_path):
    long = ["-o", "teacher.train.epochs=100", "--output", "run"]
    process = start([*TINY, *long], tmp_path)
    wait_for_epoch(tmp_path / "run", 2, process, "teacher")
    # While it works, nobody else does: the second is told by whom, and how to go on.
    code, last, _, err = run([*TINY, *long, "--resume"], tmp_path)
    assert code == 1 and last["error"].startswith(f"run: process {process.pid} on ")
    assert "is working in it; wait until it ends, or stop it and type the same again" in err
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 143, err[-2000:]
    assert "Traceback" not in err and "Continue with: python compress/run.py" in err
    last = json.loads(out.splitlines()[-1])
    assert (last["status"], last["exit_code"]) == ("interrupted", 143)
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert (report["status"], report["exit_code"]) == ("interrupted", 143)
    (curve,) = report["curves"]
    assert curve["title"] == "teacher"
    assert [epoch["epoch"] for epoch in curve["epochs"]][:2] == [1, 2]
    assert "teacher" in (tmp_path / "run" / "report.html").read_text()
    assert not (tmp_path / "run" / "run.lock").exists()


def test_over_budget_is_exit_code_2_and_delivers_all_the_same(finished):
    cwd = finished[0]
    code, last, _, _ = run(
        [
            *TINY,
            "-o",
            "steps.train.enabled=false",
            "-o",
            "budget.max_size=20KB",
            "--output",
            "small",
        ],
        cwd,
    )
    assert code == 2 and last["status"] == "over budget"
    assert (cwd / "small" / "deploy" / "model.onnx").exists() and (
        cwd / "small" / "report.html"
    ).exists()


def test_accuracy_gate_is_exit_code_3(finished, tmp_path):
    cwd = finished[0]
    code, last, _, _ = run(
        [
            *TINY,
            "-o",
            "steps.prune_layers.drop=[l2,l3,l4,l5,l6,l7,l8,l9,l10]",
            "-o",
            "steps.train.enabled=false",
            "-o",
            "budget.max_top1_drop=0",
            "--output",
            "lossy",
        ],
        cwd,
    )
    report = json.loads((cwd / "lossy" / "report.json").read_text())
    lost = report["networks"][0]["top1"] > report["networks"][1]["top1"]
    assert (code, last["status"]) == ((3, "accuracy gate failed") if lost else (0, "ok"))


def test_full_disk_ends_with_a_message(finished, tmp_path):
    """A file size limit stands in for a full disk: writes fail half-way."""

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    code, _, _, err = run([*TINY, "--output", "run"], tmp_path, preexec_fn=limit)
    assert (
        code == 1
        and "cannot write it (File too large); free some space or choose another folder" in err
        and "kept; continue with: python compress/run.py" in err
    )
    assert not list((tmp_path / "run").rglob(".*"))


BAD = [
    (["--recipe", "ctrgcn_lite_dmll"], "ctrgcn_lite_dml"),
    (
        ["--recipe", "ctrgcn_lite_dml", "-o", "steps[1].train.epoch=3"],
        "unknown key 'epoch' (did you mean 'epochs'?)",
    ),
    (
        ["--recipe", "ctrgcn_lite_dml", "-o", "steps[0].prune_layers.drop=[l11]"],
        "has no block 'l11' (it has l1, l2",
    ),
    (
        ["--recipe", "ctrgcn_lite_dml", "-o", "data.name=nw_ucla", "-o", "data.root=nowhere"],
        "nowhere: no such folder",
    ),
    (
        ["--recipe", "ctrgcn_lite_dml", "-o", "teacher.weights=none.npz"],
        "none.npz: no such file; check the path of the weights",
    ),
    (
        ["--recipe", "ctrgcn_lite_dml", "--resume", "--output", "nothing"],
        "--resume: nothing holds no run to continue",
    ),
    (
        ["--recipe", "ctrgcn_lite_dml", "--device", "gpu"],
        "--device gpu: the installed paddlepaddle",
    ),
    ([], "--recipe: name one"),
]


@pytest.mark.parametrize("arguments, message", BAD, ids=[str(index) for index in range(len(BAD))])
def test_bad_input_is_a_message_before_any_work(arguments, message, tmp_path):
    code, last, _, err = run(arguments, tmp_path)
    assert code == 1 and message in " ".join(err.split()) and last["exit_code"] == 1


def test_usage_errors_are_exit_code_1(tmp_path):
    process = start(["--devise", "cpu"], tmp_path)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1 and "unrecognized arguments" in err


def test_resume_with_another_recipe_is_refused(finished):
    code, _, _, err = run(
        [*TINY, "-o", "steps.train.lr=0.5", "--output", "run", "--resume"], finished[0]
    )
    assert code == 1 and "run was run with steps[1].train.lr = " in " ".join(err.split())


def test_dry_run_prints_the_plan(tmp_path):
    code, last, out, _ = run(
        [
            "--recipe",
            "ctrgcn_lite_dml",
            "-o",
            "data.train_clips=12",
            "-o",
            "data.val_clips=12",
            "--dry-run",
        ],
        tmp_path,
    )
    assert code == 0 and last["train_clips"] == 12 and last["student_params"] < last["params"]
    assert "remove block l10" in out and not (tmp_path / "runs").exists()


def test_list_names_every_recipe(tmp_path):
    code, last, _, _ = run(["--list"], tmp_path)
    assert code == 0 and last["recipes"] == sorted(
        path.stem for path in (ROOT / "configs").glob("*.yaml")
    )


def test_runs_as_a_module_too():
    done = subprocess.run(
        [sys.executable, "-m", "compress.run", "--list"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0 and "ctrgcn_lite_dml" in done.stdout


def test_accuracy_benchmark_takes_weights_ours_and_foreign_folders(finished):
    arguments = [
        "--recipe",
        "ctrgcn_lite_dml",
        "-o",
        "data.train_clips=36",
        "-o",
        "data.val_clips=12",
        "--device",
        "cpu",
        "run/weights/student.npz",
        "run/deploy",
        "run/baseline/model.onnx",
    ]
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks/accuracy.py"), *arguments],
        cwd=finished[0],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    rows = json.loads(done.stdout.splitlines()[-1])["rows"]
    assert len(rows) == 4 and all(row["agreement"] == 1.0 for row in rows)
    report = json.loads((finished[0] / "run" / "report.json").read_text())
    assert rows[0]["top1"] == report["runtimes"][0]["top1"]


def test_predict_with_the_delivered_folder(finished, tmp_path):
    from compress.data import synthetic

    dataset = synthetic.load(synthetic.Config(train_clips=12, val_clips=12), 1)
    np.save(tmp_path / "clip.npy", dataset.val.clips[0])
    done = subprocess.run(
        [
            sys.executable,
            str(ROOT / "compress/predict.py"),
            str(finished[0] / "run/deploy"),
            str(tmp_path / "clip.npy"),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout.splitlines()[-1])["clips"][0]["class"] in dataset.classes


def test_foreign_budget_command(finished):
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "compress.budget",
            str(finished[0] / "run/baseline"),
            "--limit",
            "10KB",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2 and table.files("paddle")[0] in done.stdout
