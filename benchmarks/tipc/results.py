"""How a chain's commands ended, in TIPC's words, which its own tools look for."""

from __future__ import annotations

NAME = "results_python.log"
GOOD = "Run successfully with command"
BAD = "Run failed with command"
# Yellow, whatever happened, as TIPC's scripts print both.
COLOUR = "\033[33m {} \033[0m"
# Lines of AutoLog that the log of an inference must have.
FIGURES = (
    "runtime_device: ",
    "enable_mkldnn: ",
    "cpu_math_library_num_threads: ",
    "model_name: ",
    "precision: ",
    "batch_size: ",
    "cpu_rss(MB): ",
    "preprocess_time(ms): ",
    "inference_time(ms): ",
    "postprocess_time(ms): ",
)


def line(good: bool, model: str, command: str, log: object) -> str:
    """The line of one command."""
    return COLOUR.format(f"{GOOD if good else BAD} - {model} - {command} - {log}! ")


def counted(text: str) -> tuple[int, int]:
    """(commands that ran successfully, commands that failed) of a `results_python.log`."""
    lines = text.splitlines()
    return sum(GOOD in each for each in lines), sum(BAD in each for each in lines)


def lacking(log: str) -> list[str]:
    """Figures that the log of an inference does not have."""
    return [figure for figure in FIGURES if figure not in log]
