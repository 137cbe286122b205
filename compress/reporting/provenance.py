"""Where a number comes from: commit, versions, hardware."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

import paddle

from teachers import cpu

ROOT = Path(__file__).resolve().parents[2]
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


def versions() -> dict[str, str]:
    """Python's and the packages' versions."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def hardware() -> dict[str, object]:
    """Processor, cores this process may use, memory in bytes, device, threads, and of the processor
    the vendor and which of `teachers.cpu.INSTRUCTIONS` it has ("unknown" outside Linux), with the
    path that Paddle's MKL was told to take (None: its own choice)."""
    pages = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    cores = len(os.sched_getaffinity(0))
    processor = cpu.read()
    model = processor.model
    if model == cpu.UNKNOWN:
        model = platform.processor() or platform.machine()
    return {
        "cpu": model,
        "cores": cores,
        "memory_bytes": pages,
        "device": paddle.get_device(),
        "threads": int(os.environ.get("OMP_NUM_THREADS") or cores),
        "cpu_vendor": processor.vendor,
        "cpu_instructions": processor.to_json()["instructions"],
        "mkl_debug_cpu_type": os.environ.get(cpu.MKL_PATH),
    }


def commit() -> str:
    """The project's commit, with "+changes" where the tree differs from it; "unknown" outside git."""
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        return head + ("+changes" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(ROOT), *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()
