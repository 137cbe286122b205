"""The end of a run: export, comparison of every file in its runtime, the byte budget, the gates."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from paddle import nn

from compress.budget.measure import measure
from compress.evaluation import accuracy
from compress.evaluation.as_shipped import Shipped, Source, ship
from compress.evaluation.evaluate import EvaluationSet, confusion
from compress.evaluation.latency import Turn, persons_of, turn_of
from compress.evaluation.record import RuntimeRow
from compress.process import console
from compress.recipe.types import Budget, Recipe
from compress.reporting import side_by_side, wording
from compress.reporting.doubts import doubts
from compress.reporting.examples import examples
from compress.reporting.hyperparameters import hyperparameters
from compress.reporting.record import BaselineExport, BudgetRecord, Gate, LayerRow
from compress.reporting.recorder import Recorder, network_row
from compress.steps.work import State, Work
from export import deployed, package, runtimes, verify
from export.formats import table
from export.formats.baseline import save_baseline
from export.formats.options import Options
from export.quantize import bits
from export.quantize.layer_report import layer_report
from export.quantize.quantized import Quantized
from export.runtimes import in_process
from teachers import cpu
from teachers.storage import typed_json
from teachers.terminal import interrupt

LAYER_CLIPS = 16  # validation clips of the layer report
# The baseline export is only compared and timed; it is not what ships.
BASELINE_CLIPS = 64
# Differences of percentages end in float dust: 94.0 - 93.5 may be 0.5000000000000071.
DUST = 1e-9


@dataclass(frozen=True)
class Checked:
    """What the files of a run are checked with.

    Attributes:
        clips: the validation split, as the student sees it.
        logits: (n, K), the student's on it, from the process that trained it.
        sample: (BASELINE_CLIPS, C, T, V, M), the first clips of the split.
        reference: the student's logits on the sample.
        threads: of the runtimes.
        turns: what times the report's runtimes, in their order.
    """

    clips: EvaluationSet
    logits: np.ndarray
    sample: np.ndarray
    reference: np.ndarray
    threads: int
    turns: list[Turn] = field(default_factory=list)


def deliver(
    recipe: Recipe,
    work: Work,
    state: State,
    before: State,
    teacher_logits: np.ndarray,
    recorder: Recorder,
) -> None:
    """Export, verify, compare, weigh, judge; everything goes into the report.

    Args:
        before: what the steps began with; its teacher is what the student is compared with.
        teacher_logits: (n, K) on the validation split.
    Raises:
        ExportMismatch, StorageError: see `export.package.build`.
    """
    checked = _judge_student(work, state, teacher_logits, recorder)
    _export(recipe, work, state, checked, recorder)
    # The export traces the network, and Paddle 2.6.2 loses a Ctrl-C in that.
    interrupt.check()
    _compare(work.folder / "deploy", checked, recorder)
    _export_baseline(work.folder / "baseline", state, checked, recorder)
    interrupt.check()
    weighed = typed_json.decode(
        BudgetRecord, measure(work.folder / "deploy", recipe.budget.max_size), "budget"
    )
    recorder.report = replace(recorder.report, budget=weighed)
    shipped, problem = _ship_teacher(recipe, work, before, checked.threads)
    interrupt.check()
    recorder.report = side_by_side.timed(
        recorder.report, checked.turns, shipped, problem, persons_of(checked.clips)
    )
    _judge(recipe.budget, weighed, recorder)
    _draw(recipe, work, weighed, recorder)


def _judge_student(
    work: Work, state: State, teacher_logits: np.ndarray, recorder: Recorder
) -> Checked:
    """The student as it was trained, against the teacher: what every file is compared with."""
    dataset = work.dataset
    student = state.student.network
    view = state.student.view
    # The prepared split is shared: the files below see the very clips that the network sees here.
    clips = work.evaluation(view, view.clips)
    # Without a reference: it is itself what every deployed file is compared with.
    predict = in_process(student)
    row, logits = accuracy.row("trained network (dygraph)", predict, clips)
    recorder.network(network_row("student", student, row, "this run"))
    recorder.runtimes(row)
    matrix = confusion(logits, clips.labels, len(dataset.classes))
    recorder.report = replace(
        recorder.report,
        confusion=tuple(tuple(counts) for counts in matrix.tolist()),
        examples=examples(dataset, logits),
        per_class=accuracy.per_class(dataset.classes, clips.labels, teacher_logits, logits),
    )
    # A batch may be larger: it holds whole samples, of several views each.
    sample = next(clips.batches(BASELINE_CLIPS))[:BASELINE_CLIPS]
    reference = verify.run(work.folder / "deploy", predict, sample)
    checked = Checked(clips, logits, sample, reference, runtimes.default_threads())
    checked.turns.append(turn_of(predict, clips))
    return checked


def _export(recipe: Recipe, work: Work, state: State, checked: Checked, recorder: Recorder) -> None:
    """Write the deployed folder, each file verified, and what quantisation did to each layer."""
    # Before the export, which may raise: a file that is wrong on one processor may be right on
    # another, so the report has to name it.
    recorder.report = replace(recorder.report, checked_on=cpu.read())
    package.build(
        state.student.network,
        work.folder / "deploy",
        recipe.export.formats,
        state.student.about(work.dataset),
        checked.sample,
        checked.reference,
        state.quantized,
        Options(recipe.export.skip_absent),
    )
    if state.quantized is not None:
        layers = _layers(state.student.network, state.quantized, checked.sample[:LAYER_CLIPS])
        recorder.report = replace(recorder.report, layer_report=layers)


def _layers(network: nn.Layer, quantized: Quantized, clips: np.ndarray) -> tuple[LayerRow, ...]:
    """Signal to noise of every layer's output, float against quantised."""
    # The form for ONNX: only its files round activations, Paddle folders keep them in float32.
    flat = quantized.for_onnx(network)
    rows = layer_report(flat, bits.fake_quantized(flat, quantized.plan), clips)
    return tuple(LayerRow(row["layer"], row["snr_db"], row["power"]) for row in rows)


