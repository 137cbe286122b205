"""What every page looks like: the folder of the sheet that they all include."""

from __future__ import annotations

from pathlib import Path

# Of the report's templates, and of `style.css`, which other pages' templates include from here.
PAGE = Path(__file__).with_name("page")


def sheet() -> str:
    """The sheet's text, for a page that is no template."""
    return (PAGE / "style.css").read_text(encoding="utf-8")
