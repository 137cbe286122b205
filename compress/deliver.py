"""The end of a run: export, comparison of every file in its runtime, the byte budget, the gates."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from compress.budget.measure import measure
from compress.evaluation import accuracy, calibration, damage, rivals, robustness, scores
from compress.evaluation.as_shipped import Shipped, Source, ship
from compress.evaluation.damage_settings import GATE_ONLY
from compress.evaluation.evaluate import EvaluationSet, confusion, logits_of, training_clips
from compress.evaluation.latency import Turn, persons_of, turn_of
from compress.evaluation.record import RuntimeRow
from compress.evaluation.streams import shipped as streams
from compress.process import console
from compress.recipe.types import Recipe
from compress.reporting import side_by_side
from compress.reporting.examples import examples
from compress.reporting.gates import judge, top1_of
from compress.reporting.hyperparameters import hyperparameters
from compress.reporting.record import BaselineExport, BudgetRecord
from compress.reporting.recorder import Recorder, network_row
from compress.reporting.rounding import CLIPS, rounding
from compress.steps.work import State, Work
from export import deployed, package, runtimes, verify
from export.formats import table
from export.formats.baseline import save_baseline
from export.runtimes import in_process, ort
from teachers import cpu, networks
from teachers.errors import ExportMismatch
from teachers.storage import typed_json
from teachers.terminal import interrupt
from teachers.terminal.output import say

# The baseline export is only compared and timed; it is not what ships.
BASELINE_CLIPS = 64
# Training-side clips that a temperature and a threshold are found on, where none are held out.
FITTED_CLIPS = 512
TRAINED = "trained network (dygraph)"


@dataclass(frozen=True)
class Checked:
    """What the files of a run are checked with.

    Attributes:
        clips: the validation split, as the student sees it.
        logits: (n, K), the student's on it, from the process that trained it.
        sample: (BASELINE_CLIPS, C, T, V, M), the first clips of the split.
        reference: the student's logits on the sample.
        teacher: (n, K), its logits on the split.
        results: logits (n, K) of everything that was judged on the whole split, by name.
        threads: of the runtimes.
        turns: what times the report's runtimes, in their order.
    """

    clips: EvaluationSet
    logits: np.ndarray
    sample: np.ndarray
    reference: np.ndarray
    threads: int
    teacher: np.ndarray
    results: dict[str, np.ndarray]
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
    checked = export_verified(recipe, work, state, teacher_logits, recorder)
    if state.quantized is not None:
        spread = training_clips(work.dataset.train, state.student.view, CLIPS)
        layers, weights = rounding(
            state.student.network, state.quantized, next(spread.batches(CLIPS))
        )
        recorder.report = replace(recorder.report, layer_report=layers, weight_report=weights)
    # Small, and all that the tables of accuracy need: who has it needs no data and no network.
    scores.save_all(work.folder / scores.NAME, work.dataset, checked.results)
    _export_baseline(work.folder / "baseline", state, checked, recorder)
    interrupt.check()
    failed = _compare_rivals(recipe, work, state, checked, recorder)
    shipped, problem = _ship_teacher(recipe, work, before, checked.threads)
    interrupt.check()
    if recipe.streams is not None:
        found = streams.judge(work.folder, recipe.streams, work.dataset, recipe.seed)
        recorder.report = replace(recorder.report, streams=found)
    # Behind the alarm rule that this may have written.
    weighed = typed_json.decode(
        BudgetRecord, measure(work.folder / "deploy", recipe.budget.max_size), "budget"
    )
    recorder.report = replace(recorder.report, budget=weighed)
    nobody = networks.absent(state.student.network.spec)
    persons = persons_of(checked.clips, nobody)
    recorder.report = side_by_side.timed(recorder.report, checked.turns, shipped, problem, persons)
    # Behind all that was timed, for there is nothing to time of them.
    recorder.runtimes(*failed)
    _judge_damaged(recipe, work, state, before, checked, recorder)
    interrupt.check()
    judge(recipe.budget, weighed, recorder)
    _draw(recipe, work, weighed, recorder)


def export_verified(
    recipe: Recipe, work: Work, state: State, teacher_logits: np.ndarray, recorder: Recorder
) -> Checked:
    """Write `deploy/`, and judge every file of it in its runtime, on the whole validation split.

    Raises:
        ExportMismatch, StorageError: see `export.package.build`.
    """
    checked = _judge_student(work, state, teacher_logits, recorder)
    _export(recipe, work, state, checked, recorder)
    # The export traces the network, and Paddle 2.6.2 loses a Ctrl-C in that.
    interrupt.check()
    _compare(work.folder / "deploy", checked, recorder)
    return checked


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
    row, logits = accuracy.row(TRAINED, predict, clips)
    row = accuracy.against(row, logits, teacher_logits, clips.labels)
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
    checked = Checked(
        clips,
        logits,
        sample,
        reference,
        runtimes.default_threads(),
        teacher_logits,
        {"teacher": teacher_logits, TRAINED: logits},
    )
    checked.turns.append(turn_of(predict, clips))
    return checked


def _export(recipe: Recipe, work: Work, state: State, checked: Checked, recorder: Recorder) -> None:
    """Write the deployed folder, each file verified."""
    # Before the export, which may raise: a file that is wrong on one processor may be right on
    # another, so the report has to name it.
    recorder.report = replace(recorder.report, checked_on=cpu.read())
    package.build(
        state.student.network,
        work.folder / "deploy",
        recipe.export.formats,
        state.student.about(work.dataset) | _temperature(recipe, work, state, recorder),
        checked.sample,
        checked.reference,
        state.quantized,
        recipe.export.options,
    )


def _compare(folder: Path, checked: Checked, recorder: Recorder) -> None:
    """Every deployed file in the runtime that serves it, on the whole validation split."""
    # By the description that ships, as a server reads it: what is measured is what is delivered.
    description = deployed.read(folder)
    for kind, predict in deployed.predictors(folder, description, checked.threads).items():
        files = tuple(folder / file for file in description.files[kind])
        row = _row_of(table.runtime_title(kind), predict, files, checked, deployed=True)
        if kind == table.CONTINUAL:
            row = replace(row, note="timed with the frames behind a clip that are not there")
        recorder.runtimes(replace(row, requires=(description.requires or {}).get(kind)))
        if kind == "onnx" and ort.has_cuda():
            _compare_on_gpu(files[0], checked, recorder)


def _compare_on_gpu(model: Path, checked: Checked, recorder: Recorder) -> None:
    """The same file by ONNX Runtime's CUDA provider, which is there where onnxruntime-gpu is."""
    try:
        predict = ort.on_gpu(model, checked.threads)
    except ExportMismatch as error:
        say(f"note: {error}")
        return
    title = f"{table.runtime_title('onnx')}, CUDA"
    row = _row_of(title, predict, (model,), checked, deployed=False)
    recorder.runtimes(replace(row, note="without TF32"))


