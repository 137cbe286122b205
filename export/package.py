"""A trained network -> a deployed folder: the formats asked for, each verified in its runtime, and
`deployed.json`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from paddle import nn

from export import deployed, runtimes, verify
from export.deployed.record import Placed
from export.flat.flatten import flatten
from export.formats import table
from export.formats.options import USUAL, Options
from export.formats.profiles import PROFILES
from export.quantize.quantized import Quantized
from teachers import storage
from teachers.errors import CheckpointError, ExportMismatch
from teachers.weights import pir_files


def build(
    network: nn.Layer,
    folder: Path,
    formats: tuple[str, ...],
    about: dict,
    clips: np.ndarray,
    reference: np.ndarray,
    quantized: Quantized | None = None,
    options: Options = USUAL,
) -> dict[str, dict[str, float]]:
    """Export, then compare on `clips` (n, C, T, V, M) with the trained network's logits `reference`
    (n, K).

    A quantised file is compared with the same network rounded alike in Paddle instead: exactly like
    a float file where only weights are rounded, by `verify.require_close` where activations are,
    too.

    Args:
        folder: may hold other files; those of an earlier export are removed (`replaced`).
        about: what the network was trained on, for `export.deployed.describe`.
    Returns:
        per format, the differences of `export.verify.difference`.
    Raises:
        ExportMismatch: a file does not compute what the network computes, or that is not finite;
            nothing is left that looks deployable.
        StorageError: a file cannot be written.
    """
    _require_finite(reference)
    storage.make_folder(folder)
    with storage.staging(folder) as unfinished:
        description = save(network, unfinished, formats, about, quantized, options)
        # Not before: an option that is refused must not cost a folder that is in use.
        for stale in replaced(folder, formats):
            try:
                stale.unlink(missing_ok=True)
            except OSError as error:
                raise storage.failure(stale, error) from error
        for group in description.files.values():
            for name in group:
                storage.deliver(unfinished / name, folder)
        rounding = _for_place(quantized, options)
        differences = compare(network, folder, description, clips, reference, rounding)
        # Last: a folder without it is not one that anybody would deploy
        storage.deliver(deployed.write(unfinished, description, models=folder), folder)
    return differences


def _require_finite(reference: np.ndarray) -> None:
    # First: whatever is compared with them afterwards would be blamed for it.
    broken = np.count_nonzero(~np.isfinite(reference).all(1))
    if broken:
        raise ExportMismatch(
            f"the trained network's own logits are not finite on {broken} of {len(reference)} clips,"
            " so no file can be compared with them: its weights, or coordinates of these clips, are"
            " too large for float32; give an earlier checkpoint, or other clips"
        )


def names(formats: Sequence[str]) -> set[str]:
    """What an export into these formats writes."""
    return {deployed.NAME, *(name for kind in formats for name in table.files(kind))}


def replaced(folder: Path, formats: Sequence[str]) -> list[Path]:
    """What an export into a folder writes over or removes, of what lies there: files of any format
    that an earlier export has left, and nothing else, for the folder may be anybody's."""
    written = names(formats)
    found = []
    for name in sorted({*written, *table.all_files(), *_described(folder)}):
        path = folder / name
        # A name that many programs use: only a program of Paddle 3 is an export's.
        foreign = path.suffix == ".json" and not pir_files.is_program(path)
        if os.path.lexists(path) and (name in written or not foreign):
            found.append(path)
    return found


def _described(folder: Path) -> list[str]:
    """The models that the description in a folder names; [] without a valid one."""
    try:
        files = deployed.described(folder).files
    except CheckpointError:
        return []
    models = [name for group in files.values() for name in group]
    # It may be a stranger's, and name what is no model.
    return [name for name in models if Path(name).suffix in table.model_suffixes()]


def save(
    network: nn.Layer,
    folder: Path,
    formats: tuple[str, ...],
    about: dict,
    quantized: Quantized | None = None,
    options: Options = USUAL,
) -> deployed.Description:
    """Write the files of `build` into a folder, without running them; their description is only
    returned.

    Raises:
        StorageError: a file cannot be written.
    """
    quantized = _for_place(quantized, options)
    plan = None if quantized is None else quantized.plan
    files = {}
    requires = {}
    precision = None if quantized is None else quantized.kinds()
    for kind in formats:
        rounds = table.load(kind).ROUNDS_ACTIVATIONS
        flat = (
            flatten(network) if quantized is None else quantized.flat(network, activations=rounds)
        )
        paths = table.load(kind).save(flat, network.spec, folder, plan, options)
        requires[kind] = table.load(kind).needs(paths, options)
        files[kind] = [path.name for path in paths]
    placed = _placed(formats, network, options)
    return deployed.describe(network.spec, about, files, precision, requires, placed)


def _for_place(quantized: Quantized | None, options: Options) -> Quantized | None:
    """The rounding as the place that the files go to takes it."""
    if quantized is None or not options.place.symmetric:
        return quantized
    return quantized.symmetric()


def _placed(formats: tuple[str, ...], network: nn.Layer, options: Options) -> Placed:
    """Where the files go to, and what those take that do not take any (N, C, T, V, M)."""
    shapes = {kind: options.input_shape(kind, network.spec.input_shape) for kind in formats}
    return Placed(
        options.profile, {kind: shape for kind, shape in shapes.items() if shape is not None}
    )


def compare(
    network: nn.Layer,
    folder: Path,
    description: deployed.Description,
    clips: np.ndarray,
    reference: np.ndarray,
    quantized: Quantized | None = None,
) -> dict[str, dict[str, float]]:
    """Compare the files of a folder with the network they came from, as `build` does.

    Args:
        description: of the folder; `deployed.read` once it is written.
    Raises:
        ExportMismatch: a file does not compute what the network computes.
    """
    if quantized is not None and PROFILES[description.profile].symmetric:
        quantized = quantized.symmetric()
    plan = None if quantized is None else quantized.plan
    differences = {}
    for kind, predict in deployed.predictors(folder, description).items():
        paths = [folder / name for name in description.files[kind]]
        rounds = table.load(kind).ROUNDS_ACTIVATIONS
        expected = reference
        if quantized is not None:
            # A rounded file cannot equal the trained network, so it is held to the same rounding
            # simulated in Paddle; what the rounding itself costs is the accuracy gate's business.
            simulated = quantized.simulated(network, activations=rounds)
            expected = verify.run(paths[0], runtimes.in_process(simulated), clips)
        if rounds and plan is not None and plan.ranges:
            exact = table.runtime(kind).load(paths, optimised=False)
            differences[kind] = verify.require_close(paths[0], predict, clips, expected, exact)
        else:
            differences[kind] = verify.require_same(paths[0], predict, clips, expected)
    return differences
