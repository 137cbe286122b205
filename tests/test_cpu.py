"""What is known of the processor, from texts as Linux writes them."""

import pytest

from compress.reporting import provenance
from compress.reporting.report import render
from teachers import cpu

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
    assert (hardware["cpu"], hardware["cpu_vendor"], hardware["cpu_instructions"]) == (
        "AMD EPYC: 7B13",
        "AuthenticAMD",
        ["avx2"],
    )
    page = render({"checked_on": found.to_json(), "provenance": {"hardware": hardware}})
    assert "<dt>Files checked on</dt><dd>AuthenticAMD AMD EPYC: 7B13: avx2</dd>" in page
    assert "<dt>Processor</dt><dd>AuthenticAMD: avx2</dd>" in page and "['avx2']" not in page
    monkeypatch.setattr(cpu, "read", cpu.Cpu)
    hardware = provenance.hardware()
    assert (
        hardware["cpu"]
        and hardware["cpu"] != "unknown"
        and hardware["cpu_instructions"] == "unknown"
    )
