"""The deployed folders that are installed with the project, called by name: `zoo:NAME` wherever a
deployed folder is taken."""

from __future__ import annotations

from pathlib import Path

from teachers.errors import CheckpointError, did_you_mean

PREFIX = "zoo:"
# Beside the modules, so that it is there in a checkout and after installation alike.
ZOO = Path(__file__).resolve().parents[1] / "zoo"
DEPLOYED = "deploy"


def names() -> list[str]:
    """Every network of the zoo, sorted."""
    return sorted(path.parent.name for path in ZOO.glob(f"*/{DEPLOYED}"))


def place(target: str | Path) -> Path:
    """The folder or file that a text means: `zoo:NAME` a folder of the zoo, anything else a path.

    Raises:
        CheckpointError: no network of that name in the zoo; names those that are there.
    """
    text = str(target)
    if not text.startswith(PREFIX):
        return Path(target)
    name = text.removeprefix(PREFIX)
    known = names()
    # By the list alone: a name with a path in it must not lead out of the zoo.
    if name not in known:
        raise CheckpointError(
            f"{text}: no such network in the zoo{did_you_mean(name, known, always_list=True)}"
        )
    return ZOO / name / DEPLOYED


def holds(path: Path) -> bool:
    """Whether a folder is one of the zoo, which nobody changes in place."""
    return path.resolve().is_relative_to(ZOO)
