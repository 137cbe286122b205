"""The cache folder follows the platform's convention, and FEATHERBONE_CACHE above all."""

from pathlib import Path

import pytest

from compress.process import folders
from teachers.errors import StorageError


@pytest.mark.parametrize(
    "platform, environment, expected",
    [
        ("linux", {}, "/home/a/.cache/featherbone"),
        ("linux", {"XDG_CACHE_HOME": "/scratch/c"}, "/scratch/c/featherbone"),
        ("linux", {"XDG_CACHE_HOME": "relative"}, "/home/a/.cache/featherbone"),
        ("linux", {"XDG_CACHE_HOME": "/c", "FEATHERBONE_CACHE": "/data/f"}, "/data/f"),
        ("linux", {"FEATHERBONE_CACHE": "~/f"}, "/home/a/f"),
        ("linux", {"FEATHERBONE_CACHE": ""}, "/home/a/.cache/featherbone"),
        ("darwin", {"XDG_CACHE_HOME": "/c"}, "/home/a/Library/Caches/featherbone"),
        ("win32", {}, "/home/a/AppData/Local/featherbone"),
    ],
)
def test_where_caches_lie(monkeypatch, platform, environment, expected):
    for name in ("XDG_CACHE_HOME", "FEATHERBONE_CACHE", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in (environment | {"HOME": "/home/a"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(folders.sys, "platform", platform)
    assert folders.user_cache() == Path(expected)


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("FEATHERBONE_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(folders.Path, "home", homeless)
    with pytest.raises(StorageError, match="set FEATHERBONE_CACHE=FOLDER"):
        folders.user_cache()
