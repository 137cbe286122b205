"""What the report page shows, worked out from a report that may be partial: every key of the view
is always there."""

from __future__ import annotations

from collections.abc import Sequence

from compress.reporting.charts import Series, heatmap, line_chart, skeletons
from compress.reporting.wording import difference, number

SECTIONS = {
    "gates": "the gates",
    "runtimes": "accuracy and latency of the deployed files",
    "budget": "the size of the deployed folder",
    "baseline_export": "the baseline export to compare with",
    "networks": "the networks",
    "steps": "the compression steps",
    "curves": "training curves",
    "per_class": "accuracy class by class",
    "confusion": "the confusion matrix",
    "data": "the data",
    "provenance": "the provenance",
}
SHOWN_PARTS = 12
SHOWN_LAYERS = 12
KINDS = ("weights", "graph", "metadata", "other")


def view_of(report: dict) -> dict:
    """The values of `report.html.j2`; `report` is the dictionary of report.json, any of its keys
    may be missing."""
    networks = {network.get("role"): network for network in report.get("networks") or []}
    return {
        "recipe": report.get("recipe") or "unnamed run",
        "verdict": verdict(report),
        "missing": missing(report),
        "gates": report.get("gates") or [],
        "tiles": _tiles(report, networks),
        "output": report.get("output"),
        "runtimes": _runtimes(report),
        "size": _size(report),
        "steps": steps(report),
        "networks": report.get("networks") or [],
        "members": report.get("members") or [],
        "curves": [_curve(curve) for curve in report.get("curves") or []],
        "layers": _layers(report),
        "examples": _examples(report),
        "per_class": _per_class(report),
        "confusion": _confusion(report),
        "data": report.get("data") or {},
        "provenance": report.get("provenance") or {},
        "checked_on": report.get("checked_on") or {},
    }


def missing(report: dict) -> list[str]:
    """What the report lacks, in words. A finished run may have had no steps, and nothing to train."""
    finished = report.get("exit_code") in (0, 2, 3)
    return [
        words
        for key, words in SECTIONS.items()
        if not report.get(key)
        and not (finished and key in ("steps", "curves") and report.get(key) == [])
    ]


def verdict(report: dict) -> dict:
    """{"state": passed|failed|stopped, "word", "says"}: the outcome in one word and in one
    sentence."""
    status, exit_code = report.get("status"), report.get("exit_code")
    gates = report.get("gates") or []
    failed = [gate.get("name") or "a gate" for gate in gates if not gate.get("passed")]
    if status != "ok" and exit_code in (None, 130):
        return {
            "state": "stopped",
            "word": "interrupted" if exit_code == 130 else "incomplete",
            "says": "The run did not finish. This page shows what was recorded until then.",
        }
    if status == "ok" and exit_code in (0, None) and not failed:
        count = {0: "No gate was set", 1: "The one gate passed"}.get(
            len(gates), f"All {len(gates)} gates passed"
        )
        return {
            "state": "passed",
            "word": "passed",
            "says": f"{count}. The folder can be deployed.",
        }
    word, _, problem = (status if status and status != "ok" else "failed").partition(": ")
    if failed:
        problem = f"{len(failed)} of {len(gates)} gates failed: {', '.join(failed)}."
    return {"state": "failed", "word": word, "says": problem or "The run ended with an error."}


def _tiles(report: dict, networks: dict) -> dict:
    runtimes = report.get("runtimes") or []
    deployed = [runtime for runtime in runtimes if runtime.get("deployed")]
    timed = [runtime for runtime in deployed if number(runtime.get("p50_ms"))]
    fastest = min(timed, key=lambda runtime: runtime["p50_ms"], default=None)
    budget, baseline = report.get("budget") or {}, baseline_export(report)
    teacher, student = networks.get("teacher") or {}, networks.get("student") or {}
    gain = {}
    if number(budget.get("total_bytes")) and number(baseline.get("bytes")):
        gain["size"] = baseline["bytes"] / budget["total_bytes"]
    if fastest:
        before = next(
            (
                row
                for row in runtimes
                if not row.get("deployed")
                and fastest.get("name")
                and fastest["name"] in (row.get("name") or "")
            ),
            {},
        )
        gain["speed"] = (
            before["p50_ms"] / fastest["p50_ms"] if number(before.get("p50_ms")) else None
        )
    return {
        "budget": budget,
        "teacher": teacher,
        "student": student,
        "deployed": deployed,
        "fastest": fastest,
        "gain": gain,
        "drop": difference(student.get("top1"), teacher.get("top1")),
    }


