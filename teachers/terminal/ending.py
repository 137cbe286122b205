"""How a command ends: an exit code, a message for a person on stderr, a line of JSON for a program
on stdout. Never a traceback for what a user can cause."""

from __future__ import annotations

import functools
import io
import json
import math
import os
import sys
import traceback
from collections.abc import Callable
from typing import ParamSpec

from teachers.errors import FeatherboneError, advice
from teachers.terminal import interrupt, missing
from teachers.terminal.output import keep

Arguments = ParamSpec("Arguments")
# What shells report for a process that SIGPIPE ended: 128 + 13.
BROKEN_PIPE = 141


def command(main: Callable[Arguments, int]) -> Callable[Arguments, int]:
    """A command's `main`, so that whatever stops it ends in a message, the last line, and an exit
    code."""

    @functools.wraps(main)
    def ended(*args: Arguments.args, **keywords: Arguments.kwargs) -> int:
        _replace_unprintable()
        with interrupt.listening():
            try:
                # One may have come while the command was loaded.
                interrupt.check()
                exit_code = main(*args, **keywords)
                # Here, not when Python ends: a full disk or a closed pipe is still an error here.
                _flush()
                return exit_code
            except FeatherboneError as error:
                return fail(str(error), error.exit_code)
            except KeyboardInterrupt as stopped:
                return fail("interrupted", interrupt.exit_code(stopped))
            except BrokenPipeError:
                # `featherbone ... | head`: what nobody reads is no failure to talk about.
                _close_output()
                return BROKEN_PIPE
            except OSError as error:
                return fail(_in_words(error), 1)
            except ModuleNotFoundError as error:
                advised = missing.advice(error)
                return fail(advised, 1) if advised else _mistake(error)
            except MemoryError:
                return fail("out of memory; close other programs or take a larger machine", 1)
            except Exception as error:  # noqa: BLE001 (the outermost place: nobody else would)
                return _mistake(error)

    return ended


def fail(message: str, exit_code: int, **more: object) -> int:
    """Say why the command ends, to a person and to a program; returns the exit code."""
    # Who presses Ctrl-C twice has seen no message yet.
    with interrupt.held():
        print(f"error: {message}", file=sys.stderr)
        keep(f"error: {message}")
        print_last_line(failure(message, exit_code) | more)
    return exit_code


def failure(message: str, exit_code: int) -> dict[str, object]:
    """The last line of a command that did not do what it was asked for."""
    status = "interrupted" if exit_code in interrupt.EXIT_CODES else "failed"
    return {"status": status, "exit_code": exit_code, "error": message}


def print_last_line(values: dict[str, object]) -> None:
    """Print one JSON object for a program; on a terminal a person reads, who asks for it with
    `--json`."""
    # Not from parsed arguments: they may be what was wrong.
    if sys.stdout is None or (sys.stdout.isatty() and "--json" not in sys.argv):
        return
    try:
        # In ASCII, as `json.dumps` writes it: every encoding has it.
        print(json.dumps(_finite(values)), flush=True)
    except OSError:
        # Nobody reads it or the disk is full, and the message on stderr has said what there is to
        # say.
        _close_output()


def _finite(value: object) -> object:
    """The value with None in place of NaN and infinity, which a stranger's model may answer with and
    JSON has not, though Python writes them."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _replace_unprintable() -> None:
    """Let characters that standard output cannot show become question marks, not errors.

    Chinese Windows writes GBK, a container without a locale ASCII; and under UTF-8, too, a file
    name of any bytes cannot be printed as it is.
    """
    # Standard error does so by itself. Whoever captures output may have put another object there.
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="replace")


def _in_words(error: OSError) -> str:
    """What the system refused, where, and what to do."""
    where = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
    fix = advice(error)
    return f"{where}{error.strerror or error}{'; ' if fix else ''}{fix}"


def _flush() -> None:
    # None where the shell closed it (`>&-`).
    if sys.stdout is not None:
        sys.stdout.flush()


def _close_output() -> None:
    """From now on nothing is printed on stdout, and nothing that was comes out."""
    # Else Python tries once more when it closes the stream, and complains.
    if isinstance(sys.stdout, io.TextIOWrapper):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _mistake(error: Exception) -> int:
    """Something that no check foresaw: whole, since only its traceback helps to mend it."""
    if interrupt.came():
        # Paddle turns a KeyboardInterrupt into errors of its own in places.
        return fail("interrupted", interrupt.exit_code())
    traceback.print_exception(error)
    return fail(f"{type(error).__name__}: {error} (a mistake in Featherbone)", 1)
