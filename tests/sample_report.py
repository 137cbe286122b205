"""A report.json as a finished run writes it, with plausible numbers, for tests and for looking at the
page."""

from __future__ import annotations

import numpy as np

from compress.reporting.record import SCHEMA_VERSION

CLASSES = (
    "pick up with one hand",
    "pick up with two hands",
    "drop trash",
    "walk around",
    "sit down",
    "stand up",
    "donning",
    "doffing",
    "throw",
    "carry",
)
EFFECTIVE = """seed: 1
data: {name: nw_ucla, root: data/nw_ucla}
teacher: {name: ctrgcn, width: 64, weights: runs/teacher/teacher.npz, finetune: false}
"""
RECIPE = """# python compress/run.py ctrgcn_lite_dml
seed: 1
data: {name: nw_ucla}
teacher: {name: ctrgcn, weights: runs/teacher/teacher.npz}
steps:
  - prune_layers: {drop: [l8, l10]}
  - train: {epochs: 65, lr: 0.1, dml: {weight: 1.0}}
  - quantize: {bits: 8}
export: {formats: [paddle, onnx]}
budget: {max_size: 10MB, max_top1_drop: 0.5}
"""


def sample_report(classes: tuple[str, ...] = CLASSES, epochs: int = 65) -> dict:
    """A passed run of two networks and three steps; deterministic."""
    rng = np.random.default_rng(3)
    return {
        "schema_version": SCHEMA_VERSION,
        "recipe": "ctrgcn_lite_dml",
        "status": "ok",
        "exit_code": 0,
        "output": "runs/ctrgcn_lite_dml",
        "provenance": {
            "commit": "3f0c1d2",
            "recipe_yaml": RECIPE,
            "effective_yaml": EFFECTIVE,
            "overrides": ["seed=1"],
            "seed": 1,
            "versions": {
                "python": "3.11.9",
                "paddlepaddle": "2.6.2",
                "onnxruntime": "1.31.1",
                "numpy": "1.26.4",
            },
            "hardware": {
                "cpu": "Some CPU @ 2.40GHz",
                "cores": 2,
                "memory_bytes": 8_200_000_000,
                "device": "cpu",
                "threads": 1,
            },
            "started": "2025-03-02 09:14 UTC",
            "wall_seconds": 15_130.0,
            "command": "python compress/run.py ctrgcn_lite_dml -o seed=1",
        },
        "data": {
            "name": "nw_ucla",
            "classes": list(classes),
            "train_clips": 1018,
            "val_clips": 464,
            "input": {"title": "min_max_sample", "shape": [3, 52, 20, 1]},
            "skeleton": "ucla20",
            "notes": [
                "2 clips are shorter than 10 frames and were kept",
                "1 clip without frames was left out",
            ],
        },
        "networks": [
            {
                "role": "teacher",
                "name": "ctrgcn",
                "params": 1_426_000,
                "macs": 1_480_000_000,
                "blocks": [f"l{n}" for n in range(1, 11)],
                "top1": 93.97,
                "top5": 99.57,
                "class_mean": 93.8,
                "origin": "reused",
            },
            {
                "role": "student",
                "name": "ctrgcn without l8, l10",
                "params": 801_200,
                "macs": 1_110_000_000,
                "blocks": [f"l{n}" for n in (1, 2, 3, 4, 5, 6, 7, 9)],
                "top1": 94.18,
                "top5": 99.57,
                "class_mean": 94.02,
                "origin": "trained in this run",
            },
        ],
        "steps": [
            {
                "name": "prune_layers",
                "title": "Remove blocks l8 and l10",
                "config": {"drop": ["l8", "l10"]},
                "seconds": 1.3,
                "top1": 31.25,
                "top5": 71.12,
                "class_mean": 29.9,
                "params": 801_200,
                "macs": 1_110_000_000,
            },
            {
                "name": "train",
                "title": "Train under the frozen teacher (one-way distillation)",
                "config": {
                    "epochs": 65,
                    "lr": 0.1,
                    "dml": {"weight": 1.0, "freeze_teacher": True},
                    "ema": None,
                },
                "seconds": 14_200.0,
                "top1": 94.40,
                "top5": 99.57,
                "class_mean": 94.21,
                "params": 801_200,
                "macs": 1_110_000_000,
            },
            {
                "name": "quantize",
                "title": "Store weights as int8",
                "config": {"bits": 8},
                "seconds": 212.0,
                "top1": 94.18,
                "top5": 99.57,
                "class_mean": 94.02,
                "params": 801_200,
                "macs": 1_110_000_000,
            },
        ],
        "curves": [
            _curve("teacher", rng, epochs, ("ce",)),
            _curve("student", rng, epochs, ("ce", "dml")),
        ],
        "runtimes": _runtimes(),
        "budget": _budget(),
        "baseline_export": {
            "bytes": 11_630_000,
            "files": [
                {"file": "model.pdmodel", "bytes": 2_580_000},
                {"file": "model.pdiparams", "bytes": 3_290_000},
                {"file": "model.pdiparams.info", "bytes": 60_000},
                {"file": "model.onnx", "bytes": 5_700_000},
            ],
        },
        "before": {
            "name": "ctrgcn",
            "top1": 93.97,
            "bytes": 11_240_000,
            "params": 1_426_000,
            "macs": 1_480_000_000,
            "runtime": "ONNX Runtime",
            "p50_ms": 46.8,
            "p95_ms": 49.9,
            "spread_ms": 1.7,
            "timings": 50,
        },
        "after": {
            "name": "ctrgcn without l8, l10",
            "top1": 93.97,
            "bytes": 2_684_380,
            "params": 801_200,
            "macs": 1_110_000_000,
            "runtime": "ONNX Runtime",
            "p50_ms": 21.4,
            "p95_ms": 23.9,
            "spread_ms": 0.9,
            "timings": 50,
        },
        "gates": [
            {
                "name": "size",
                "limit": 10_000_000,
                "value": 2_684_380,
                "passed": True,
                "says": "2.68 MB of 10.00 MB",
            },
            {
                "name": "accuracy",
                "limit": 0.5,
                "value": -0.21,
                "passed": True,
                "says": (
                    "94.18% in Paddle Inference, teacher 93.97%: 0.21 points better than the"
                    " teacher, 0.5 may be lost"
                ),
            },
            {
                "name": "runtimes agree",
                "limit": 0.995,
                "value": 0.9978,
                "passed": True,
                "says": (
                    "every deployed file gives the trained network's answer on at least 99.78% of"
                    " the clips"
                ),
            },
        ],
        **_accuracy(classes, rng),
    }