def _row_of(
    title: str,
    predict: accuracy.Predict,
    files: tuple[Path, ...],
    checked: Checked,
    deployed: bool,
) -> RuntimeRow:
    """The row of a file on the whole validation split, to be timed with the others."""
    row, logits = accuracy.row(title, predict, checked.clips, checked.logits, files, deployed)
    checked.results[title] = logits
    checked.turns.append(turn_of(predict, checked.clips))
    return accuracy.against(row, logits, checked.teacher, checked.clips.labels)


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


def _compare_rivals(
    recipe: Recipe, work: Work, state: State, checked: Checked, recorder: Recorder
) -> list[RuntimeRow]:
    """What other tools make of the student's weights, judged on the same clips; see
    `compress.evaluation.rivals`.

    Returns:
        rows of those that came to nothing.
    """
    failed = []
    source = rivals.Source(
        work.folder,
        training_clips(work.dataset.train, state.student.view, rivals.CLIPS),
        checked.clips,
        checked.logits,
    )
    for name in recipe.compare:
        interrupt.check()
        row, turn = rivals.judged(name, source, checked.threads)
        if turn is None:
            failed.append(row)
            continue
        recorder.runtimes(row)
        checked.turns.append(turn)
    return failed


def _ship_teacher(
    recipe: Recipe, work: Work, before: State, threads: int
) -> tuple[Shipped | None, str]:
    """(the teacher, exported as the student is; why it could not be)."""
    try:
        sources = []
        for model in before.teacher:
            clips = work.evaluation(model.view, model.view.clips)
            sources.append(Source(model.network, model.about(work.dataset), clips))
        folder = work.folder / "teacher"
        # It is weighed and timed by clips.
        formats = tuple(kind for kind in recipe.export.formats if kind in table.usual())
        return ship(sources, folder, formats or table.usual(), threads, recipe.export.options), ""
    # Of any kind: what the student is compared with must not cost the student.
    except Exception as problem:  # noqa: BLE001
        text = f"the teacher could not be exported for the comparison ({problem})"
        console.say(f"note: {text}")
        return None, text


