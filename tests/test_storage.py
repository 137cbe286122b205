"""What a killed process leaves behind is never among what ships, and is swept by the next one."""

import errno
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from teachers import storage
from teachers.errors import StorageError

ROOT = Path(__file__).resolve().parents[1]


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def writer(program, folder):
    """A process that has begun to write into `folder`, and goes on for ever."""
    code = f"import sys, time; from pathlib import Path; from teachers import storage\n{program}"
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "writing\n"
    return process


WRITERS = {
    "atomic": """
with storage.atomic(Path(sys.argv[1]) / "deploy" / "model.onnx") as temporary:
    temporary.write_bytes(b"half")
    print("writing", flush=True)
    time.sleep(60)
""",
    "staging": """
with storage.staging(Path(sys.argv[1]) / "deploy") as unfinished:
    (unfinished / "model.onnx").write_bytes(b"half")
    print("writing", flush=True)
    time.sleep(60)
""",
}


@pytest.mark.parametrize("kind", WRITERS)
def test_what_kill_leaves_is_swept_and_what_lives_is_not(tmp_path, kind):
    process = writer(WRITERS[kind], tmp_path)
    deploy = tmp_path / "deploy"
    begun = names(tmp_path)
    assert any(storage.UNFINISHED in name for name in begun)
    storage.sweep(deploy)
    storage.sweep(tmp_path)
    assert names(tmp_path) == begun
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert names(tmp_path) == begun
    # The next one who writes there sweeps by itself.
    with storage.staging(deploy) as unfinished:
        (unfinished / "model.onnx").write_bytes(b"whole")
        storage.deliver(unfinished / "model.onnx", deploy)
    assert names(tmp_path) == ["deploy", "deploy/model.onnx"]


def test_whoever_writes_beside_what_kill_left_sweeps_it(tmp_path):
    process = writer(WRITERS["atomic"], tmp_path)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    storage.write_text(tmp_path / "deploy" / "other.json", "{}")
    assert names(tmp_path) == ["deploy", "deploy/other.json"]


def test_what_is_half_written_for_a_folder_that_ships_lies_beside_it(tmp_path):
    process = writer(WRITERS["staging"], tmp_path)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert list((tmp_path / "deploy").iterdir()) == []


def test_what_was_killed_before_it_had_a_lock_is_swept(tmp_path):
    (tmp_path / f"{storage.UNFINISHED}folder").mkdir()
    (tmp_path / f"{storage.UNFINISHED}file").touch()
    kept = tmp_path / f"{storage.UNFINISHED}somebody's"
    kept.mkdir()
    (kept / "data").touch()
    storage.sweep(tmp_path)
    # A folder with something in it and no lock is none of ours.
    assert names(tmp_path) == [kept.name, f"{kept.name}/data"]


def test_a_name_as_long_as_the_file_system_allows_is_written(tmp_path):
    storage.write_text(tmp_path / ("x" * 255), "whole")
    assert names(tmp_path) == ["x" * 255]


def test_a_folder_whose_parent_is_not_ours_is_staged_inside(tmp_path, monkeypatch):
    deploy = tmp_path / "deploy"
    deploy.mkdir()
    # Of the parent alone; root may write anywhere, so permissions would not show it.
    monkeypatch.setattr(storage.os, "access", lambda path, mode: path != tmp_path)
    with storage.staging(deploy) as unfinished:
        assert unfinished.parent == deploy
    assert names(tmp_path) == ["deploy"]


@pytest.mark.parametrize(
    "number, advice",
    [
        (errno.ENOSPC, "free some space"),
        (errno.EROFS, "on a file system that is not read-only"),
        (errno.EACCES, "or mend its permissions"),
        (errno.ENAMETOOLONG, "choose a shorter name"),
        (errno.EIO, "choose another folder"),
    ],
)
def test_the_advice_fits_the_error(tmp_path, monkeypatch, number, advice):
    def fail(*_):
        raise OSError(number, "the system's words")

    monkeypatch.setattr(storage.os, "fsync", fail)
    with pytest.raises(StorageError) as raised:
        storage.write_text(tmp_path / "a.txt", "x")
    assert f"{tmp_path / 'a.txt'}: cannot write it (the system's words); " in str(raised.value)
    assert advice in str(raised.value)
    assert ("free some space" in str(raised.value)) == (number == errno.ENOSPC)
    assert names(tmp_path) == []
