"""The words around a run: what runs where at its beginning, and what to do with it at its end."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from compress.recipe.types import Recipe
from teachers.terminal.output import LOG_NAME


def first_line(recipe: Recipe, device: str, folder: Path, resumes: bool) -> str:
    """What runs, on what and where: all that somebody who opens a log wants first."""
    # As the runtimes count them; Paddle itself trains with as many.
    threads = os.environ.get("OMP_NUM_THREADS") or str(len(os.sched_getaffinity(0)))
    plural = "thread" if threads == "1" else "threads"
    verb = "resumes" if resumes else "runs"
    return (
        f"{recipe.name} {verb} on {device} with {threads} {plural}: data {recipe.data.name}, seed"
        f" {recipe.seed}, into {folder}"
    )


def next_steps(folder: Path, command: str) -> str:
    """Where everything of a finished run is, and the commands to type next.

    Args:
        command: as typed, by which the run was started.
    """
    deploy = folder / "deploy"
    curves = ["visualdl", "--logdir", str(folder / "curves")]
    model = _drawn_model(deploy)
    if model is not None:
        curves += ["--model", str(model)]
    from_checkout = command.startswith("python ")
    predict = "python compress/predict.py" if from_checkout else "featherbone predict"
    return "\n".join(
        [
            f"report   {folder / 'report.html'}",
            f"deploy   {deploy}",
            f"curves   {shlex.join(curves)}",
            f"predict  {predict} {shlex.quote(str(deploy))} CLIP",
            f"log      {folder / LOG_NAME}",
        ]
    )


def _drawn_model(deploy: Path) -> Path | None:
    """The deployed file that VisualDL draws as a graph."""
    for pattern in ("*.onnx", "*.pdmodel", "model.json"):
        for model in sorted(deploy.glob(pattern)):
            return model
    return None