def _temperature(recipe: Recipe, work: Work, state: State, recorder: Recorder) -> dict[str, float]:
    """What the weights file's description lacks for calibrated scores; {} where none are wanted."""
    if not recipe.export.temperature:
        return {}
    # As deployed, rounding included.
    served = robustness.Candidate("served", in_process(state.served()), state.student.view)
    clips = _training_side(work, served)
    fitted = calibration.fit_temperature(logits_of(served.predict, clips), clips.labels)
    if fitted is None:
        recorder.note(
            f"export.temperature: none is stored, for {len(clips)} clips on the side of the training"
            " tell nothing of it (all of them are right, or hardly any); scores stay as they are."
            " A larger `holdout` may"
        )
        return {}
    recorder.report = replace(recorder.report, temperature=fitted)
    return {"temperature": fitted}


def _training_side(work: Work, judged: robustness.Candidate) -> EvaluationSet:
    """Clips on the side of the training: those held out, else some that were trained on. Never of the
    validation split, which judges what is fitted."""
    if work.dataset.holdout is not None:
        return work.selection(judged.view, judged.view.clips)
    return training_clips(work.dataset.train, judged.view, FITTED_CLIPS, judged.view.clips)


def _judge_damaged(
    recipe: Recipe, work: Work, state: State, before: State, checked: Checked, recorder: Recorder
) -> None:
    """Robustness, calibration and unknown classes of teacher, student and every file that ships."""
    config = recipe.robustness
    unknown = work.dataset.unknown
    if recipe.budget.max_drop_at_20pct_joints is not None:
        config = (config or GATE_ONLY).with_judged()
    elif config is None and unknown is not None:
        # Classes were left out to be judged, and clips are not damaged for it.
        config = replace(GATE_ONLY, joints_lost=())
    if config is None:
        return
    judged = _judged(work, state, before, checked, recorder)
    sides = [_training_side(work, each) for each in judged]
    known = [logits_of(each.predict, side) for each, side in zip(judged, sides, strict=True)]
    kind = "held out of training" if work.dataset.holdout is not None else "that were trained on"
    fitted = robustness.fitted_on(
        list(zip(known, (side.labels for side in sides), strict=True)),
        f"{len(sides[0])} clips {kind}",
    )
    rows = damage.damages(config, work.dataset.coordinates)
    with console.bar("damaged clips", sum(row.draws for row in rows)) as advance:
        found = robustness.measure(judged, work.dataset.val, rows, recipe.seed, fitted, advance)
    if unknown is not None:
        told = (
            robustness.unknown(
                logits_of(each.predict, work.evaluation(each.view, each.view.clips)),
                logits_of(each.predict, EvaluationSet(unknown, each.view, each.view.clips)),
                logits,
                config.known_answered,
                each.temperature,
            )
            for each, logits in zip(judged, known, strict=True)
        )
        found = replace(found, unknown=tuple(told))
    recorder.report = replace(recorder.report, robustness=found)


def _judged(
    work: Work, state: State, before: State, checked: Checked, recorder: Recorder
) -> list[robustness.Candidate]:
    """The teacher, the student before it was rounded, and the files that ship. Files in float32 are
    the student: one of them stands for both."""
    found = []
    if len(before.teacher) == 1:
        teacher = before.teacher[0]
        found.append(robustness.Candidate("teacher", in_process(teacher.network), teacher.view))
    else:
        recorder.note("robustness: a teacher of several networks has no column; its student has")
    view = state.student.view
    if state.quantized is not None:
        predict = in_process(state.student.network)
        found.append(robustness.Candidate("student", predict, view))
    folder = work.folder / "deploy"
    description = deployed.read(folder)
    for kind, predict in deployed.predictors(folder, description, checked.threads).items():
        title = table.runtime_title(kind)
        found.append(robustness.Candidate(title, predict, view, description.temperature or 1.0))
        if state.quantized is None:
            break
    return found


def _draw(recipe: Recipe, work: Work, weighed: BudgetRecord, recorder: Recorder) -> None:
    """The end of the run's VisualDL curves, where runs are compared with one another."""
    matrix = np.asarray(recorder.report.confusion)
    work.curves.confusion(0, matrix, list(work.dataset.classes), "confusion/delivered")
    work.curves.hyperparameters(
        hyperparameters(recipe),
        {
            "result/top-1 of the student": top1_of("student", recorder),
            "result/MB deployed": weighed.total_bytes / 1e6,
        },
    )
