"""Files of strangers, read whole, within a limit."""

from __future__ import annotations

from pathlib import Path

from teachers.errors import DataError, FeatherboneError


def read_bytes(path: Path, largest: int, error: type[FeatherboneError] = DataError) -> bytes:
    """The bytes of a file of at most `largest`.

    Args:
        error: the class of FeatherboneError to raise.
    Raises:
        error: missing, unreadable, or larger.
    """
    try:
        # A pipe or a device would be read without end, or never answer.
        if not path.is_file():
            raise error(f"{path}: no such file; check the path")
        with path.open("rb") as file:
            # Python takes memory for as many bytes as it is asked for, so no more than there are;
            # one more tells a file that is still growing.
            data = file.read(min(path.stat().st_size, largest) + 1)
    except OSError as problem:
        raise error(
            f"{path}: cannot be read ({problem.strerror}); check its permissions or copy it again"
        ) from problem
    if len(data) > largest:
        raise error(
            f"{path}: is larger than {largest} bytes, the most that is read; split it, or remove"
            " what is not needed"
        )
    return data
