"""What kind of file somebody gave as weights, by its content: people rename files, and a download that
failed is named like one that did not."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

from teachers import storage
from teachers.errors import CheckpointError, printable
from teachers.weights import torch_legacy

OURS = "this project's"
TORCH = "torch"
TORCH_BEFORE_1_6 = "torch before 1.6"
SAFETENSORS = "safetensors"
PADDLE = "Paddle"

# As `FILE: is ...; fix`. What these files hold is no weights, or none that say how they are laid out.
_STATE_DICT = "give the checkpoint it was made from, or save the network's state dict"
_UNPACK = "unpack it and give the weights file inside"
_HEADS = (
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself", "run git lfs pull"),
    (b"\x93NUMPY", "a NumPy array (.npy)", _STATE_DICT),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras writes them", _STATE_DICT),
    (b"\x1f\x8b", "packed with gzip", _UNPACK),
    (b"BZh", "packed with bzip2", _UNPACK),
    (b"\xfd7zXZ\x00", "packed with xz", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "packed with zstd", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (b"Rar!\x1a\x07", "a RAR archive", _UNPACK),
    (b"GGUF", "a GGUF file of a language model", "give weights of a skeleton network"),
    (b"\x89PNG", "a picture", "check the path of the weights"),
    (b"%PDF", "a PDF document", "check the path of the weights"),
    (b"\x7fELF", "a program", "check the path of the weights"),
)
# Of a model that a runtime executes: its graph is fixed, and its weights are fused or without names.
_MODEL = (
    "`featherbone accuracy` and `budget` take it as it is; to convert or train, give the checkpoint"
    " it was exported from"
)
# Bytes that are looked at: a page begins with spaces and comments at most.
HEAD = 512


def format_of(path: Path, data: bytes) -> str:
    """The format of a weights file, in words; it may still be damaged.

    Args:
        path: for messages.
        data: the file's content.
    Raises:
        CheckpointError: the file is of a kind that holds no weights that can be read; it is named.
    """
    if not data:
        raise _refused(path, "empty (0 bytes)", "copy or download it again")
    members = names(path, data)
    if members is not None:
        return _of_zip(path, members)
    head = data[:HEAD]
    # A zip has its directory at the end: what a broken download loses first.
    if head.startswith(b"PK"):
        raise CheckpointError(
            f"{path}: damaged or truncated (a zip without its directory); copy or download it again"
        )
    if torch_legacy.recognises(head):
        return TORCH_BEFORE_1_6
    if is_safetensors(head):
        return SAFETENSORS
    problem = _foreign(head)
    if problem is not None:
        raise _refused(path, *problem)
    return PADDLE


def is_safetensors(head: bytes) -> bool:
    """Whether a file that starts so is one of safetensors: the length of a JSON header, then the
    header."""
    # The library refuses headers beyond 100 MB, and so would any sane writer.
    return head[8:9] == b"{" and 0 < int.from_bytes(head[:8], "little") <= 100_000_000


def names(path: Path, data: bytes) -> list[str] | None:
    """What a zip file holds; None: it is no zip.

    Raises:
        CheckpointError: its directory is damaged.
    """
    try:
        source = io.BytesIO(data)
        if not zipfile.is_zipfile(source):
            return None
        with zipfile.ZipFile(source) as archive:
            return archive.namelist()
    # zipfile raises half a dozen kinds for a damaged directory.
    except Exception as error:
        raise CheckpointError(
            f"{path}: damaged or truncated ({type(error).__name__}: {error}); copy or download it"
            " again"
        ) from error


def _of_zip(path: Path, members: list[str]) -> str:
    if f"{storage.META}.npy" in members:
        return OURS
    # TorchScript has a data.pkl as well, of a module and not of a state dict.
    if any(name.endswith("/constants.pkl") or "/code/" in name for name in members):
        raise _refused(
            path,
            "a TorchScript program (torch.jit.save), not a checkpoint",
            "save its weights: torch.save(torch.jit.load(FILE).state_dict(), 'weights.pth')",
        )
    if any(name.endswith("/data.pkl") for name in members):
        return TORCH
    shown = ", ".join(name[:40] for name in members[:3]) or "nothing"
    if members and all(name.endswith(".npy") for name in members):
        raise _refused(
            path,
            f"a NumPy archive of arrays ({shown}) that does not say of which network",
            "give the checkpoint itself, or a weights/*.npz of a run",
        )
    raise _refused(
        path, f"a zip archive that holds no torch checkpoint (no data.pkl in it; {shown})", _UNPACK
    )


def _foreign(head: bytes) -> tuple[str, str] | None:
    """(what it is, the fix) of a file that is no pickle; None where it may be one."""
    for start, what, fix in _HEADS:
        if head.startswith(start):
            return what, fix
    if head[257:262] == b"ustar":
        return "a tar archive", _UNPACK
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html")):
        return (
            "an HTML page, as a download leaves that needs a login or another link",
            "open the link in a browser, or take the direct link to the file",
        )
    if text.startswith(b"<?xml"):
        return "an XML text, as a storage service answers", "check the link and download it again"
    if text.startswith((b'{"', b"{\n", b"{ ", b"[{")):
        return "a JSON text", _STATE_DICT
    return _model(head)


def _model(head: bytes) -> tuple[str, str] | None:
    # Protobuf: field 1 of ONNX is a small version number, then the producer's name or the graph.
    if head[:1] == b"\x08" and len(head) > 2 and head[1] < 64 and head[2:3] in (b"\x12", b":"):
        return "an ONNX model", _MODEL
    # Field 1 of Paddle's ProgramDesc is a block that begins with its number 0 and its parent's, -1.
    if head[:1] == b"\x0a" and b"\x08\x00\x10" in head[1:12]:
        return "a Paddle program (.pdmodel)", _MODEL
    # A tensor of a .pdiparams: versions and levels of detail, all 0, then a short description.
    if head[:16] == bytes(16) and 0 < int.from_bytes(head[16:20], "little") < 256:
        return "the parameters of a Paddle program (.pdiparams), without names", _MODEL
    if head[4:8] == b"TFL3":
        return "a TensorFlow Lite model", _MODEL
    return None


def _refused(path: Path, what: str, fix: str) -> CheckpointError:
    return CheckpointError(f"{path}: is {printable(what)}; {fix}")
