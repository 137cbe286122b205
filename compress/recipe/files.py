"""Which file the name of a recipe means, and the tree of values in it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from compress.recipe.types import ROOT
from compress.schema.strict import entries_of
from compress.schema.yaml_tree import Value, parse
from teachers.errors import RecipeError, did_you_mean

# Installed, the recipes lie inside the package (setup.py). That place is asked first, for beside an
# installed package, in site-packages, a folder "configs" would be somebody else's.
INSTALLED = ROOT / "compress" / "configs"
CONFIGS = INSTALLED if INSTALLED.is_dir() else ROOT / "configs"
# Recipes of the project have about 1 KB; a file so much larger was given by mistake
MAX_BYTES = 64 * 1024


@dataclass(frozen=True)
class File:
    """A recipe's file, read.

    Attributes:
        shown: how errors call it.
        tree: a mapping of its sections.
    """

    path: Path
    shown: str
    text: str
    tree: Value


def read(name_or_path: str, beside: File | None = None) -> File:
    """The recipe `configs/<name>.yaml`, or the file at a path (with a folder or an ending .yaml or
    .yml).

    Args:
        beside: the file that a relative path counts from; None: the working folder.

    Raises:
        RecipeError: no such recipe, or a file that is none.
    """
    path, shown = _find(name_or_path, beside)
    text = _text(path, shown)
    tree = parse(text, lambda line: f"{shown}:{line}")
    if tree is None:
        raise RecipeError(f"{shown}: is empty (start from a recipe in configs/)")
    entries_of(tree, "")
    return File(path, shown, text, tree)


def names() -> list[str]:
    """Every recipe of configs/, sorted."""
    return sorted(file.stem for file in CONFIGS.glob("*.yaml"))


def _find(name_or_path: str, beside: File | None) -> tuple[Path, str]:
    """(file, how errors call it)."""
    known = names()
    path = Path(name_or_path)
    # A bare word is always a name: a file called so in the working folder must not hide a recipe.
    if path.suffix in (".yaml", ".yml") or len(path.parts) > 1:
        shown = name_or_path
        if beside is not None:
            path = beside.path.parent / path
            # As seen from where the person is, without a "sub/../" in the middle
            shown = os.path.normpath(Path(beside.shown).parent / name_or_path)
        if not path.is_file():
            fix = ""
            if path.stem in known:
                fix = f"; the recipe {path.stem!r} is chosen by its name, without folder and ending"
            raise RecipeError(f"{shown}: no such file{fix}")
        return path.resolve(), shown
    if name_or_path not in known:
        raise RecipeError(
            f"unknown recipe {name_or_path!r}{did_you_mean(name_or_path, known, always_list=True)}"
        )
    return CONFIGS / f"{name_or_path}.yaml", f"{name_or_path}.yaml"


def _text(path: Path, shown: str) -> str:
    try:
        # Bytes, not text, so that the line of a character that is not UTF-8 can be counted.
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as problem:
        raise RecipeError(f"{shown}: cannot be read: {problem.strerror}") from None
    if len(content) > MAX_BYTES:
        raise RecipeError(
            f"{shown}: is {path.stat().st_size} bytes, a recipe has at most {MAX_BYTES}"
        )
    try:
        # Windows editors put a byte order mark in front
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = content.count(b"\n", 0, problem.start) + 1
        raise RecipeError(f"{shown}:{line}: is not UTF-8 text (save the file as UTF-8)") from None