def baseline_export(report: dict) -> dict:
    """{"bytes", "files"} of the baseline export in the formats that are deployed: like compared
    with like."""
    baseline = report.get("baseline_export") or {}
    deployed = {
        _is_onnx(file)
        for file in (report.get("budget") or {}).get("files") or []
        if (file.get("file") or "").endswith((".onnx", ".pdmodel", ".pdiparams"))
    }
    files = [
        file
        for file in baseline.get("files") or []
        if _is_onnx(file) in deployed and number(file.get("bytes"))
    ]
    return {"bytes": sum(file["bytes"] for file in files), "files": files} if files else baseline


def _is_onnx(file: dict) -> bool:
    return (file.get("file") or "").endswith(".onnx")


def _runtimes(report: dict) -> dict:
    rows = report.get("runtimes") or []
    slowest = max((number(row.get("p50_ms")) or 0 for row in rows), default=0)
    return {"rows": rows, "slowest": slowest}


def _size(report: dict) -> dict | None:
    budget = report.get("budget")
    if not budget:
        return None
    kinds, files = {}, []
    for file in budget.get("files") or []:
        parts = sorted(file.get("parts") or [], key=lambda part: -part["bytes"])
        for part in parts:
            kinds[part["kind"]] = kinds.get(part["kind"], 0) + part["bytes"]
        if len(parts) > SHOWN_PARTS:
            rest = parts[SHOWN_PARTS - 1 :]
            parts = parts[: SHOWN_PARTS - 1] + [
                {
                    "part": f"{len(rest)} smaller parts",
                    "kind": "other",
                    "bytes": sum(part["bytes"] for part in rest),
                }
            ]
        files.append({"file": file["file"], "bytes": file["bytes"], "parts": parts})
    baseline = baseline_export(report)
    total, limit = budget.get("total_bytes") or 0, budget.get("limit_bytes") or 0
    scale = max(total, baseline.get("bytes") or 0, 1)
    advice = [line for line in (budget.get("advice") or "").splitlines() if line]
    return {
        "total": total,
        "limit": limit,
        "advice": advice,
        "within": budget.get("within"),
        "files": files,
        "kinds": [(kind, kinds[kind]) for kind in KINDS if kinds.get(kind)],
        "baseline": baseline,
        "scale": max(scale, limit) if limit < 4 * scale else scale,
        "longest": max((part["bytes"] for file in files for part in file["parts"]), default=1),
    }


def steps(report: dict) -> list[dict]:
    """The teacher, then the student after every step; empty if no step was recorded."""
    rows = report.get("steps") or []
    teachers = [
        network for network in report.get("networks") or [] if network.get("role") == "teacher"
    ][:1]
    first = [
        {"title": f"Teacher {network.get('name', '')}".strip()} | network
        for network in teachers
        if rows
    ]
    for row in rows:
        config = {
            key: value for key, value in (row.get("config") or {}).items() if key != "enabled"
        }
        first.append(row | {"config": config})
    return first


def _examples(report: dict) -> list[dict]:
    """Each clip with its frames as one drawing."""
    found = report.get("examples") or {}
    return [
        clip
        | {
            "svg": skeletons(
                clip.get("name") or "clip",
                clip.get("frames") or [],
                found.get("bones") or [],
                number(found.get("side")) or 100.0,
            )
        }
        for clip in found.get("clips") or []
    ]


