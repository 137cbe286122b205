"""The gate on answers: ties within the rounding noise are no mistakes, clear answers that change
are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from export import verify
from teachers.errors import ExportMismatch

FILE = Path("model.onnx")
CLASSES = 12


def clips_of(count: int) -> np.ndarray:
    """Clips that carry their number, by which `served` finds their logits."""
    return np.arange(count, dtype="float32").reshape(-1, 1, 1, 1, 1)


def served(logits: np.ndarray):
    return lambda x: logits[x[:, 0, 0, 0, 0].astype(int)]


def undertrained(count: int, rng: np.random.Generator) -> np.ndarray:
    """Logits (n, K) of a network that has learnt little: far from 0, hardly apart."""
    offsets = 10 * rng.standard_normal(1)
    return offsets + 0.03 * rng.standard_normal((count, CLASSES))


def test_an_undertrained_network_in_eight_bits_is_not_refused():
    rng = np.random.default_rng(2)
    simulated = undertrained(64, rng)
    scale = np.sqrt(np.square(simulated).mean())
    logits = simulated + 0.01 * scale * rng.standard_normal(simulated.shape)
    compared = verify.require_close(FILE, served(logits), clips_of(64), simulated)
    assert 39 < compared["snr_db"] < 41
    assert compared["agreement"] < verify.CLOSE["clear_agreement"] <= compared["clear_agreement"]


@pytest.mark.parametrize("wrong, refused", [(3, False), (4, True), (16, True), (24, True)])
def test_clear_answers_that_change_are_refused_however_little_noise_there_is(wrong, refused):
    """Of 64 clips some get another class, by 100 times the noise; 5 % of them are allowed."""
    rng = np.random.default_rng(0)
    simulated = 10 + 0.1 * rng.standard_normal((64, CLASSES))
    simulated[:, 0] += 1
    logits = simulated + 0.01 * rng.standard_normal(simulated.shape)
    logits[:wrong, [0, 1]] = logits[:wrong, [1, 0]]
    if not refused:
        verify.require_close(FILE, served(logits), clips_of(64), simulated)
        return
    with pytest.raises(
        ExportMismatch, match=r"top-1 agreement .*% but for ties, signal to noise [2-4]"
    ):
        verify.require_close(FILE, served(logits), clips_of(64), simulated)


def test_a_tie_that_float32_rounds_the_other_way_is_not_refused():
    rng = np.random.default_rng(0)
    reference = rng.standard_normal((16, CLASSES))
    reference[3, [0, 1]] = [5.0, 5.0 + 1e-7]
    logits = reference + 1e-6 * rng.choice([-1, 1], reference.shape)
    logits[3, [0, 1]] = reference[3, [0, 1]] + [1e-6, -1e-6]
    compared = verify.require_same(FILE, served(logits), clips_of(16), reference)
    assert compared["agreement"] == 15 / 16
    assert compared["clear_agreement"] == 1.0


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_what_is_no_number_excuses_nothing(broken):
    reference = np.eye(CLASSES)
    logits = np.roll(reference, 1, axis=0)
    logits[0] = broken
    assert verify.noise_of(logits, reference) == 0.0
    assert verify.clear_agreement(logits, reference, 0.0) < 0.1
    with pytest.raises(ExportMismatch):
        verify.require_same(FILE, served(logits), clips_of(CLASSES), reference)


def test_zeros_that_are_zeros_are_equal():
    """As of a network that weight decay has killed."""
    zeros = np.zeros((8, 3), "float32")
    assert verify.is_close(verify.closeness(zeros, zeros))
    assert not verify.is_close(verify.closeness(zeros + np.float32(1e-12), zeros))
    tiny = np.random.default_rng(0).standard_normal((8, 3)).astype("float32") * np.float32(1e-18)
    assert verify.closeness(tiny * np.float32(1.001), tiny)["snr_db"] == pytest.approx(60, abs=0.1)


@pytest.mark.parametrize("size", [1.0, 1e15, 1e20, 1e30])
def test_huge_logits_excuse_nothing(size):
    expected = (np.random.default_rng(0).standard_normal((8, 3)) * size).astype("float32")
    wrong = (expected * np.float32(1.5)).astype("float32")
    assert verify.closeness(wrong, expected)["snr_db"] == pytest.approx(6.02, abs=0.01)
    near = (expected * np.float32(1.03)).astype("float32")
    near[1] = -expected[1]
    assert verify.closeness(near, expected)["clear_agreement"] == 7 / 8
    with pytest.raises(ExportMismatch, match="does not compute what was simulated"):
        verify.require_close(Path("f.onnx"), lambda x: wrong, np.zeros((8, 1)), expected)


def test_clips_that_are_wrong_do_not_raise_the_noise():
    reference = np.zeros((9, CLASSES))
    logits = reference + 0.25
    logits[:4] = 100.0
    assert verify.noise_of(logits, reference) == 0.25
