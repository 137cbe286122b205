"""The report as records: written and read back, refused where it is not what its records say."""

from __future__ import annotations

import copy
import json
from dataclasses import FrozenInstanceError, dataclass, replace
from pathlib import Path

import pytest
from sample_report import sample_report

from compress.evaluation.record import ClassRow
from compress.reporting import record, schema
from compress.reporting.printed import last_line
from compress.reporting.record import (
    DataRecord,
    ExampleClip,
    Examples,
    Provenance,
    Report,
    from_json,
    to_json,
)
from compress.reporting.recorder import Recorder
from compress.reporting.report import write
from teachers.cpu import Cpu
from teachers.errors import DataError
from teachers.storage import typed_json

SCHEMA = Path(__file__).resolve().parents[1] / "docs" / "report.schema.json"


def whole() -> Report:
    """The sample with the parts that only some runs have."""
    clip = ExampleClip("val0", "sit down", "stand up", False, ((((1.0, 2.5), (3.0, 4.0)),), ()))
    return replace(
        from_json(sample_report(epochs=2)),
        examples=Examples(((1, 2), (2, 2)), 100.0, (clip,)),
        checked_on=Cpu("AuthenticAMD", "EPYC", ("avx2",)),
        layer_report=(record.LayerRow("l1.out", 31.5, 2.0), record.LayerRow("logits", None)),
        members=(record.MemberRow("teacher 1", "teacher 1: ctrgcn, bones", weight=0.5),),
    )


def test_a_report_comes_back_as_it_was_written(tmp_path):
    report = whole()
    write(report, tmp_path)
    read = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert from_json(read) == report and to_json(from_json(read)) == read
    assert next(iter(read)) == "schema_version"


def test_keywords_of_python_are_plain_keys():
    data = to_json(whole())
    assert data["per_class"][0]["class"] == "pick up with one hand"
    assert data["examples"]["clips"][0]["class"] == "sit down"
    assert from_json(data).per_class[0] == ClassRow(**rename(data["per_class"][0]))


def rename(row: dict) -> dict:
    return {f"{key}_" if key == "class" else key: value for key, value in row.items()}


@pytest.mark.parametrize("instructions", ["unknown", ["avx2", "avx512f"], []])
def test_a_processor_may_be_unknown(instructions):
    data = to_json(whole())
    data["checked_on"]["instructions"] = instructions
    assert to_json(from_json(data))["checked_on"]["instructions"] == instructions


def test_an_interrupted_run_has_a_valid_report(tmp_path):
    recorder = Recorder(Report(recipe="lite", output="runs/lite", provenance=Provenance(seed=1)))
    recorder.data(DataRecord("nw_ucla", ("sit down", "stand up")))
    recorder.note("2 clips were left out")
    epoch = {"epoch": 1, "lr": 0.1, "seconds": 2.0, "train": {"loss": float("nan")}, "val": {}}
    recorder.curve("teacher", [epoch | {"kept by another version": 1}])
    recorder.curve("step 1: ptq", [])
    recorder.close("interrupted", 130)
    recorder.took(12.5)
    page = write(recorder.report, tmp_path).read_text("utf-8")
    read = from_json(json.loads((tmp_path / "report.json").read_text("utf-8")))
    assert (read.status, read.exit_code, read.budget, read.networks) == (
        "interrupted",
        130,
        None,
        (),
    )
    assert read.data.notes == ("2 clips were left out",)
    assert [curve.title for curve in read.curves] == ["teacher"]
    assert read.curves[0].epochs[0].train == {"loss": None}
    assert read.provenance.wall_seconds == 12.5
    assert "The run did not finish." in page and "2 clips were left out" in page
    with pytest.raises(ValueError, match="a run that did not finish has no last line"):
        last_line(read)


def test_the_least_report_is_a_version_and_nothing_else():
    assert from_json({"schema_version": record.SCHEMA_VERSION}) == Report()


def test_a_report_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        Report().status = "ok"


def at(report: dict, path: tuple) -> dict:
    for key in path:
        report = report[key]
    return report


