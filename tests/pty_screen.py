"""A command on a pseudo-terminal, and the screen that its control codes draw.

The few codes that rich writes are understood; any other is an error, so that a test never reads a
screen that a real terminal would show differently.
"""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

# Parameters and final letter of a control sequence; colours (m) and modes (h, l) draw nothing.
CONTROL = re.compile(r"\x1b\[([?0-9;]*)([A-Za-z])")
# A link of OSC 8: its text stands between two of them.
LINK = re.compile(r"\x1b\]8;[^\x07\x1b]*(?:\x07|\x1b\\)")


@dataclass
class Screen:
    """What a terminal of `columns` shows, with everything that has scrolled away above it.

    Attributes:
        lines: from the first line ever written to the last.
        wrapped: lines that were too wide, as they stood when the terminal broke them.
    """

    columns: int
    lines: list[str] = field(default_factory=lambda: [""])
    wrapped: list[str] = field(default_factory=list)
    row: int = 0
    column: int = 0

    def feed(self, text: str) -> None:
        """Write `text`, control codes and all."""
        text = LINK.sub("", text)
        position = 0
        while position < len(text):
            control = CONTROL.match(text, position)
            if control:
                self._control(control[1], control[2])
                position = control.end()
                continue
            self._write(text[position])
            position += 1

    def _write(self, letter: str) -> None:
        if letter == "\r":
            self.column = 0
        elif letter == "\n":
            self._down(1)
        elif letter == "\x1b":
            raise ValueError("an escape sequence that this screen does not know")
        else:
            if self.column == self.columns:
                self.wrapped.append(self.lines[self.row] + letter)
                self._down(1)
                self.column = 0
            line = self.lines[self.row].ljust(self.column)
            self.lines[self.row] = line[: self.column] + letter + line[self.column + 1 :]
            self.column += 1

    def _down(self, count: int) -> None:
        self.row += count
        while len(self.lines) <= self.row:
            self.lines.append("")

    def _control(self, parameters: str, letter: str) -> None:
        if letter in "mhl":
            return
        number = int(parameters or 0)
        if letter == "A":
            self.row = max(0, self.row - max(number, 1))
        elif letter == "K" and number == 2:
            self.lines[self.row] = ""
        elif letter == "K" and number == 0:
            self.lines[self.row] = self.lines[self.row][: self.column]
        elif letter == "G":
            self.column = max(number, 1) - 1
        else:
            raise ValueError(f"a control sequence that this screen does not know: {letter!r}")

    @property
    def text(self) -> str:
        """The lines, without blanks at their ends."""
        return "\n".join(line.rstrip() for line in self.lines).strip("\n")


@dataclass(frozen=True)
class Ended:
    """A command that came to its end: exit code, raw output, and the screen it left."""

    code: int
    output: str
    screen: Screen


def run(
    command: Sequence[str],
    columns: int = 80,
    encoding: str = "utf-8",
    cwd: Path | None = None,
    env: dict[str, str] | None = None,
    timeout: float = 240,
) -> Ended:
    """Run a command with all three of its streams on a terminal of `columns` by 24.

    Raises:
        TimeoutError: it did not end in `timeout` seconds; it was killed.
    """
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    surroundings = os.environ | {"TERM": "xterm-256color", "PYTHONIOENCODING": encoding}
    # A test runner's own terminal must not decide the width.
    for name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR"):
        surroundings.pop(name, None)
    process = subprocess.Popen(
        command, cwd=cwd, stdin=its, stdout=its, stderr=its, env=surroundings | (env or {})
    )
    os.close(its)
    try:
        content = _all_of(ours, time.monotonic() + timeout)
    finally:
        if process.poll() is None and time.monotonic() > 0:
            pass
        os.close(ours)
    text = codecs.decode(content, encoding, "strict")
    screen = Screen(columns)
    screen.feed(text)
    return Ended(process.wait(timeout=30), text, screen)


def _all_of(terminal: int, until: float) -> bytes:
    content = b""
    while True:
        ready, _, _ = select.select([terminal], [], [], max(0.0, until - time.monotonic()))
        if not ready:
            raise TimeoutError(content[-2000:].decode("utf-8", "replace"))
        try:
            part = os.read(terminal, 65536)
        except OSError:
            # Linux ends a terminal whose last writer has gone with EIO.
            return content
        if not part:
            return content
        content += part
