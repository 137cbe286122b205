"""Where a number comes from: commit, versions, hardware."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import paddle

from compress import recipe as recipes
from compress.recipe.types import Recipe
from compress.reporting.record import Hardware, Provenance
from teachers import cpu

ROOT = Path(__file__).resolve().parents[2]
# Paddle's CPU and GPU builds are packages of two names, of which one is installed.
PACKAGES = (
    "paddlepaddle",
    "paddlepaddle-gpu",
    "paddleslim",
    "paddle2onnx",
    "onnxruntime",
    "onnx",
    "visualdl",
    "numpy",
)


def of_run(recipe: Recipe, command: str, deterministic: tuple[str, ...] = ()) -> Provenance:
    """The provenance of a run that starts now; `command` as typed, `deterministic` the settings that
    were asked for with it."""
    return Provenance(
        commit=commit(),
        recipe_yaml=recipe.text,
        overrides=tuple(recipe.overrides),
        effective=recipes.to_dict(recipe),
        effective_yaml=recipes.to_yaml(recipe),
        seed=recipe.seed,
        versions=versions(),
        hardware=hardware(),
        # UTC: reports from machines in different zones sort by time.
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        command=command,
        deterministic=deterministic,
    )


def versions() -> dict[str, str]:
    """Python's and the packages' versions."""
    installed = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            installed[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            # The GPU build and some packages are optional; what is absent decides no number.
            continue
    return installed


def hardware() -> Hardware:
    """This machine, as far as it decides numbers and times; "unknown" is what only Linux tells."""
    pages = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    # Of a container or a cgroup's cpuset, which `os.cpu_count` does not know of.
    cores = len(os.sched_getaffinity(0))
    processor = cpu.read()
    model = processor.model
    if model == cpu.UNKNOWN:
        model = platform.processor() or platform.machine()
    return Hardware(
        cpu=model,
        cores=cores,
        memory_bytes=pages,
        device=paddle.get_device(),
        # Unset, OpenMP takes every core; so do Paddle and ONNX Runtime.
        threads=int(os.environ.get("OMP_NUM_THREADS") or cores),
        cpu_vendor=processor.vendor,
        cpu_instructions=processor.instructions,
        mkl_debug_cpu_type=os.environ.get(cpu.MKL_PATH),
    )


def commit() -> str:
    """The project's commit, with "+changes" where the tree differs; "unknown" outside git."""
    try:
        # Files that git does not track are runs and data, seldom code.
        head = _git("rev-parse", "--short=12", "HEAD")
        return head + ("+changes" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*arguments: str) -> str:
    # -C: the project's own repository, wherever the command was started.
    return subprocess.run(
        ["git", "-C", str(ROOT), *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()
