"""Runs the chain of a TIPC parameters file: train, evaluate, export, and infer with every
combination of oneDNN, threads, batch size and precision that it names.

Run: python -m benchmarks.tipc.chain benchmarks/tipc/configs/ctrgcn/train_infer_python.txt lite_train_lite_infer

`test_train_inference_python.sh` calls it. Each command has a log of its own below
`output/MODEL/MODE/`; `results_python.log` there says of each how it ended, in TIPC's words. Exit
code 1 where one of them failed. The last line of stdout is JSON.
"""

from __future__ import annotations

import itertools
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.tipc import parameters, results
from benchmarks.tipc.parameters import Line
from teachers import storage
from teachers.errors import DataError
from teachers.terminal import ending
from teachers.terminal.arguments import Parser
from teachers.terminal.output import show

ROOT = Path(__file__).resolve().parents[2]
OUTPUT = Path("benchmarks/tipc/output")


@dataclass(frozen=True)
class Command:
    """A command of the chain, and where its output goes; `infers`: it prints AutoLog's lines."""

    words: tuple[str, ...]
    log: Path
    infers: bool = False

    @property
    def text(self) -> str:
        """As it is typed."""
        return shlex.join(self.words)


def commands(lines: dict[str, Line], mode: str, folder: Path) -> list[Command]:
    """The commands of a chain in their order; what they write goes below `folder`.

    Raises:
        DataError: the file has no value for the mode, or wants what this chain does not do.
    """
    _refuse(lines)
    # TIPC's name of a training; -1 stands for the CPU.
    trained = folder / f"{lines['trainer'].value}_gpus_{lines['gpu_list'].value}_autocast_null"
    exported = trained / "inference"
    weights = str(trained / lines["trained_model"].value)
    python = shlex.split(lines["python"].value)
    train = [
        *shlex.split(lines["norm_train"].value),
        *lines["device"].option(lines["device"].of_mode(mode)),
        *lines["epochs"].option(lines["epochs"].of_mode(mode)),
        *lines["batch_size"].option(lines["batch_size"].of_mode(mode)),
        *lines["pretrained"].option(lines["pretrained"].of_mode(mode)),
        *lines["save_model"].option(str(trained)),
    ]
    found = [Command((*python, *train), folder / f"{trained.name}.log")]
    if lines["eval"].value not in parameters.NOTHING:
        judge = (*python, *shlex.split(lines["eval"].value), weights)
        found.append(Command(judge, folder / f"{trained.name}_eval.log"))
    export = [
        *shlex.split(lines["norm_export"].value),
        *lines["export_weights"].option(weights),
        *lines["save_infer"].option(str(exported)),
    ]
    found.append(Command((*python, *export), folder / f"{trained.name}_export.log"))
    return found + _inferences(lines, python, exported, folder)


def _inferences(
    lines: dict[str, Line], python: list[str], exported: Path, folder: Path
) -> list[Command]:
    found = []
    swept = ("enable_mkldnn", "cpu_threads", "batch_size_infer", "precision")
    for values in itertools.product(*(lines[name].choices for name in swept)):
        onednn, threads, batch, precision = values
        log = folder / (
            f"python_infer_cpu_usemkldnn_{onednn}_threads_{threads}_precision_{precision}"
            f"_batchsize_{batch}.log"
        )
        words = [
            *shlex.split(lines["inference"].value),
            *lines["use_gpu"].option(lines["use_gpu"].value),
        ]
        for name, value in zip(swept, values, strict=True):
            words += lines[name].option(value)
        words += [
            *lines["model_dir"].option(str(exported)),
            *lines["image_dir"].option(lines["infer_data"].value),
            *lines["enable_benchmark"].option(lines["enable_benchmark"].value),
        ]
        words.append(f"--model_name={lines['model_name'].value}")
        found.append(Command((*python, *words), log, infers=True))
    return found


def _refuse(lines: dict[str, Line]) -> None:
    """What TIPC's own script would do and this one does not is said, not left out in silence."""
    off = {
        "use_gpu": ("False",),
        "use_tensorrt": ("False",),
        "gpu_list": ("-1",),
        "auto_cast": ("null", ""),
        "infer_model": ("null", ""),
        "pact_train": ("null", ""),
        "fpgm_train": ("null", ""),
        "distill_train": ("null", ""),
    }
    for name, allowed in off.items():
        line = lines[name]
        if line.value not in allowed:
            raise DataError(
                f"{line.where}: {line.key}:{line.value} is not done by this chain, which trains and"
                f" infers on the CPU; write {allowed[0]}"
            )


def run(command: Command, model: str, log: Path) -> bool:
    """Run it, its output into its own log, how it ended into `log` and on the terminal; whether it
    ended well."""
    with command.log.open("wb") as output:
        done = subprocess.run(
            command.words, stdout=output, stderr=subprocess.STDOUT, cwd=ROOT, check=False
        )
    good = done.returncode == 0
    line = results.line(good, model, command.text, command.log)
    show(line)
    # One after the other, as they end: after a kill the file says how far the chain came.
    with log.open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")
    return good


def folder_of(lines: dict[str, Line], mode: str, output: Path) -> Path:
    """Where a chain writes."""
    return output / lines["model_name"].value / mode


@ending.command
def main(arguments: list[str] | None = None) -> int:
    """The command; returns the exit code."""
    parser = Parser(description=__doc__.split("\n\n")[0])
    parser.add_argument("config", type=Path, help="a train_infer_python.txt")
    parser.add_argument("mode", help="lite_train_lite_infer, or another that the file has")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="default: %(default)s")
    options = parser.parse_args(arguments)
    lines = parameters.read(options.config)
    folder = folder_of(lines, options.mode, options.output)
    # First, so that a mistake in the file costs no results of an earlier chain.
    chain = commands(lines, options.mode, folder)
    log = folder / results.NAME
    if folder.exists() and not log.is_file():
        raise DataError(f"{folder}: is not the folder of an earlier chain; give another --output")
    shutil.rmtree(folder, ignore_errors=True)
    storage.make_folder(folder)
    storage.write_text(log, "")
    model = lines["model_name"].value
    # Also behind one that failed: what does not depend on it is still known afterwards.
    good = [run(command, model, log) for command in chain]
    ending.print_last_line(
        {
            "results": str(log),
            "commands": len(good),
            "successful": sum(good),
            "failed": len(good) - sum(good),
        }
    )
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