def _compare(folder: Path, checked: Checked, recorder: Recorder) -> None:
    """Every deployed file in the runtime that serves it, on the whole validation split."""
    # By the description that ships, as a server reads it: what is measured is what is delivered.
    description = deployed.read(folder)
    for kind, predict in deployed.predictors(folder, description, checked.threads).items():
        files = tuple(folder / file for file in description.files[kind])
        row, _ = accuracy.row(
            table.runtime_title(kind), predict, checked.clips, checked.logits, files, deployed=True
        )
        recorder.runtimes(row)
        checked.turns.append(turn_of(predict, checked.clips))


def _export_baseline(folder: Path, state: State, checked: Checked, recorder: Recorder) -> None:
    """The same network as a person would export it without this project, to show the gain."""
    written = save_baseline(state.student.network, folder)
    baseline = typed_json.decode(BaselineExport, written, "baseline_export")
    recorder.report = replace(recorder.report, baseline_export=baseline)
    model, parameters = (folder / name for name in table.files("paddle"))
    # With the threads that our own files had, or the comparison would be of threads.
    paddle = runtimes.paddle_inference(model, parameters, checked.threads)
    # With `.pdiparams.info`, which `paddle.jit.save` of Paddle 2 writes beside the two.
    paddle_files = [model, *sorted(folder.glob("model.pdiparams*"))]
    recorder.runtimes(_baseline_row(table.runtime_title("paddle"), paddle, paddle_files, checked))
    onnx = runtimes.onnx_runtime(folder / "model.onnx", checked.threads)
    recorder.runtimes(
        _baseline_row(table.runtime_title("onnx"), onnx, [folder / "model.onnx"], checked)
    )


def _baseline_row(
    runtime: str, predict: accuracy.Predict, files: list[Path], checked: Checked
) -> RuntimeRow:
    """A row without accuracy: the file is compared on the sample only."""
    logits = verify.run(files[0], predict, checked.sample)
    differences = verify.difference(logits, checked.reference)
    # Timed like every deployed file, one clip at a time: the two stand in one table.
    checked.turns.append(turn_of(predict, checked.clips))
    return RuntimeRow(
        name=f"baseline export, {runtime}",
        file=files[0].name,
        agreement=differences["agreement"],
        max_abs_diff=differences["max_abs_diff"],
        max_rel_diff=differences["max_rel_diff"],
        bytes=sum(file.stat().st_size for file in files),
        note=f"compared on the first {len(checked.sample)} clips",
    )