@pytest.mark.parametrize(
    "path, key, value, message",
    [
        ((), "runtime", [], "report.json: unknown key 'runtime' (did you mean 'runtimes'?)"),
        (
            ("networks", 1),
            "param",
            3,
            "report.json: networks[1]: unknown key 'param' (did you mean 'params'?)",
        ),
        ((), "status", None, "report.json: status: expected text, got 'None'"),
        (("networks", 0), "name", 3, "report.json: networks[0]: name: expected text, got '3'"),
        (("networks", 0), "macs", 1.5, "networks[0]: macs: expected a whole number, got '1.5'"),
        (("networks", 0), "top1", "94", "networks[0]: top1: expected a number, got '94'"),
        (("networks", 0), "top1", True, "networks[0]: top1: expected a number, got 'True'"),
        (("gates", 2), "passed", 1, "gates[2]: passed: expected true or false, got '1'"),
        ((), "steps", {}, "report.json: steps: expected a list, got '{}'"),
        ((), "data", [], "report.json: data: expected an object, got '[]'"),
        (
            ("curves", 1, "epochs", 0, "train"),
            "ce",
            "low",
            "curves[1]: epochs[0]: train.ce: expected a number, got 'low'",
        ),
        (
            ("budget", "files", 0, "parts", 0),
            "bytes",
            None,
            "parts[0]: bytes: expected a whole num",
        ),
        ((), "confusion", [[1, "2"]], "confusion[0][1]: expected a whole number, got '2'"),
        (
            (),
            "checked_on",
            {"vendor": "x", "model": "y", "instructions": 5},
            "checked_on: instructions: expected text, got '5'",
        ),
    ],
)
def test_what_a_record_does_not_allow_is_refused(path, key, value, message):
    report = copy.deepcopy(sample_report(epochs=1))
    at(report, path)[key] = value
    with pytest.raises(DataError) as problem:
        from_json(report)
    assert message in str(problem.value)


def test_a_key_without_a_default_must_be_there():
    report = sample_report(epochs=1)
    del report["runtimes"][2]["name"]
    with pytest.raises(DataError, match=r"runtimes\[2\]: the key 'name' is missing"):
        from_json(report)


@pytest.mark.parametrize("data", [{}, [], {"schema_version": 99}, {"schema_version": "1"}, None])
def test_another_version_is_refused(data):
    with pytest.raises(
        DataError, match=r"old/report.json: schema_version is .*, this program reads"
    ):
        from_json(data, "old/report.json")


def test_a_report_with_a_wrong_value_is_on_disk_when_it_is_refused(tmp_path):
    with pytest.raises(
        DataError, match=r"report.json: exit_code: expected a whole number, got '0'"
    ):
        write(replace(whole(), exit_code="0"), tmp_path)
    assert json.loads((tmp_path / "report.json").read_text("utf-8"))["exit_code"] == "0"


def test_the_schema_file_is_up_to_date():
    assert SCHEMA.read_text("utf-8") == schema.text(), (
        "run python -m compress.reporting.schema > docs/report.schema.json"
    )


def test_the_schema_names_every_key_that_is_written():
    definitions = schema.schema()["$defs"]
    data = to_json(whole())
    assert set(definitions["Report"]["properties"]) == set(data)
    assert definitions["Report"]["required"] == ["schema_version"]
    assert definitions["Report"]["properties"]["schema_version"]["const"] == data["schema_version"]
    assert set(definitions["ClassRow"]["properties"]) == set(data["per_class"][0])
    assert set(definitions["MemberRow"]["properties"]) == set(data["members"][0])
    assert definitions["EpochRow"]["properties"]["train"] == {
        "type": "object",
        "additionalProperties": {"anyOf": [{"type": "number"}, {"type": "null"}]},
    }


@dataclass(frozen=True)
class Timed:
    seconds: float


def test_a_number_that_no_float_holds_is_refused():
    with pytest.raises(DataError, match="seconds: expected a number below 1e308, got '1000"):
        typed_json.decode(Timed, {"seconds": 10**400}, "report.json")
