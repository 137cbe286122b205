"""What pip's script `featherbone` calls: the command, or what to install where even its words cannot
be printed."""

from __future__ import annotations

import json
import sys

from teachers.terminal import missing


def main() -> int:
    """Returns the exit code of `compress.cli.main`; 1 where a package is missing."""
    try:
        # Late: it prints with rich, which the base installation does not have.
        from compress import cli
    except ModuleNotFoundError as error:
        message = missing.advice(error)
        if not message:
            raise
        print(f"error: {message}", file=sys.stderr)
        print(json.dumps({"status": "failed", "exit_code": 1, "error": message}))
        return 1
    return cli.main()
