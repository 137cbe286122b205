"""The log of a search: what happened, in order, on disk before anything follows from it.

What a search does next depends on its log alone, so that one that was killed decides as it would
have decided, and a step that was under way is done again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from teachers import storage
from teachers.errors import CheckpointError

NAME = "search.jsonl"
Event = dict[str, Any]


class Log:
    """Events of one search; a JSON object a line.

    Args:
        clock: seconds, from any start.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic):
        self._path = path
        self._clock = clock
        self.events = _read(path) if path.exists() else []
        # Time that the search was not running does not count.
        self._before = self.events[-1]["elapsed"] if self.events else 0.0
        self._started = clock()

    @property
    def elapsed(self) -> float:
        """Seconds of work until the last event."""
        return float(self.events[-1]["elapsed"]) if self.events else 0.0

    def now(self) -> float:
        """Seconds of work until now, of all attempts."""
        return self._before + self._clock() - self._started

    def add(self, kind: str, **values: Any) -> Event:
        """Note an event.

        Raises:
            StorageError: it cannot be written.
        """
        event = {"kind": kind, "elapsed": round(self.now(), 3), **values}
        self.events.append(event)
        lines = [json.dumps(each) for each in self.events]
        # Whole, so that no kill leaves half a line: a search has some hundred events.
        storage.write_text(self._path, "\n".join(lines) + "\n")
        return event

    def of(self, kind: str) -> list[Event]:
        """The events of a kind, in order."""
        return [event for event in self.events if event["kind"] == kind]


def _read(path: Path) -> list[Event]:
    try:
        events = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        for event in events:
            float(event["elapsed"]), str(event["kind"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{path}: is no log of a search ({error}); start anew with another --output"
        ) from None
    return events
