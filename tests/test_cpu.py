"""What is known of the processor, from texts as Linux writes them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from compress.reporting import provenance
from compress.reporting.record import Provenance, Report
from compress.reporting.report import render
from teachers import cpu

ROOT = Path(__file__).resolve().parents[1]
INTEL = """processor\t: 0
vendor_id\t: GenuineIntel
model name\t: Intel(R) Xeon(R) Platinum
flags\t\t: fpu sse2 avx2 avx512f avx512_vnni amx_int8 amx_tile

processor\t: 1
vendor_id\t: GenuineIntel
"""
AMD = "vendor_id\t: AuthenticAMD\nmodel name\t: AMD EPYC: 7B13\nflags\t\t: fpu sse2 avx2 sse4a\n"
OLD_AMD = "vendor_id\t: AuthenticAMD\nmodel name\t: AMD Opteron\nflags\t\t: fpu sse2 avx\n"
ARM = "processor\t: 0\nFeatures\t: fp asimd\nCPU implementer\t: 0x41\n"
MISSING = None


def processor(text: str | None, folder) -> cpu.Cpu:
    if text is not None:
        (folder / "cpuinfo").write_text(text)
    return cpu.read(folder / "cpuinfo")


@pytest.mark.parametrize(
    "text, expected, saturates",
    [
        (
            INTEL,
            (
                "GenuineIntel",
                "Intel(R) Xeon(R) Platinum",
                ("avx2", "avx512f", "avx512_vnni", "amx_int8"),
            ),
            False,
        ),
        (AMD, ("AuthenticAMD", "AMD EPYC: 7B13", ("avx2",)), True),
        (OLD_AMD, ("AuthenticAMD", "AMD Opteron", ()), True),
        (ARM, ("unknown", "unknown", "unknown"), False),
        (MISSING, ("unknown", "unknown", "unknown"), False),
    ],
)
def test_processor_of_a_text(text, expected, saturates, tmp_path):
    found = processor(text, tmp_path)
    assert (
        found.vendor,
        found.model,
        found.instructions,
    ) == expected and found.saturates == saturates
    assert found.to_json() == {
        "vendor": expected[0],
        "model": expected[1],
        "instructions": expected[2] if expected[2] == "unknown" else list(expected[2]),
    }


def test_processor_in_words(tmp_path):
    assert (
        str(processor(AMD, tmp_path))
        == "AuthenticAMD AMD EPYC: 7B13 (has avx2; lacks avx512f, avx512_vnni, avx_vnni, amx_int8)"
    )
    assert str(cpu.Cpu()) == "unknown unknown (instructions unknown)"


def test_report_says_where_files_were_checked(tmp_path, monkeypatch):
    found = processor(AMD, tmp_path)
    monkeypatch.setattr(cpu, "read", lambda: found)
    hardware = provenance.hardware()
    assert (hardware.cpu, hardware.cpu_vendor, hardware.cpu_instructions) == (
        "AMD EPYC: 7B13",
        "AuthenticAMD",
        ("avx2",),
    )
    page = render(Report(checked_on=found, provenance=Provenance(hardware=hardware)))
    assert "<dt>Files checked on</dt><dd>AuthenticAMD AMD EPYC: 7B13: avx2</dd>" in page
    assert "<dt>Processor</dt><dd>AuthenticAMD: avx2" in page and "['avx2']" not in page
    monkeypatch.setattr(cpu, "read", cpu.Cpu)
    hardware = provenance.hardware()
    assert hardware.cpu and hardware.cpu != "unknown" and hardware.cpu_instructions == "unknown"


@pytest.mark.parametrize(
    "text, expected", [(INTEL, None), (AMD, "5"), (OLD_AMD, None), (ARM, None), (MISSING, None)]
)
def test_mkl_is_told_to_use_avx2_where_it_would_not(text, expected, tmp_path):
    environment = {}
    cpu.prepare_mkl(environment, processor(text, tmp_path))
    assert environment == ({} if expected is None else {"MKL_DEBUG_CPU_TYPE": expected})


@pytest.mark.parametrize("own", ["4", ""])
def test_a_value_of_the_users_own_stays(own, tmp_path):
    environment = {"MKL_DEBUG_CPU_TYPE": own}
    cpu.prepare_mkl(environment, processor(AMD, tmp_path))
    assert environment == {"MKL_DEBUG_CPU_TYPE": own}


@pytest.mark.parametrize("own", [None, "4"])
def test_mkl_is_prepared_before_paddle_is_there_and_recorded(own):
    """In a fresh process on whatever machine this is."""
    shown = "'paddle' in sys.modules, os.environ.get('MKL_DEBUG_CPU_TYPE')"
    code = f"import os, sys, teachers; print({shown})"
    environment = {key: value for key, value in os.environ.items() if key != cpu.MKL_PATH}
    expected = {} if own is None else {cpu.MKL_PATH: own}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=environment | expected,
        check=False,
    )
    cpu.prepare_mkl(expected, cpu.read())
    assert done.stdout.split() == ["False", str(expected.get(cpu.MKL_PATH))], done.stderr


def test_the_path_of_mkl_is_recorded(monkeypatch):
    monkeypatch.setenv("MKL_DEBUG_CPU_TYPE", "5")
    assert provenance.hardware().mkl_debug_cpu_type == "5"
    assert "MKL_DEBUG_CPU_TYPE=5" in render(
        Report(provenance=Provenance(hardware=provenance.hardware()))
    )
    monkeypatch.delenv("MKL_DEBUG_CPU_TYPE")
    assert provenance.hardware().mkl_debug_cpu_type is None
    assert "MKL_DEBUG_CPU_TYPE" not in render(
        Report(provenance=Provenance(hardware=provenance.hardware()))
    )
