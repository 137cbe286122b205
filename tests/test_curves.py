"""Curves: what VisualDL reads back, across resumed and killed runs."""

from __future__ import annotations

import json
import math
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from compress.recipe import load
from compress.reporting.hyperparameters import hyperparameters
from compress.training.confusion_picture import draw_confusion
from compress.training.curves import FILE_NAME, Curves, read_records
from compress.training.epoch_curves import EpochResult, records
from teachers.errors import StorageError

ROOT = Path(__file__).resolve().parents[1]


def scalars_of(folder: Path, tag: str) -> list[tuple[int, float]]:
    """(step, value) as VisualDL's own reader sees them."""
    from visualdl import LogReader

    return [
        (item.id, item.value)
        for item in LogReader(file_path=str(folder / FILE_NAME)).get_data("scalar", tag)
    ]


def test_scalars_are_read_back_by_visualdl(tmp_path):
    curves = Curves(tmp_path / "run")
    for step in (1, 2, 3):
        curves.scalars(step, {"student/train/loss": step / 2, "lr": 0.25})
    curves.close()
    assert scalars_of(tmp_path / "run", "student/train/loss") == [(1, 0.5), (2, 1.0), (3, 1.5)]
    assert scalars_of(tmp_path / "run", "lr") == [(1, 0.25), (2, 0.25), (3, 0.25)]


def test_every_call_is_on_disk_without_close(tmp_path):
    Curves(tmp_path).scalars(7, {"loss": 2.0})
    assert scalars_of(tmp_path, "loss") == [(7, 2.0)]


def test_values_that_are_not_finite_are_kept(tmp_path):
    Curves(tmp_path).scalars(1, {"loss": math.nan})
    ((step, value),) = scalars_of(tmp_path, "loss")
    assert step == 1 and math.isnan(value)


def test_a_resumed_run_continues_in_the_one_file(tmp_path):
    for first in (1, 4):
        curves = Curves(tmp_path)
        for step in range(first, first + 3):
            curves.scalars(step, {"loss": float(step)})
        curves.close()
    assert [file.name for file in tmp_path.iterdir()] == [FILE_NAME]
    assert scalars_of(tmp_path, "loss") == [(step, float(step)) for step in range(1, 7)]


def test_what_a_killed_run_wrote_beyond_its_checkpoint_is_replaced(tmp_path):
    killed = Curves(tmp_path)
    for step in range(1, 6):
        killed.scalars(step, {"student/loss": 1.0, "student/killed": 1.0})
        killed.scalars(step, {"teacher/loss": 1.0})
    resumed = Curves(tmp_path)  # from the checkpoint of epoch 3
    for step in range(4, 8):
        resumed.scalars(step, {"student/loss": 2.0})
    assert scalars_of(tmp_path, "student/loss") == [
        (1, 1),
        (2, 1),
        (3, 1),
        (4, 2),
        (5, 2),
        (6, 2),
        (7, 2),
    ]
    assert scalars_of(tmp_path, "teacher/loss") == [(step, 1) for step in range(1, 6)]
    assert len(scalars_of(tmp_path, "student/killed")) == 5


def test_a_resumed_run_ends_in_the_records_of_an_uninterrupted_one(tmp_path):
    def write(folder: Path, steps: range):
        curves = Curves(folder)
        for step in steps:
            curves.scalars(step, {"loss": 1 / step, "top1": 10.0 * step})

    write(tmp_path / "whole", range(1, 9))
    write(tmp_path / "parts", range(1, 7))
    write(tmp_path / "parts", range(5, 9))
    for tag in ("loss", "top1"):
        assert scalars_of(tmp_path / "parts", tag) == scalars_of(tmp_path / "whole", tag)


@pytest.mark.parametrize("kept", range(1, 60, 7))
def test_a_record_cut_short_by_a_kill_is_dropped(tmp_path, kept):
    Curves(tmp_path).scalars(1, {"loss": 1.0})
    whole = (tmp_path / FILE_NAME).read_bytes()
    Curves(tmp_path).scalars(2, {"loss": 2.0})
    both = (tmp_path / FILE_NAME).read_bytes()
    (tmp_path / FILE_NAME).write_bytes(both[: min(len(whole) + kept, len(both) - 1)])
    Curves(tmp_path).scalars(2, {"loss": 3.0})
    assert scalars_of(tmp_path, "loss") == [(1, 1.0), (2, 3.0)]