def _ship_teacher(
    recipe: Recipe, work: Work, before: State, threads: int
) -> tuple[Shipped | None, str]:
    """(the teacher, exported as the student is; why it could not be)."""
    try:
        sources = []
        for model in before.teacher:
            clips = work.evaluation(model.view, model.view.clips)
            sources.append(Source(model.network, model.about(work.dataset), clips))
        options = Options(recipe.export.skip_absent)
        return ship(sources, work.folder / "teacher", recipe.export.formats, threads, options), ""
    # Of any kind: what the student is compared with must not cost the student.
    except Exception as problem:  # noqa: BLE001
        text = f"the teacher could not be exported for the comparison ({problem})"
        console.say(f"note: {text}")
        return None, text


def _judge(limits: Budget, weighed: BudgetRecord, recorder: Recorder) -> None:
    """Gates, warnings, status and exit code; over budget (2) comes before accuracy (3)."""
    # The worst of the files that ship: whichever a user serves, it keeps the promise.
    rows = [row for row in recorder.report.runtimes if row.deployed]
    worst = min(rows, key=lambda row: _measured(row.top1))
    teacher_top1 = _top1("teacher", recorder)
    top1 = _measured(worst.top1)
    drop = teacher_top1 - top1
    size = Gate(
        name="size",
        limit=limits.max_size,
        value=weighed.total_bytes,
        passed=weighed.within,
        # Decimal, as budget.sizes reads the limit: MB is 10^6 bytes, MiB 2^20.
        says=f"{weighed.total_bytes / 1e6:.3f} MB of {limits.max_size / 1e6:g} MB",
    )
    lost = Gate(
        name="top-1 drop",
        limit=limits.max_top1_drop,
        value=drop,
        passed=drop <= limits.max_top1_drop + DUST,
        says=(
            f"{top1:.2f}% in {worst.name}, teacher {teacher_top1:.2f}%:"
            f" {wording.against_teacher(-drop)}; {limits.max_top1_drop:g} may be lost"
        ),
    )
    gates: tuple[Gate, ...] = (size, lost)
    if limits.min_top1 is not None:
        gates += (_floor(limits.min_top1, worst),)
    recorder.report = replace(recorder.report, gates=gates)
    recorder.warn(*doubts(recorder.report))
    # One exit code can only tell one of the two; the gates in the report tell both.
    if not size.passed:
        recorder.close("over budget", 2)
    elif not all(gate.passed for gate in gates):
        recorder.close("accuracy gate failed", 3)
    else:
        recorder.close("ok", 0)


def _floor(least: float, worst: RuntimeRow) -> Gate:
    top1 = _measured(worst.top1)
    return Gate(
        name="top-1",
        limit=least,
        value=top1,
        passed=top1 >= least - DUST,
        says=f"{top1:.2f}% in {worst.name}, at least {least:g}% needed",
    )


def _draw(recipe: Recipe, work: Work, weighed: BudgetRecord, recorder: Recorder) -> None:
    """The end of the run's VisualDL curves, where runs are compared with one another."""
    matrix = np.asarray(recorder.report.confusion)
    work.curves.confusion(0, matrix, list(work.dataset.classes), "confusion/delivered")
    work.curves.hyperparameters(
        hyperparameters(recipe),
        {
            "result/top-1 of the student": _top1("student", recorder),
            "result/MB deployed": weighed.total_bytes / 1e6,
        },
    )


def _top1(role: str, recorder: Recorder) -> float:
    network = recorder.report.network(role)
    return _measured(network.top1 if network is not None else None)


def _measured(value: float | None) -> float:
    """A figure that this run has measured, so that it is there."""
    if value is None:
        # Not a FeatherboneError: this would be a mistake of the program, which no user can mend.
        raise ValueError("a gate is judged before its figure was measured")
    return value
