"""The harness that kills runs finds what is lost; a short session of it is slow."""

import json
import signal

import pytest

from benchmarks import kills

LAST = '{"status": "interrupted", "exit_code": 143, "error": "interrupted"}\n'


def finished(place, top1=50.0, seconds=1.0):
    for name in ("deploy", "state"):
        (place / "run" / name).mkdir(parents=True)
    (place / "run/deploy/model.onnx").write_bytes(b"whole")
    (place / "run/state/train.npz").write_bytes(str(seconds).encode())
    report = {
        "networks": [{"top1": top1}],
        "curves": [{"seconds": seconds}],
        "provenance": {"wall_seconds": seconds},
    }
    (place / "run/report.json").write_text(json.dumps(report))
    return place


def test_equal_runs_differ_in_times_alone(tmp_path):
    a, b = finished(tmp_path / "a"), finished(tmp_path / "b", seconds=2.0)
    assert kills.differences(a, b) == [] and kills.shipped_half(a, b) == []


def test_whatever_is_lost_or_left_is_found(tmp_path):
    a, b = finished(tmp_path / "a"), finished(tmp_path / "b", top1=40.0)
    (b / "run/deploy/model.onnx").write_bytes(b"who")
    (b / "run/deploy/.featherbone-partial-x").touch()
    (b / "run/state/train.npz").unlink()
    assert kills.differences(a, b) == [
        "run/state/train.npz is missing",
        "run/deploy/.featherbone-partial-x is a stray",
        "run/deploy/model.onnx differs",
        "run/report.json has other results",
    ]
    assert len(kills.shipped_half(a, b)) == 2


@pytest.mark.parametrize(
    "returncode, number, moment, out, err, count",
    [
        (-9, signal.SIGKILL, 0.9, "", "", 0),
        (143, signal.SIGTERM, 0.9, LAST, "error: interrupted", 0),
        (0, signal.SIGTERM, 0.9, "{}\n", "", 0),
        (0, signal.SIGINT, 0.1, "{}\n", "", 1),
        (-15, signal.SIGTERM, 0.01, "", "", 0),
        (-15, signal.SIGTERM, 0.9, "", "", 1),
        (1, signal.SIGINT, 0.9, "", "Traceback (most recent call last)", 2),
        (143, signal.SIGTERM, 0.9, "", "", 1),
    ],
)
def test_how_a_stopped_command_may_end(returncode, number, moment, out, err, count):
    assert len(kills.stopped_badly(returncode, number, moment, out, err)) == count


@pytest.mark.slow
def test_three_kills_lose_nothing(tmp_path, capsys):
    assert kills.main(["--kills", "3", "--keep", str(tmp_path)]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["kills"] >= 3 and found["problems"] == []