def test_a_file_that_is_no_record_file_starts_again(tmp_path):
    (tmp_path / FILE_NAME).write_bytes(b"not a record file, but long enough to look like one")
    Curves(tmp_path).scalars(1, {"loss": 1.0})
    assert scalars_of(tmp_path, "loss") == [(1, 1.0)]


def test_the_first_record_is_meta_data_as_visualdl_requires(tmp_path):
    from visualdl.reader.reader import is_VDLRecord_file

    Curves(tmp_path).scalars(1, {"loss": 1.0})
    assert is_VDLRecord_file(str(tmp_path / FILE_NAME), check=True)


def test_hyperparameters_and_their_metrics(tmp_path):
    from visualdl.proto.record_pb2 import Record

    curves = Curves(tmp_path)
    curves.hyperparameters({"lr": 0.5, "epochs": 3}, {"student/top1": 10.0})
    curves.hyperparameters(
        {"lr": 0.5, "epochs": 3, "big": 2**40, "amp": True, "drop": ("l10",), "ema": None},
        {"student/top1": 93.5},
    )
    (content,) = [
        content for content, tag, _ in read_records(tmp_path / FILE_NAME) if tag == "hparam"
    ]
    infos = Record.FromString(content).values[0].hparam.hparamInfos
    written = {
        info.name: value
        for info in infos
        for kind, value in info.ListFields()
        if kind.name != "name"
    }
    assert written == {
        "lr": 0.5,
        "epochs": 3,
        "big": 2.0**40,
        "amp": "True",
        "drop": "('l10',)",
        "ema": "None",
    }
    assert scalars_of(tmp_path, "student/top1") == [(0, 93.5)]


@pytest.mark.parametrize("count", [1, 3, 10, 60])
def test_a_confusion_matrix_is_one_image(tmp_path, count):
    names = [f"class $ {number} <b> 手" for number in range(count)]
    matrix = np.eye(count, dtype=int) * 5
    curves = Curves(tmp_path)
    curves.confusion(1, matrix, names)
    curves.confusion(1, matrix, names)
    written = [(tag, step) for _, tag, step in read_records(tmp_path / FILE_NAME)]
    assert written == [("meta_data_tag", 0), ("confusion", 1)]
    picture = draw_confusion(matrix, names)
    assert picture.ndim == 3 and picture.shape[2] == 3 and picture.dtype == np.uint8


def test_the_picture_shows_where_the_errors_are():
    names = [str(number) for number in range(10)]
    right, wrong = np.eye(10, dtype=int) * 9, np.eye(10, dtype=int) * 9
    wrong[2, 2], wrong[2, 7] = 0, 9
    changed = np.argwhere(
        np.any(draw_confusion(right, names) != draw_confusion(wrong, names), axis=2)
    )
    assert len(changed) > 1000
    rows = changed[:, 0]
    assert rows.max() - rows.min() < 80  # one row of cells


def test_a_matrix_of_another_size_is_refused(tmp_path):
    with pytest.raises(
        ValueError, match=r"^a confusion matrix of 2 classes is \(2, 2\), not \(3, 3\)$"
    ):
        Curves(tmp_path).confusion(1, np.eye(3), ["a", "b"])


def test_a_tag_with_percent_is_refused(tmp_path):
    with pytest.raises(
        ValueError, match="^tag 'top1 %': VisualDL allows no '%' in a tag; write 'percent'$"
    ):
        Curves(tmp_path).scalars(1, {"top1 %": 1.0})


def test_a_folder_that_cannot_be_written_is_a_storage_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(
        StorageError, match=r"cannot write it \(.*\); there is a file where a folder is needed"
    ):
        Curves(tmp_path / "file" / "curves")


def test_a_full_disk_leaves_whole_records_only(tmp_path, monkeypatch):
    import builtins

    curves = Curves(tmp_path)
    curves.scalars(1, {"loss": 1.0})
    plain_open = builtins.open

    class Full:
        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def __getattr__(self, name):
            return getattr(self.file, name)

        def write(self, content):
            if len(content) > 5:
                return self.file.write(content[:5])
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(builtins, "open", lambda *args, **keys: Full(plain_open(*args, **keys)))
        with pytest.raises(StorageError, match=r"\(No space left on device\); free some space"):
            curves.scalars(2, {"loss": 2.0})
    curves.scalars(3, {"loss": 3.0})
    assert scalars_of(tmp_path, "loss") == [(1, 1.0), (3, 3.0)]


