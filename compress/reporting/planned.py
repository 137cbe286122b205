"""`--dry-run`: the plan of a run, printed."""

from __future__ import annotations

from compress import recipe as recipes
from compress.plan import Plan, PlannedTeacher
from compress.recipe.types import QUANTISING, Member
from export.formats import table
from teachers import networks
from teachers.networks import Spec
from teachers.terminal import ending
from teachers.terminal.output import show
from teachers.terminal.tables import Table

REPORT = ("report.json", "report.html")
# Of several seeds there is one log, and a report over all of them beside each one's own.
OF_ALL = (*REPORT, "run.log")


def print_plan(plan: Plan) -> int:
    """Networks with parameters and MACs, steps, data counts and the files a run will write.

    Returns:
        the exit code.
    """
    dataset = plan.dataset
    budget = plan.recipe.budget
    show(_table(plan))
    if plan.recipe.extends:
        # Nobody can see it whole otherwise; keys at their default would bury those that were written.
        show(f"recipe: {' on top of '.join((plan.recipe.path.name, *plan.recipe.extends))}")
        show(recipes.to_yaml(plan.recipe, defaults=False).rstrip())
    show(
        f"data: {dataset.name}, {len(dataset.train)} training and {len(dataset.val)} validation"
        f" clips, {len(dataset.classes)} classes, input (C, T, V, M) ="
        f" {plan.student.task.view.shape}"
    )
    for note in plan.notes:
        show(f"note: {note}")
    show(_files_in_words(plan))
    floor = "" if budget.min_top1 is None else f" and at least {budget.min_top1:g} %"
    if budget.max_drop_at_20pct_joints is not None:
        floor += f", at most {budget.max_drop_at_20pct_joints:g} lost with 20 % of the joints"
    show(
        f"gates: deployed folder at most {budget.max_size / 1e6:g} MB, top-1 at most"
        f" {budget.max_top1_drop:g} points below the teacher{floor}"
    )
    ending.print_last_line(_last_line(plan))
    return 0


def _table(plan: Plan) -> Table:
    rows = []
    for name, what, spec in _rows(plan):
        parameters = networks.parameters(spec)
        # Of the published form, as papers count them, not of the fused one that runs.
        macs = networks.macs(spec)
        rows.append((name, what, str(len(spec.blocks)), f"{parameters:,}", f"{macs / 1e9:.3f}"))
    columns = ("", "what", "blocks", "parameters", "GMACs a clip")
    return Table(columns, rows, f"Plan of {plan.recipe.name}", names=2)


def _rows(plan: Plan) -> list[tuple[str, str, Spec]]:
    """(name, what it is or does, spec) of every network, and of the student after every step."""
    single = len(plan.teachers) == 1
    rows: list[tuple[str, str, Spec]] = []
    for number, teacher in enumerate(plan.teachers, start=1):
        what = f"{_source(teacher.member)}, {teacher.task.view.title}"
        if single:
            rows.append(("teacher", what, teacher.spec))
        else:
            weighted = f"{what}, weight {teacher.member.weight:g}"
            rows.append((f"teacher {number}", weighted, teacher.spec))
    student = plan.student
    rows.append(("student", f"{_start(plan)}, {student.task.view.title}", student.spec))
    for step in plan.steps:
        # Switched off or not, a step has its row: file names and seeds count it, too.
        what = step.title if step.entry.enabled else f"{step.entry.kind}: switched off"
        rows.append((f"step {step.number}", what, step.spec))
    return rows


def _source(member: Member) -> str:
    name = member.network.name
    train = member.train
    if train is None:
        return f"{name} from {member.weights}"
    length = f"{train.epochs} epochs"
    if train.repeat > 1:
        length += f" of {train.repeat} passes"
    if member.weights is None:
        return f"{name}, trained {length} first, or reused if it was before"
    if member.finetune:
        return f"{name} from {member.weights}, trained {length} more"
    return f"{name} from {member.weights}"


def _start(plan: Plan) -> str:
    student = plan.recipe.student
    if student.weights is not None:
        return f"from {student.weights}"
    if student.network is not None:
        return f"{student.network.name}, fresh"
    if student.from_ == "ensemble":
        return "all teachers as one network"
    return "a copy of the teacher" if len(plan.teachers) == 1 else "a copy of teacher 1"


def _files(plan: Plan) -> list[str]:
    """What a run writes into its folder, from its top."""
    own = _files_of_one(plan)
    if plan.recipe.seeds == 1:
        return [*own, *OF_ALL]
    return [
        *(f"{folder}{name}" for folder in _seed_folders(plan) for name in (*own, *REPORT)),
        *OF_ALL,
    ]


def _files_in_words(plan: Plan) -> str:
    own = _files_of_one(plan)
    if plan.recipe.seeds == 1:
        return f"files: {', '.join((*own, *OF_ALL))}"
    # Once for all seeds, of which there may be a hundred.
    return (
        f"files: {', '.join(OF_ALL)}; in each of {', '.join(_seed_folders(plan))}:"
        f" {', '.join((*own, *REPORT))}"
    )


def _seed_folders(plan: Plan) -> list[str]:
    # As `compress.seeds` names them.
    return [f"seed{seed}/" for seed in plan.recipe.run_seeds]


def _files_of_one(plan: Plan) -> list[str]:
    """What a run of one seed writes but for its report."""
    files = []
    for format_name in plan.recipe.export.formats:
        files += [f"deploy/{name}" for name in table.files(format_name)]
    files.append("deploy/deployed.json")
    files += _teacher_files(plan.teachers)
    # Float32 even after a quantising step; what is rounded, and how, is in quantized.npz.
    files.append("weights/student.npz")
    if any(step.entry.enabled and step.entry.kind in QUANTISING for step in plan.steps):
        files.append("weights/quantized.npz")
    return [*files, "scores.npz", "curves/"]


def _teacher_files(teachers: tuple[PlannedTeacher, ...]) -> list[str]:
    if len(teachers) == 1:
        return ["weights/teacher.npz"]
    # Numbered from 1, as `pipeline._teachers` names them: a plan must promise no other file.
    return [f"weights/teacher{number}.npz" for number in range(1, len(teachers) + 1)]


def _last_line(plan: Plan) -> dict[str, object]:
    """The plan for programs: one JSON object."""
    specs = [teacher.spec for teacher in plan.teachers]
    return {
        "recipe": plan.recipe.name,
        "extends": list(plan.recipe.extends),
        # Of an ensemble together: that is what a clip costs
        "params": sum(networks.parameters(spec) for spec in specs),
        "student_params": networks.parameters(plan.final_spec),
        "macs": sum(networks.macs(spec) for spec in specs),
        "student_macs": networks.macs(plan.final_spec),
        "train_clips": len(plan.dataset.train),
        "val_clips": len(plan.dataset.val),
        "files": _files(plan),
    }
