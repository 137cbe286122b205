"""Zip archives of strangers (`.npz`, torch's checkpoints): what they unpack to is bounded before
anything is unpacked."""

from __future__ import annotations

import os
import zipfile

# How much larger than its packed bytes what is unpacked may be. Padded clips of one person among
# two pack to a tenth or a twentieth; deflate can pack a thousand to one.
MOST_RATIO = 50
# Bytes beyond the ratio: one-hot labels of 60,000 clips pack to next to nothing.
ALLOWANCE = 256_000_000
# Bytes of what is packed and so cannot be mapped, whatever the ratio.
MOST_BYTES = 32_000_000_000
MOST_MEMBERS = 100_000
LIMIT_VARIABLE = "FEATHERBONE_MAX_UNPACKED"


def check(members: list[zipfile.ZipInfo], size_bytes: int) -> None:
    """Refuses an archive whose members claim too much. zipfile itself never unpacks more than a
    member claims.

    Args:
        members: of which all or some are about to be read.
        size_bytes: of the whole archive.
    Raises:
        ValueError: they unpack to more than is allowed, lie over each other, or are encrypted; with
            the fix.
    """
    if len(members) > MOST_MEMBERS:
        raise ValueError(f"{len(members)} members, at most {MOST_MEMBERS} are read")
    packed = sum(info.compress_size for info in members)
    # Members that share bytes unpack them once each.
    if packed > size_bytes:
        raise ValueError("its members claim more bytes than the file has")
    loaded = sum(info.file_size for info in members if info.compress_type != zipfile.ZIP_STORED)
    _check_loaded(loaded, packed)
    stored = [info for info in members if info.compress_type == zipfile.ZIP_STORED]
    if any(info.file_size != info.compress_size for info in stored):
        raise ValueError("a member that is not packed claims another size than it has")


def _check_loaded(loaded: int, packed: int) -> None:
    chosen = os.environ.get(LIMIT_VARIABLE)
    most = min(packed * MOST_RATIO + ALLOWANCE, MOST_BYTES)
    if chosen is not None:
        if not chosen.isdigit():
            raise ValueError(f"{LIMIT_VARIABLE}={chosen!r} is no number of bytes; correct it")
        most = int(chosen)
    if loaded > most:
        raise ValueError(
            f"it unpacks to {loaded:,} bytes, {most:,} are allowed for {packed:,} packed ones; if it"
            f" is your own, save it with numpy.savez, which does not pack, or set"
            f" {LIMIT_VARIABLE}={loaded}"
        )
