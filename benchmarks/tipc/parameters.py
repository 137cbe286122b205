"""TIPC's parameters files (`train_infer_python.txt`): sections of `key:value` lines.

A line is known by its place in its section, not by its key: the key is what is typed on the command
line, and every repository has its own. `null` is nothing; `a|b` are values to be tried in turn;
`lite_train_lite_infer=1|whole_train_whole_infer=65` is a value for each mode; `##` separates.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from teachers.errors import DataError
from teachers.storage.bounded import read_bytes

# The lines of each section in their order, as TIPC's scripts count them.
LINES = {
    "train_params": (
        *("model_name", "python", "gpu_list", "device", "auto_cast", "epochs", "save_model"),
        *("batch_size", "pretrained", "trained_model", "infer_data", "train_extra"),
        *("trainer", "norm_train", "pact_train", "fpgm_train", "distill_train"),
        *("trainer_extra_1", "trainer_extra_2"),
    ),
    "eval_params": ("eval", "eval_extra"),
    "infer_params": (
        *("save_infer", "export_weights", "norm_export", "quant_export", "fpgm_export"),
        *("distill_export", "export_1", "export_2"),
        *("infer_model", "infer_export", "infer_quant", "inference", "use_gpu", "enable_mkldnn"),
        *("cpu_threads", "batch_size_infer", "use_tensorrt", "precision", "model_dir"),
        *("image_dir", "save_log_path", "enable_benchmark", "infer_extra"),
    ),
}
NOTHING = ("", "null")
LARGEST_FILE = 1_000_000


@dataclass(frozen=True)
class Line:
    """One `key:value`; `where` for messages."""

    key: str
    value: str
    where: str

    def of_mode(self, mode: str) -> str:
        """The value that holds in a mode; "" for null.

        Raises:
            DataError: it has values for other modes only.
        """
        if self.value in NOTHING:
            return ""
        parts = [part.partition("=") for part in self.value.split("|")]
        if not all(equals for _, equals, _ in parts):
            return self.value
        values = {name: value for name, _, value in parts}
        if mode not in values:
            raise DataError(f"{self.where}: has no value for {mode} (it has {', '.join(values)})")
        return values[mode]

    @property
    def choices(self) -> tuple[str, ...]:
        """The values to be tried in turn."""
        return tuple(part for part in self.value.split("|") if part not in NOTHING)

    def option(self, value: str) -> list[str]:
        """The words of `key=value` on a command line; none where either is null."""
        if self.key in NOTHING or value in NOTHING:
            return []
        return f"{self.key}={value}".split()


def read(path: Path) -> dict[str, Line]:
    """The lines of a parameters file by their names in LINES.

    Raises:
        DataError: missing, or not of this form; file and line are named.
    """
    text = read_bytes(path, LARGEST_FILE).decode("utf-8", "replace")
    found: dict[str, Line] = {}
    names: list[str] = []
    seen = []
    for number, line in enumerate(text.splitlines(), start=1):
        where = f"{path}:{number}"
        content = line.strip()
        if not content or content == "##":
            continue
        if content.startswith("==="):
            _require_all(names, path)
            section = content.strip("=")
            if section not in LINES:
                raise DataError(f"{where}: unknown section {section!r} (known: {', '.join(LINES)})")
            names = list(LINES[section])
            seen.append(section)
            continue
        key, colon, value = content.partition(":")
        if not colon or not names:
            raise DataError(f"{where}: expected key:value in one of {', '.join(LINES)}")
        found[names.pop(0)] = Line(key.strip(), value.strip(), where)
    _require_all(names, path)
    missing = [section for section in LINES if section not in seen]
    if missing:
        raise DataError(f"{path}: has no section {missing[0]}")
    return found


def _require_all(names: list[str], path: Path) -> None:
    if names:
        raise DataError(
            f"{path}: a section ends before its line for {names[0]}; write null:null where there is"
            " nothing to say"
        )
