"""A generated set with every defect, prepared and then written in every layout: networks see the
same clips, number for number."""

import json

from benchmarks import layouts, raw_ntu


def test_every_layout_gives_the_same_network_inputs(tmp_path, monkeypatch):
    monkeypatch.setenv("FEATHERBONE_CACHE", str(tmp_path / "cache"))
    planted = raw_ntu.write(tmp_path / "raw", 100)
    rows = layouts.compare({"name": "ntu", "root": str(tmp_path / "raw")}, tmp_path)
    report = json.loads(next((tmp_path / "cache").rglob("report.json")).read_text())
    assert planted.pop("found") == report["clips"]["found"] == 101
    kept = {name: planted.pop(name) for name in ("repaired", "one frame")}
    assert kept == {"repaired": 1, "one frame": 1} and set(planted.values()) == {1}
    assert (
        report["clips"]["repaired"] == 1
        and report["clips"]["prepared"] + sum(report["skipped_because"].values()) == 101
    )
    assert report["skipped_because"] == planted
    assert [row["layout"] for row in rows] == list(layouts.LAYOUTS)
    assert all(
        row["same"] == row["clips"] == row["wanted"] == report["clips"]["prepared"] for row in rows
    )
