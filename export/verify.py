"""Every exported file is compared with the trained network in the runtime that will serve it,
before anything is reported."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import onnx

from export.quantize import saturation
from export.runtimes import Predict
from teachers import cpu
from teachers.errors import ExportMismatch

BATCH = 16  # Paddle Inference keeps every intermediate result of a batch
CLOSE = {
    "clear_agreement": 0.95,
    "snr_db": 20.0,
}  # at least, of a file with eight-bit activations: a tie rounded the other way spreads
# Answers whose two classes are closer than so many times the noise of a logit are a tie: the
# difference of two noisy logits has a deviation of 1.4 times theirs, and twice that is usual.
TIE = 3.0
EQUAL = 300.0  # dB: what equal logits count as
TOLERANCE = 1e-5  # largest logit difference, relative to the largest logit, of a float32 file


def difference(logits: np.ndarray, reference: np.ndarray) -> dict[str, float]:
    """How far logits (n, K) are from the trained network's: top-1 agreement (0..1), largest
    absolute difference, and that divided by the largest reference logit."""
    logits, reference = logits.astype("float64"), reference.astype("float64")
    # NaN compares false with every limit, and would pass as close
    largest = float(np.abs(logits - reference).max()) if np.isfinite(logits).all() else float("inf")
    return {
        "agreement": float((logits.argmax(1) == reference.argmax(1)).mean()),
        "max_abs_diff": largest,
        "max_rel_diff": largest / max(float(np.abs(reference).max()), 1e-12),
    }


def clear_agreement(logits: np.ndarray, reference: np.ndarray, noise: float) -> float:
    """The fraction (0..1) of clips with the reference's answer, or with one that it hardly ranks
    below its own: both (n, K), `noise` of a logit."""
    clip = np.arange(len(reference))
    margins = reference.max(1) - reference[clip, logits.argmax(1)]
    return float((margins <= TIE * noise).mean())


def noise_of(logits: np.ndarray, reference: np.ndarray) -> float:
    """How far a logit of an ordinary clip is from the reference's, both (n, K): the root of the mean
    square of each clip, and of these the median."""
    # The median: clips that a file computes wrongly must not raise the noise that would excuse
    # them. NaN is no noise, and excuses nothing.
    each = np.sqrt(_squared(logits - reference).mean(1))
    return float(np.median(each)) if np.isfinite(logits).all() else 0.0


def require_same(
    file: Path, predict: Predict, clips: np.ndarray, reference: np.ndarray
) -> dict[str, float]:
    """Compare a file's logits on `clips` (n, C, T, V, M), in batches of 1 and of BATCH, with the
    trained network's (n, K).

    Returns:
        what `difference` gives, and `clear_agreement`, which leaves ties within the rounding noise
        out.
    Raises:
        ExportMismatch: names the file and how far off it is.
    """
    logits = run(file, predict, clips)
    noise = noise_of(logits, reference)
    together = _compared(logits, reference, noise)
    # Batch 1 as it is served: fusions depend on shapes, and an error of one size hides at another.
    # By the noise of all clips: that of one clip would excuse whatever this clip gets wrong.
    alone = _compared(run(file, predict, clips[:1]), reference[:1], noise)
    worst = {key: (min if "agreement" in key else max)(together[key], alone[key]) for key in alone}
    if worst["clear_agreement"] < 1.0 or not worst["max_rel_diff"] <= TOLERANCE:
        raise ExportMismatch(
            f"{file}: disagrees with the trained network on {len(clips)} clips: top-1 agreement"
            f" {100 * worst['clear_agreement']:.2f}% but for ties (needed 100%), relative difference"
            f" {worst['max_rel_diff']:.2e} (allowed {TOLERANCE:.0e}); do not deploy it"
        )
    return worst


def require_close(
    file: Path,
    predict: Predict,
    clips: np.ndarray,
    simulated: np.ndarray,
    exact: Predict | None = None,
) -> dict[str, float]:
    """Compare a file that computes in eight bits with the simulated logits (n, K) of that rounding.

    Args:
        predict: the file as it is served.
        exact: the same file without graph optimisations (`export.runtimes.onnx_runtime`). Q/DQ
            pairs are then computed in float32, which no CPU does wrongly; ONNX Runtime's own
            operators on integers have no other form, and are held right by the pair rule.
    Returns:
        what `difference` gives, `clear_agreement` and `snr_db`; with `exact` also `exact_snr_db`,
        its own.
    Raises:
        ExportMismatch: in one way to run it fewer than CLOSE["clear_agreement"] of the clips agree
            in top-1 or are ties within the noise, or the logits have more noise than
            CLOSE["snr_db"]; names the CPU where its kernels are the likely cause.
    """
    found = closeness(run(file, predict, clips), simulated)
    # Both, before either is judged: which of them is off tells whose fault it is
    alike = None if exact is None else closeness(run(file, exact, clips), simulated)
    if not is_close(found):
        cause = ""
        if alike is not None:
            cause = _cause(file, alike["snr_db"]) if is_close(alike) else _broken_pairs(file)
        raise ExportMismatch(_too_far(file, len(clips), found) + cause)
    if alike is None:
        return found
    if not is_close(alike):
        raise ExportMismatch(
            f"{_too_far(file, len(clips), alike)}. This is without graph "
            "optimisations, as other CPUs may compute it"
        )
    return found | {"exact_snr_db": alike["snr_db"]}


def closeness(logits: np.ndarray, simulated: np.ndarray) -> dict[str, float]:
    """What `difference` gives of logits (n, K), `clear_agreement`, and the signal to noise `snr_db`."""
    signal, noise = (float(_squared(one).sum()) for one in (simulated, logits - simulated))
    if noise == 0:
        # Equal logits, be they zeros: a number for JSON, and more than float32 can have
        snr = EQUAL
    elif signal == 0 or not math.isfinite(noise):
        snr = -math.inf
    else:
        snr = 10 * math.log10(signal / noise)
    return _compared(logits, simulated, noise_of(logits, simulated)) | {"snr_db": snr}


def _squared(values: np.ndarray) -> np.ndarray:
    """In float64: the square of a float32 number is infinite from 1.8e19 on, and then no noise is too
    much."""
    return np.square(values.astype("float64"))


def _compared(logits: np.ndarray, reference: np.ndarray, noise: float) -> dict[str, float]:
    agreed = clear_agreement(logits, reference, noise)
    return difference(logits, reference) | {"clear_agreement": agreed}


def is_close(found: dict[str, float]) -> bool:
    """Whether `closeness` is within CLOSE."""
    return all(found[key] >= least for key, least in CLOSE.items())


def _too_far(file: Path, clips: int, found: dict[str, float]) -> str:
    return (
        f"{file}: does not compute what was simulated for {clips} clips: "
        f"top-1 agreement {100 * found['clear_agreement']:.2f}% but for ties, "
        f"signal to noise {found['snr_db']:.1f} dB (needed {100 * CLOSE['clear_agreement']:g}% and "
        f"{CLOSE['snr_db']:g} dB); do not deploy it"
    )


def _cause(file: Path, snr_db: float) -> str:
    """Why a file is wrong as it is served and right, at `snr_db`, without graph optimisations."""
    found = cpu.read()
    said = (
        f". Without graph optimisations it is right ({snr_db:.1f} dB): the likely cause is the "
        f"integer kernels for this CPU, {found}"
    )
    # Only CPUs that add in 16 bits can be blamed for it
    if found.saturates:
        said += "; without VNNI they add two products in 16 bits, and saturate"
    return said + _broken_pairs(file)


def _broken_pairs(file: Path) -> str:
    """What breaks the pair rule, if anything does."""
    try:
        graph = onnx.load(file).graph
    # The file has run, and what explains a fault must not take the fault's place.
    except OSError:
        return ""
    broken = [name for name, _ in saturation.broken(graph)]
    if not broken:
        return ""
    return (
        f"; {len(broken)} weights break the pair rule ({', '.join(broken[:3])}): "
        "export the file again"
    )


def run(file: Path, predict: Predict, clips: np.ndarray) -> np.ndarray:
    """Logits (n, K) of clips in batches of BATCH."""
    try:
        return np.concatenate(
            [predict(clips[start : start + BATCH]) for start in range(0, len(clips), BATCH)]
        )
    # What `export.runtimes` loaded names its file already.
    except ExportMismatch:
        raise
    except Exception as error:  # each runtime raises its own kinds
        raise ExportMismatch(
            f"{file}: its runtime cannot run it on input {clips.shape} ({str(error).strip()[:200]})"
        ) from error