def _layers(report: dict) -> dict | None:
    """Signal to noise of every layer, the worst ones first."""
    rows = [
        row for row in report.get("layer_report") or [] if number(row.get("snr_db")) is not None
    ]
    if not rows:
        return None
    inner = sorted((row for row in rows if row["layer"] != "logits"), key=lambda row: row["snr_db"])
    at = next((row["snr_db"] for row in rows if row["layer"] == "logits"), None)
    return {
        "worst": inner[:SHOWN_LAYERS],
        "rest": inner[SHOWN_LAYERS:],
        "logits": at,
        "scale": max(row["snr_db"] for row in rows),
    }


def _curve(curve: dict) -> dict:
    epochs = curve.get("epochs") or []
    at = [number(epoch.get("epoch")) or place for place, epoch in enumerate(epochs, start=1)]
    keys = {
        part: sorted({key for epoch in epochs for key in epoch.get(part) or {}})
        for part in ("train", "val")
    }

    def series(part: str, key: str, label: str) -> Series:
        values = (number((epoch.get(part) or {}).get(key)) for epoch in epochs)
        return Series(
            label,
            tuple(zip(at, values, strict=True)),
            dashed=part == "train" and key.endswith("top1"),
        )

    accuracy = [
        series(part, key, f"{key.removesuffix('top1').strip('/')} {part}".strip())
        for part in ("val", "train")
        for key in keys[part]
        if key.endswith("top1")
    ]
    losses = [
        series(part, key, key if part == "train" else f"{key}, val")
        for part in ("train", "val")
        for key in sorted(keys[part], key=lambda key: (key != "loss", key))
        if "/" not in key or key.endswith("loss")
    ]
    rate = Series(
        "learning rate",
        tuple((x, number(epoch.get("lr"))) for x, epoch in zip(at, epochs, strict=True)),
    )
    charts = [
        (title, [line for line in lines if line.values], best)
        for title, lines, best in (
            ("Top-1, %", accuracy, max),
            ("Loss", losses, min),
            ("Learning rate", [rate], None),
        )
    ]
    seconds = [epoch["seconds"] for epoch in epochs if number(epoch.get("seconds")) is not None]
    return {
        "title": curve.get("title") or "training",
        "epochs": len(epochs),
        "seconds": sum(seconds) / len(seconds) if seconds else None,
        "charts": [
            {"title": title, "svg": line_chart(title, lines), "legend": _legend(lines, best)}
            for title, lines, best in charts
            if lines
        ],
    }


def _legend(lines: Sequence[Series], best) -> list[dict]:
    return [
        {
            "label": line.label,
            "last": line.values[-1],
            "best": best(line.values) if best else None,
            "dashed": line.dashed,
        }
        for line in lines
    ]


def _per_class(report: dict) -> dict | None:
    rows = [
        row | {"change": difference(row.get("student"), row.get("teacher"))}
        for row in report.get("per_class") or []
    ]
    if not rows:
        return None
    changes = [row["change"] for row in rows if row["change"] is not None]
    rows.sort(key=lambda row: (row["change"] is None, row["change"] or 0, str(row.get("class"))))
    return {
        "rows": rows,
        "scale": max([abs(change) for change in changes] + [5.0]),
        "worse": sum(change < 0 for change in changes),
        "better": sum(change > 0 for change in changes),
    }


def _confusion(report: dict) -> dict | None:
    matrix = report.get("confusion")
    if not matrix:
        return None
    classes = list((report.get("data") or {}).get("classes") or [])
    classes += [f"class {k + 1}" for k in range(len(classes), len(matrix))]
    wrong = [
        {"true": classes[row], "predicted": classes[column], "clips": count, "of": sum(counts)}
        for row, counts in enumerate(matrix)
        for column, count in enumerate(counts)
        if count and row != column
    ]
    total = sum(map(sum, matrix))
    return {
        "svg": heatmap(matrix, classes),
        "total": total,
        "right": sum(matrix[k][k] for k in range(len(matrix))),
        "worst": sorted(wrong, key=lambda pair: (-pair["clips"], -pair["clips"] / pair["of"]))[:8],
    }
