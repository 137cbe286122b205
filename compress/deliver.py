"""The end of a run: export, comparison of every file in its runtime, the byte budget, the gates."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from compress import recipe as recipes
from compress.budget.measure import measure
from compress.evaluation import accuracy
from compress.evaluation.evaluate import EvaluationSet, confusion
from compress.process import interrupt
from compress.recipe.types import Recipe
from compress.reporting.examples import examples
from compress.steps.work import State, Work
from compress.task import describe
from export import deployed, package, runtimes, verify
from export.formats import table
from export.formats.baseline import save_baseline
from export.quantize import bits
from export.quantize.layer_report import layer_report
from export.runtimes import in_process
from teachers import cpu, networks

LAYER_CLIPS = 16  # validation clips of the layer report
ORDINARY_CLIPS = 64  # the ordinary export is only compared and timed; it is not what ships


def deliver(
    recipe: Recipe, work: Work, state: State, teacher_logits: np.ndarray, report: dict
) -> None:
    """Export, verify, compare, weigh, judge; everything goes into the report.

    Args:
        teacher_logits: (n, K) on the validation split.
    Raises:
        ExportMismatch, StorageError: see `export.package.build`.
    """
    dataset, student = work.dataset, state.student.network
    view = state.student.view
    clips, teacher_top1 = work.evaluation(view, view.clips), report["networks"][0]["top1"]
    row, logits = accuracy.row("trained network (dygraph)", in_process(student), clips)
    report["networks"].append(described("student", student, row, "this run"))
    matrix = confusion(logits, clips.labels, len(dataset.classes))
    report |= {
        "runtimes": [row],
        "confusion": matrix.tolist(),
        "examples": examples(dataset, logits),
        "per_class": accuracy.per_class(dataset.classes, clips.labels, teacher_logits, logits),
    }
    sample = next(clips.batches(ORDINARY_CLIPS))[:ORDINARY_CLIPS]
    folder = work.folder / "deploy"
    reference = verify.run(folder, in_process(student), sample)
    report["checked_on"] = cpu.read().to_json()
    package.build(
        student,
        folder,
        recipe.export.formats,
        describe(dataset, view),
        sample,
        reference,
        state.quantized,
    )
    if state.quantized is not None:
        report["layer_report"] = _layers(state, sample[:LAYER_CLIPS])
    interrupt.check()
    description = deployed.read(folder)
    threads = runtimes.default_threads()
    for kind, predict in deployed.predictors(folder, description, threads).items():
        name = table.runtime_title(kind)
        files = tuple(folder / file for file in description["files"][kind])
        report["runtimes"].append(
            accuracy.row(name, predict, clips, logits, files, deployed=True)[0]
        )
    report["ordinary_export"] = save_baseline(student, work.folder / "ordinary")
    report["runtimes"] += _ordinary_rows(
        work.folder / "ordinary", threads, clips, sample, reference
    )
    interrupt.check()
    report["budget"] = measure(folder, recipe.budget.max_size)
    _judge(recipe, work, report, teacher_top1, matrix)


def _layers(state: State, clips: np.ndarray) -> list[dict]:
    """Signal to noise of every layer's output, float against quantised."""
    network, quantized = state.student.network, state.quantized
    flat = quantized.for_onnx(network)
    return layer_report(flat, bits.fake_quantized(flat, quantized.plan), clips)


def _ordinary_rows(
    folder: Path, threads: int, clips: EvaluationSet, sample: np.ndarray, reference: np.ndarray
) -> list[dict]:
    rows = []
    for name, predict, files in (
        (
            "ordinary export, Paddle Inference",
            runtimes.paddle_inference(
                folder / "model.pdmodel", folder / "model.pdiparams", threads
            ),
            sorted(folder.glob("model.pd*")),
        ),
        (
            "ordinary export, ONNX Runtime",
            runtimes.onnx_runtime(folder / "model.onnx", threads),
            [folder / "model.onnx"],
        ),
    ):
        rows.append(
            {
                "name": name,
                "file": files[0].name,
                "deployed": False,
                "bytes": sum(file.stat().st_size for file in files),
                "note": f"compared on the first {len(sample)} clips",
                **verify.difference(verify.run(files[0], predict, sample), reference),
                **accuracy.latency(predict, clips),
            }
        )
    return rows


def _judge(
    recipe: Recipe, work: Work, report: dict, teacher_top1: float, matrix: np.ndarray
) -> None:
    """Gates, status and exit code; over budget (2) comes before the accuracy gate (3)."""
    limits = recipe.budget
    rows = [one for one in report["runtimes"] if one["deployed"]]
    worst = min(rows, key=lambda one: one["top1"])
    drop = teacher_top1 - worst["top1"]
    weighed = report["budget"]
    report["gates"] = [
        {
            "name": "size",
            "limit": limits.max_size,
            "value": weighed["total_bytes"],
            "passed": weighed["within"],
            "says": f"{weighed['total_bytes'] / 1e6:.3f} MB of {limits.max_size / 1e6:g} MB",
        },
        {
            "name": "top-1 drop",
            "limit": limits.max_top1_drop,
            "value": drop,
            "passed": drop <= limits.max_top1_drop + 1e-9,
            "says": (
                f"{worst['top1']:.2f}% in {worst['name']}, teacher {teacher_top1:.2f}%: {drop:+.2f}"
                f" points lost, {limits.max_top1_drop:g} allowed"
            ),
        },
    ]
    over, lost = not report["gates"][0]["passed"], not report["gates"][1]["passed"]
    report |= {
        "exit_code": 2 if over else 3 if lost else 0,
        "status": "over budget" if over else "accuracy gate failed" if lost else "ok",
    }
    work.curves.confusion(0, matrix, list(work.dataset.classes))
    work.curves.hyperparameters(
        recipes.flatten(recipes.to_dict(recipe)),
        {
            "student/top1": report["networks"][1]["top1"],
            "deployed/bytes": float(weighed["total_bytes"]),
        },
    )


def cost(network) -> dict:
    """Parameters and MACs of a network, for the report."""
    return {"params": networks.parameters(network.spec), "macs": networks.macs(network.spec)}


def described(role: str, network, row: dict, origin: str) -> dict:
    """A network's entry in the report; `row` has its accuracy."""
    return {
        "role": role,
        "name": network.spec.network,
        "blocks": [block.id for block in network.spec.blocks],
        **cost(network),
        **{key: row[key] for key in ("top1", "top5", "class_mean")},
        "origin": origin,
    }
