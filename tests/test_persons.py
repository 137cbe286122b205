"""The benchmark of one- and two-person clips: what it makes of rows, whoever brings them."""

import json

import numpy as np

from benchmarks import persons
from teachers import networks


def test_rows_of_any_runtime_are_timed_in_turn_against_the_first(monkeypatch):
    now = [0.0]
    order = []
    monkeypatch.setattr(persons.time, "process_time", lambda: now[0])

    def row(name, milliseconds):
        def predict(x):
            order.append(name)
            now[0] += milliseconds / 1000
            return np.zeros((len(x), 3))

        return name, predict

    found = persons.in_turn([row("first", 8), row("other", 2)], np.zeros((1, 1)), rounds=4)
    assert order == ["first", "other"] * (4 + persons.WARM_UP)
    assert found[0] == {
        "file": "first",
        "min_ms": 8.0,
        "median_ms": 8.0,
        "faster_by_min": 1.0,
        "faster_by_median": 1.0,
    }
    assert (found[1]["min_ms"], found[1]["faster_by_median"]) == (2.0, 4.0)


def test_a_one_person_clip_is_a_two_person_clip_without_the_second():
    clips = np.ones((2, 3, 4, 5, 2), "float32")
    kinds = persons.of_persons(clips)
    assert list(kinds) == ["one person", "2 persons"] and kinds["2 persons"] is clips
    assert kinds["one person"][..., 0].all() and not kinds["one person"][..., 1].any()
    assert list(persons.of_persons(clips[..., :1])) == ["one person"]


def test_agreement_counts_answers_and_noise():
    first = np.array([[1.0, 0.0], [0.0, 1.0]])
    found = [("a", lambda x: first), ("b", lambda x: first[::-1])]
    judged = persons.agreement(found, np.zeros((2, 1)))
    assert judged["a"]["same"] == 2 and judged["a"]["snr_db"] > 99
    assert judged["b"] == {"snr_db": -3.0, "same": 0, "clips": 2}


def test_it_measures_both_forms_of_a_network(monkeypatch, tiny_spec, randomised, tmp_path, capsys):
    monkeypatch.setattr(persons, "fresh", lambda *_: randomised(networks.build(tiny_spec)))
    file = tmp_path / "t.csv"
    assert persons.main(["--network", "ctrgcn", "--rounds", "2", "--csv", str(file)]) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    names = ["paddle2onnx default", "ours, float32", "ours, int8 qdq", "ours, int8 qoperator"]
    names.append("ours, Paddle float32")
    assert [(row["persons"], row["file"]) for row in said["rows"]] == [
        (kind, name) for kind in ("one person", "2 persons") for name in names
    ]
    assert all(row["min_ms"] <= row["median_ms"] for row in said["rows"])
    assert min(row["snr_db"] for row in said["rows"]) > 15
    assert len(file.read_text().splitlines()) == 11