def _curve(title: str, rng: np.random.Generator, epochs: int, parts: tuple[str, ...]) -> dict:
    rows = []
    for epoch in range(1, epochs + 1):
        rate = 0.1 * (0.1 ** ((epoch > 35) + (epoch > 55))) * min(1.0, epoch / 5)
        progress = 1 - np.exp(-epoch / 9) + 0.04 * (epoch > 35)
        scales = {"ce": 2.2, "dml": 0.7}
        train = {
            part: scales[part] * (1.08 - progress) + float(rng.uniform(0, 0.06)) for part in parts
        }
        train |= {
            "loss": sum(train.values()),
            f"{title}/top1": float(min(100, 98 * progress + rng.uniform(-2, 2))),
        }
        top1 = min(94.4, 91 * progress + float(rng.uniform(-4, 3)) * (1.2 - progress))
        rows.append(
            {
                "epoch": epoch,
                "lr": rate,
                "seconds": 216 + float(rng.uniform(-5, 5)),
                "train": train,
                "val": {f"{title}/top1": top1, f"{title}/top5": 99.0},
            }
        )
    best = max(rows, key=lambda row: row["val"][f"{title}/top1"])
    return {"title": title, "epochs": rows, "kept_epoch": best["epoch"]}


def _runtimes() -> list[dict]:
    def row(name, file, deployed, top1, agreement, relative, p50, p95, size):
        return {
            "name": name,
            "file": file,
            "deployed": deployed,
            "top1": top1,
            "top5": 99.57,
            "class_mean": top1 - 0.16,
            "agreement": agreement,
            "max_rel_diff": relative,
            "max_abs_diff": relative * 9,
            "p50_ms": p50,
            "p95_ms": p95,
            "bytes": size,
            "spread_ms": 0.04 * p50,
            "timings": 50,
        }

    return [
        row("trained network (dygraph)", None, False, 94.18, 1.0, 0.0, 148.2, 160.9, None),
        row("Paddle Inference", "model.pdmodel", True, 94.18, 1.0, 4.1e-6, 61.7, 66.0, 1_291_200),
        row("ONNX Runtime", "model.onnx", True, 93.97, 0.9978, 0.021, 21.4, 23.9, 1_391_500),
        row(
            "Paddle Inference, baseline export",
            "model.pdmodel",
            False,
            94.18,
            1.0,
            3.8e-6,
            118.3,
            127.1,
            5_930_000,
        ),
        row(
            "ONNX Runtime, baseline export",
            "model.onnx",
            False,
            94.18,
            1.0,
            2.2e-6,
            47.9,
            50.3,
            5_700_000,
        ),
    ]


def _budget() -> dict:
    blocks = {
        "l1 weights": 21_000,
        "l2 weights": 43_900,
        "l3 weights": 43_900,
        "l4 weights": 43_900,
        "l5 weights": 92_300,
        "l6 weights": 150_400,
        "l7 weights": 150_400,
        "l9 weights": 260_100,
        "fc weights": 2_600,
        "data_bn weights": 480,
    }
    weights = [{"part": part, "kind": "weights", "bytes": size} for part, size in blocks.items()]
    total = sum(blocks.values())
    files = [
        {
            "file": "model.onnx",
            "bytes": 1_391_500,
            "parts": weights + [{"part": "graph", "kind": "graph", "bytes": 1_391_500 - total}],
        },
        {
            "file": "model.pdiparams",
            "bytes": total + 12_220,
            "parts": weights + [{"part": "tensor headers", "kind": "metadata", "bytes": 12_220}],
        },
        {
            "file": "model.pdmodel",
            "bytes": 468_900,
            "parts": [{"part": "graph", "kind": "graph", "bytes": 468_900}],
        },
        {
            "file": "model.json",
            "bytes": 2_780,
            "parts": [{"part": "metadata", "kind": "metadata", "bytes": 2_780}],
        },
    ]
    return {
        "limit_bytes": 10_000_000,
        "total_bytes": sum(file["bytes"] for file in files),
        "within": True,
        "advice": "",
        "files": files,
    }


def _accuracy(classes: tuple[str, ...], rng: np.random.Generator) -> dict:
    count = len(classes)
    clips, rows = 46, []
    confusion = np.zeros((count, count), int)
    for row in range(count):
        wrong = int(rng.integers(0, 7))
        confusion[row, row] = clips - wrong
        np.add.at(confusion[row], (row + rng.integers(1, max(count, 2), wrong)) % count, 1)
        student = 100 * confusion[row, row] / clips
        teacher = min(100.0, student + 100 * int(rng.integers(-3, 4)) / clips)
        rows.append({"class": classes[row], "clips": clips, "teacher": teacher, "student": student})
    return {"confusion": confusion.tolist(), "per_class": rows}