def test_nothing_is_printed(tmp_path):
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); from compress.training.curves import Curves;"
        " import numpy\nfor _ in range(2):\n    c = Curves(sys.argv[2]); c.scalars(1, {'a': 1.0});"
        " c.hyperparameters({'x': [1]}, {'a': 1.0})\n    c.confusion(1, numpy.eye(2), ['a', 'b']);"
        " c.close()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(ROOT), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


@pytest.mark.slow
def test_a_visualdl_server_shows_the_curves_of_a_resumed_run(tmp_path):
    run = tmp_path / "run"
    for steps in (range(1, 5), range(3, 7)):
        curves = Curves(run)
        for step in steps:
            curves.scalars(step, {"student/train/loss": 1 / step})
    curves.confusion(6, np.eye(3), ["a", "b", "c"])
    curves.hyperparameters({"lr": 0.1}, {"top1": 50.0})
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [
            str(Path(sys.executable).with_name("visualdl")),
            "--logdir",
            str(tmp_path),
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def ask(what: str, **arguments):
        query = urllib.parse.urlencode(arguments)
        deadline = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(
                    f"http://127.0.0.1:{port}/app/api/{what}?{query}", timeout=10
                ) as answer:
                    return json.load(answer)["data"]
            except urllib.error.URLError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.3)

    try:
        assert ask("runs") == [str(run)]
        shown = ask("scalar/list", run=str(run), tag="student/train/loss")
        assert [step for _, step, _ in shown] == [1, 2, 3, 4, 5, 6]
        np.testing.assert_allclose(
            [value for _, _, value in shown], [1 / step for step in range(1, 7)], rtol=1e-6
        )
        assert ask("image/tags") == {"runs": [str(run)], "tags": [["confusion"]]}
        assert ask("hparams/list") == [
            {"name": str(run), "hparams": {"lr": 0.1}, "metrics": {"top1": 50.0}}
        ]
    finally:
        server.terminate()
        server.wait(timeout=20)


def test_precision_and_recall_of_each_class_and_their_mean():
    # Class 0 is told surely, of class 1 one clip of two; class 2 has no clips.
    scores = np.array([[0.9, 0.1, 0], [0.1, 0.9, 0], [0.9, 0.1, 0]]) + 1e-9
    labels = np.array([0, 1, 1])
    record = {"epoch": 4, "lr": 0.1, "train": {"loss": 1.0}, "val": {"student/loss": 0.5}}
    result = EpochResult(
        record, np.array([2.0, 1.0]), np.log(scores), labels, ("a/b", "c%", "d"), {}
    )
    written = {item.values[0].tag: item.values[0] for item in records(result)}
    assert written["loss/student, validation"].value == 0.5
    curves = {tag: value.pr_curve for tag, value in written.items() if "recall" in tag}
    assert list(curves) == [
        f"precision and recall/{name}" for name in ("mean of the classes", "0 a|b", "1 cpercent")
    ]
    half = 15  # of 31 thresholds from 0 to 1
    mean, first, second = (curve for curve in curves.values())
    assert (first.TP[half], first.FP[half], first.TN[half], first.FN[half]) == (1, 1, 1, 0)
    assert (second.TP[half], second.FP[half], second.TN[half], second.FN[half]) == (1, 0, 1, 1)
    assert (first.precision[half], first.recall[half]) == (0.5, 1.0)
    assert (second.precision[half], second.recall[half]) == (1.0, 0.5)
    assert (mean.precision[half], mean.recall[half]) == (0.75, 0.75)


def test_hyperparameters_of_a_recipe_are_ten_without_dots():
    values = hyperparameters(load("ctrgcn_lite_dml_int8", ["steps.train.lr=0.3"]))
    assert len(values) == 10 and not any("." in name for name in values)
    assert values["recipe"] == "ctrgcn_lite_dml_int8" and values["learning rate"] == 0.3
    assert values["steps"] == "prune_layers, train, qat" and values["teacher epochs"] == 5
