"""Clips that cannot be used, whatever the reader: all of them are named at once, or left out and
counted.

A set of a thousand recordings has a few that are damaged. To stop at the first and then at the next
costs a run for each.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from compress.data.data_report import counted, shortened
from compress.process.folders import user_cache
from teachers import storage
from teachers.errors import DataError, StorageError

# Lines of a message; the rest of a long list goes into a file.
SHOWN = 10
LONGEST_REASON = 100
KEY = "data.skip_bad"
T = TypeVar("T")


@dataclass(frozen=True)
class BadClip:
    """One clip that cannot be used: its name, what is wrong and how to mend it, its class where it
    is known, as it is written as long as classes have no numbers."""

    name: str
    problem: str
    label: int | str | None = None


class BadClips:
    """Collects the bad clips of a set while it is read; `check` refuses the set, or lets it pass
    without them."""

    def __init__(self, root: Path | str, skip: bool):
        """
        Args:
            root: the folder or file that is read; messages name it once.
            skip: whether bad clips are left out.
        """
        self._root = str(root)
        self._skip = skip
        self._bad: list[BadClip] = []

    def __len__(self) -> int:
        return len(self._bad)

    def attempt(self, name: str, read: Callable[[], T], label: int | str | None = None) -> T | None:
        """What `read` returns; None for a clip that it refuses, which is then a bad one."""
        try:
            return read()
        except DataError as error:
            self.add(name, str(error), label)
            return None

    def add(self, name: str, problem: str, label: int | str | None = None) -> None:
        """One more bad clip; `problem` is a whole message, with its place."""
        self._bad.append(BadClip(name, problem, label))

    def check(self, total: int) -> None:
        """Whether the set can be used.

        Args:
            total: clips of the set, bad ones included.
        Raises:
            DataError: bad clips that are not to be left out, or no clip beside them; all are named.
        """
        usable = total > len(self._bad)
        if not self._bad or (self._skip and usable):
            return
        # Two clips may have one problem: lines of one file.
        problems = list(dict.fromkeys(clip.problem for clip in self._bad))
        message = problems[0] if len(problems) == 1 else self._listed(problems, total)
        # No advice to leave out everything: then it is the description that does not fit.
        if usable:
            message += f"\nor leave {self._them()} out, counted: -o {KEY}=true"
        raise DataError(message)

    @property
    def skipped(self) -> tuple[tuple[str, str], ...]:
        """(name, problem) of every clip that is left out, for the report."""
        return tuple((clip.name, self._short(clip.problem)) for clip in self._bad)

    @property
    def labels(self) -> tuple[int, ...]:
        """The classes of bad clips, as far as they are known: a class may have no other clip."""
        return tuple(clip.label for clip in self._bad if isinstance(clip.label, int))

    @property
    def written_labels(self) -> tuple[str, ...]:
        """The classes of bad clips as they are written, of those that have no numbers yet."""
        return tuple(clip.label for clip in self._bad if isinstance(clip.label, str))

    def number_labels(self, numbers: Mapping[str, int]) -> None:
        """Give classes that are written their numbers; a label without one is of no class."""
        self._bad = [
            replace(clip, label=numbers.get(clip.label)) if isinstance(clip.label, str) else clip
            for clip in self._bad
        ]

    def notes(
        self, labels: Iterable[int], classes: Sequence[str], first: int = 0
    ) -> tuple[str, ...]:
        """What was left out, in words.

        Args:
            labels: of the clips that remain, from 0.
            first: what the labels of bad clips count from.
        """
        if not self._bad:
            return ()
        reasons = self._reasons()
        examples = shortened([clip.name for clip in self._bad])
        notes = [f"{counted(len(self._bad), 'clip')} skipped{because(reasons)}: {examples}"]
        lost = {label - first for label in self.labels} - set(labels)
        if lost:
            names = shortened([classes[label] for label in sorted(lost)])
            notes.append(f"{counted(len(lost), 'class')} without any clip after that: {names}")
        return tuple(notes)

    def _reasons(self) -> Counter[str]:
        """How many clips are bad for which reason, in the words of the first of each."""
        first: dict[str, str] = {}
        reasons: Counter[str] = Counter()
        for clip in self._bad:
            reason = _reason(self._short(clip.problem))
            reasons[first.setdefault(_alike(reason), reason)] += 1
        return reasons

    def _listed(self, problems: list[str], total: int) -> str:
        # Then it is what the set says of its clips that does not fit, and one line says it all.
        if len(self._bad) == total and len(self._reasons()) == 1:
            first = self._short(problems[0])
            return f"{self._root}: none of {counted(total, 'clip')} can be used; the first: {first}"
        lines = [f"  {self._short(problem)}" for problem in problems]
        message = f"{self._root}: {len(self._bad)} of {counted(total, 'clip')} cannot be used:\n"
        message += "\n".join(lines[:SHOWN])
        if len(lines) > SHOWN:
            message += f"\n  and {len(lines) - SHOWN} more{self._kept(lines)}"
        return message

    def _kept(self, lines: list[str]) -> str:
        """Where the whole list was written, in words."""
        # Among the user's files and not the recordings, which are often on a read-only drive. By
        # the set: the list of a second try replaces that of the first.
        name = hashlib.sha256(self._root.encode("utf-8", "replace")).hexdigest()[:16]
        try:
            folder = user_cache() / "bad-clips"
            storage.make_folder(folder)
            path = folder / f"{name}.txt"
            storage.write_text(path, "".join(f"{line.strip()}\n" for line in lines))
        # The message matters more than the list.
        except StorageError:
            return ""
        return f"; all are in {path}"

    def _short(self, problem: str) -> str:
        """The problem without the root."""
        if problem.startswith(f"{self._root}/"):
            return problem.removeprefix(f"{self._root}/")
        return problem.removeprefix(f"{self._root}: ")

    def _them(self) -> str:
        return "it" if len(self._bad) == 1 else "them"


def because(reasons: Mapping[str, int]) -> str:
    """` (3 truncated, 2 unreadable)`: why clips were skipped, the commonest reason first."""
    ordered = sorted(reasons.items(), key=lambda reason: (-reason[1], reason[0]))
    words = [f"{count} {reason}" for reason, count in ordered[:SHOWN]]
    return f" ({', '.join(words)})" if words else ""


def _reason(problem: str) -> str:
    """What is wrong, without the place before and the fix behind it: messages are "place: what is
    wrong; the fix"."""
    what = problem.split("; ")[0].split(", expected ")[0]
    return what.rsplit(": ", 1)[-1][:LONGEST_REASON]


def _alike(reason: str) -> str:
    """A reason without its names and numbers, so that clips can be counted by it."""
    return re.sub(r"'[^']*'|\d+", "", reason)
