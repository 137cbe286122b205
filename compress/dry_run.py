"""`--dry-run`: the plan of a run, printed."""

from __future__ import annotations

import json

from rich.table import Table

from compress import registry
from compress.plan import notes, planned_specs, seats
from compress.recipe.types import QUANTISING
from compress.reporting.printed import out
from teachers import networks


def print_plan(recipe, dataset) -> int:
    """Networks with parameters and MACs, steps, data counts and the files a run will write."""
    members = recipe.teacher.members
    teachers, specs = planned_specs(recipe, dataset)
    places, place = seats(recipe, dataset)
    rows = [
        (
            f"teacher {number}" if len(members) > 1 else "teacher",
            f"{_source(member)}, {where.view.title}"
            + (f", weight {member.weight:g}" if len(members) > 1 else ""),
            spec,
        )
        for number, (member, where, spec) in enumerate(zip(members, places, teachers), start=1)
    ]
    rows.append(("student", f"{_start(recipe)}, {place.view.title}", specs[0]))
    for number, (step, spec) in enumerate(zip(recipe.steps, specs[1:]), start=1):
        title = registry.STEPS.load(step.kind).title(step.config)
        rows.append(
            (f"step {number}", title if step.enabled else f"{step.kind}: switched off", spec)
        )
    table = Table(
        "",
        "what",
        "blocks",
        "parameters",
        "GMACs a clip",
        title=f"Plan of {recipe.name}",
        title_justify="left",
    )
    for name, what, spec in rows:
        table.add_row(
            name,
            what,
            str(len(spec.blocks)),
            f"{networks.parameters(spec):,}",
            f"{networks.macs(spec) / 1e9:.3f}",
        )
    out.print(table)
    out.print(
        f"data: {dataset.name}, {len(dataset.train)} training and {len(dataset.val)} validation"
        f" clips, {len(dataset.classes)} classes, input (C, T, V, M) = {place.view.shape}"
    )
    for note in notes(recipe, dataset):
        out.print(f"note: {note}", markup=False)
    single = len(members) == 1
    kept = (
        ["teacher.npz"]
        if single
        else [f"teacher{number}.npz" for number in range(1, len(members) + 1)]
    )
    expected = [f"deploy/{file}" for kind in recipe.export.formats for file in table.files(kind)]
    expected += [
        "deploy/deployed.json",
        *(f"weights/{name}" for name in kept),
        "weights/student.npz",
        *(
            ["weights/quantized.npz"]
            if any(step.enabled and step.kind in QUANTISING for step in recipe.steps)
            else []
        ),
        "report.json",
        "report.html",
        "curves/",
    ]
    out.print(f"files: {', '.join(expected)}")
    out.print(
        f"gates: deployed folder at most {recipe.budget.max_size / 1e6:g} MB, top-1 at most"
        f" {recipe.budget.max_top1_drop:g} points below the teacher"
    )
    print(
        json.dumps(
            {
                "recipe": recipe.name,
                "params": sum(map(networks.parameters, teachers)),
                "student_params": networks.parameters(specs[-1]),
                "macs": sum(map(networks.macs, teachers)),
                "student_macs": networks.macs(specs[-1]),
                "train_clips": len(dataset.train),
                "val_clips": len(dataset.val),
                "files": expected,
            }
        )
    )
    return 0


def _source(member) -> str:
    name = member.network.name
    if member.weights is None:
        return f"{name}, trained {member.train.epochs} epochs first, or reused if it was before"
    return f"{name} from {member.weights}" + (
        f", trained {member.train.epochs} epochs more" if member.finetune else ""
    )


def _start(recipe) -> str:
    student = recipe.student
    if student.weights is not None:
        return f"from {student.weights}"
    if student.network is not None:
        return f"{student.network.name}, fresh"
    return "a copy of the teacher" if len(recipe.teacher.members) == 1 else "a copy of teacher 1"
