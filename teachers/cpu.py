"""The processor, as far as it decides what numbers come out: what Linux's /proc/cpuinfo says of it.

It imports nothing of Paddle: `teachers/__init__.py` asks it before Paddle is imported.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import asdict, dataclass
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
UNKNOWN = "unknown"
# Those that ONNX Runtime and Paddle choose kernels by, as Linux calls them.
INSTRUCTIONS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8")
# With any of these, products of uint8 and int8 are added in 32 bits.
EXACT = {"avx512_vnni", "avx_vnni", "amx_int8"}
MKL_PATH = "MKL_DEBUG_CPU_TYPE"


@dataclass(frozen=True)
class Cpu:
    """A processor; whatever is not known is "unknown".

    Attributes:
        vendor: as the processor names it, for example `GenuineIntel` or `AuthenticAMD`; x86 only.
        model: for people.
        instructions: which of INSTRUCTIONS it has, or "unknown".
    """

    vendor: str = UNKNOWN
    model: str = UNKNOWN
    instructions: tuple[str, ...] | str = UNKNOWN

    @property
    def saturates(self) -> bool:
        """Whether ONNX Runtime's integer kernels for it add two products in 16 bits, and saturate
        (see `export/quantize/saturation.py`)."""
        return self.instructions != UNKNOWN and not EXACT & set(self.instructions)

    def to_json(self) -> dict:
        content = asdict(self)
        if self.instructions != UNKNOWN:
            content["instructions"] = list(self.instructions)
        return content

    def __str__(self) -> str:
        """In words, with what it lacks."""
        if self.instructions == UNKNOWN:
            return f"{self.vendor} {self.model} (instructions unknown)"
        has = ", ".join(self.instructions) or "none"
        # What is lacking as well: it is what explains a number that differs from another machine's.
        lacks = ", ".join(name for name in INSTRUCTIONS if name not in self.instructions) or "none"
        return f"{self.vendor} {self.model} (has {has}; lacks {lacks})"


def read(path: Path = CPUINFO) -> Cpu:
    """This machine's processor; where there is no such file (not Linux), nothing of it is known."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return Cpu()
    # Of the first core; the file repeats itself for every core.
    lines = (line.partition(":") for line in text.split("\n\n")[0].splitlines())
    fields = {key.strip(): value.strip() for key, _, value in lines}
    # ARM has no "flags" but "Features", with names of its own: unknown, which is not "none".
    flags = fields.get("flags")
    has: tuple[str, ...] | str = UNKNOWN
    if flags is not None:
        has = tuple(name for name in INSTRUCTIONS if name in flags.split())
    return Cpu(fields.get("vendor_id") or UNKNOWN, fields.get("model name") or UNKNOWN, has)


def prepare_mkl(environment: MutableMapping[str, str], processor: Cpu) -> None:
    """Let the MKL in Paddle 2.6.2 use AVX2 on CPUs that are not Intel's, where it takes a slow
    path.

    To be done before Paddle is imported. Changes nothing on an Intel or unknown CPU, nor a value
    that is there already: it is the user's own.
    """
    # 5 is MKL's number for AVX2; without the variable it asks for the vendor, not for the
    # instructions.
    if processor.vendor not in (UNKNOWN, "GenuineIntel") and "avx2" in processor.instructions:
        environment.setdefault(MKL_PATH, "5")
