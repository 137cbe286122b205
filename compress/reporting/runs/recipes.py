"""The effective recipes of several runs side by side, key by key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set as AbstractSet
from dataclasses import dataclass
from itertools import islice

from compress.reporting import wording
from compress.reporting.runs.reading import Run

# Of a run; a recipe has some two hundred.
MOST_KEYS = 1000
# Letters of a value; the longest of a recipe are lists of blocks.
LONGEST = 400
UNSET = "–"
ENABLED = ("enabled", True)


@dataclass(frozen=True)
class Key:
    """A key with its value in each run; `differs` says which are not the first run's."""

    name: str
    values: tuple[str, ...]
    differs: tuple[bool, ...]


@dataclass(frozen=True)
class Recipes:
    """Keys that differ, and those that are alike; `missing`: runs whose recipe was not kept."""

    heads: tuple[tuple[int, str], ...]
    differing: tuple[Key, ...]
    alike: tuple[Key, ...]
    missing: tuple[str, ...]


def recipes(runs: Sequence[Run]) -> Recipes | None:
    """The recipes of the runs that kept theirs; None: fewer than two did."""
    kept = []
    missing = []
    for place, run in enumerate(runs):
        provenance = run.report.provenance
        if provenance is not None and provenance.effective:
            kept.append((place, run, provenance.effective))
        else:
            missing.append(run.name)
    if len(kept) < 2:
        return None
    common = set.intersection(*(set(_steps(each)) for _, _, each in kept))
    flat = [dict(islice(_pairs("", each, common), MOST_KEYS)) for _, _, each in kept]
    differing: list[Key] = []
    alike: list[Key] = []
    for name in dict.fromkeys(key for values in flat for key in values):
        values = tuple(each.get(name, UNSET) for each in flat)
        key = Key(
            name,
            tuple(value if len(value) <= LONGEST else f"{value[:LONGEST]}…" for value in values),
            tuple(value != values[0] for value in values),
        )
        (differing if any(key.differs) else alike).append(key)
    heads = tuple((place + 1, run.name) for place, run, _ in kept)
    return Recipes(heads, tuple(differing), tuple(alike), tuple(missing))


def _pairs(prefix: str, value: object, common: AbstractSet[str]) -> Iterator[tuple[str, str]]:
    """Dotted keys with their values in words.

    Args:
        common: the steps that all recipes have. Another one's keys are one row together: there is
            nothing to hold them against.
    """
    if not isinstance(value, Mapping) or not value:
        yield prefix, _word(value)
        return
    for key, inner in value.items():
        if key == "steps" and not prefix and isinstance(inner, (list, tuple)):
            yield "steps", " → ".join(map(_kind, inner)) or UNSET
            for name, settings in _steps(value).items():
                if name in common:
                    yield from _pairs(name, settings, common)
                elif isinstance(settings, Mapping):
                    yield name, wording.settings(settings)
                else:
                    yield name, _word(settings)
        else:
            yield from _pairs(f"{prefix}.{key}" if prefix else str(key), inner, common)


def _steps(effective: Mapping[str, object]) -> dict[str, object]:
    """The steps by kind: one that only another recipe has must not move the numbers of all that
    follow."""
    found: dict[str, object] = {}
    steps = effective.get("steps")
    seen: dict[str, int] = {}
    for step in steps if isinstance(steps, (list, tuple)) else ():
        kind = _kind(step)
        seen[kind] = seen.get(kind, 0) + 1
        name = f"steps.{kind}" if seen[kind] == 1 else f"steps.{kind} (time {seen[kind]})"
        settings = step.get(kind, step) if isinstance(step, Mapping) else step
        if isinstance(settings, Mapping):
            # A step that is listed was enabled, unless it says otherwise.
            settings = {key: value for key, value in settings.items() if (key, value) != ENABLED}
        found[name] = settings
    return found


def _kind(step: object) -> str:
    return str(next(iter(step), "")) if isinstance(step, Mapping) else _word(step)


def _word(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        # Recipes write 1e-4, Python would print 0.0001 for it and 1.0 for a plain 1.
        return f"{value:g}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_word, value))}]"
    return str(value)
