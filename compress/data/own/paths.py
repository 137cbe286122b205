"""The files of a folder of own clips: which one a line of `labels.csv` means.

No line leads out of the folder, by an absolute path, `..` or a link: a folder that somebody else
made must not read what is outside it. Where links may lead, as those of DVC and of hub caches do,
is for the recipe to say.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath, PureWindowsPath

from compress.data.clutter import is_clutter
from compress.data.poses import KINDS, frame_files
from teachers.errors import DataError

LABELS = "labels.csv"


class Folder:
    """A folder of own clips.

    Attributes:
        root: its path.
        recased: (as written, as it is called) of files that were found under a name of other letter
            case.
    """

    def __init__(self, root: Path, link_root: Path | None = None):
        """
        Args:
            link_root: a folder outside that links may lead into.
        Raises:
            DataError: it is no folder.
        """
        if link_root is not None and not link_root.is_dir():
            raise DataError(
                f"{link_root}: no such folder; give data.link_root the folder that links lead into"
            )
        self.root = root
        self.recased: list[tuple[str, str]] = []
        self._resolved = root.resolve()
        self._link_root = None if link_root is None else link_root.resolve()
        # labels.csv itself is a .csv in the folder.
        self._named = {(root / LABELS).resolve()}
        self._names: dict[Path, dict[str, list[str]]] = {}

    def find(self, file: str, place: str) -> tuple[str, Path]:
        """(the clip's name, the file to open) for the path in a line of `labels.csv`.

        Raises:
            DataError: no such file in the folder, or no clip; `place`, the line, is named.
        """
        shown = repr(file[:200])
        # A labels.csv that was written on Windows is read too.
        pure = self._inside(PurePosixPath(file.replace("\\", "/")))
        if pure is None or not file or PureWindowsPath(file).drive:
            raise DataError(
                f"{place}: file {shown} is no path inside the folder; write it as seen from"
                f" {self.root}, without .."
            )
        path = self._existing(pure)
        folder = path is not None and path.is_dir()
        if pure.suffix.lower() not in KINDS and not folder:
            raise DataError(
                f"{place}: file {shown} is no kind of clip; known: {', '.join(KINDS)}, and folders"
                " with a .json a frame"
            )
        if path is None:
            raise DataError(
                f"{place}: file {shown} is not in {self.root}; copy it there, or remove the line"
            )
        target = path.resolve()
        # A clip's folder is read with all that is in it.
        frames = frame_files(path) if folder and self._allowed(target) else []
        if not all(map(self._allowed, [target, *(frame.resolve() for frame in frames)])):
            raise DataError(
                f"{place}: file {shown} leads out of the folder; copy the file into it, or name the"
                f" folder that links may lead into: -o data.link_root={target.parent}"
            )
        if folder and not frames:
            raise DataError(
                f"{place}: {shown} is a folder without a .json a frame and nothing else; name a clip"
            )
        if not folder and not target.is_file():
            raise DataError(f"{place}: {shown} is no file; remove the line")
        self._named.add(target)
        # Not the target: a cache calls files by their content, without a suffix.
        return pure.as_posix(), path

    def add_named(self, path: Path) -> None:
        """A file of the folder that is no clip."""
        self._named.add(path.resolve())

    def file_of(self, path: Path) -> Path:
        """What tells the file from others, for a path that `find` returned."""
        target = path.resolve()
        # A store of contents has one file for two equal clips: outside, two names are two clips.
        return target if target.is_relative_to(self._resolved) else path

    def unnamed(self) -> list[str]:
        """The files that could be clips, but that `find` was not asked for, and that are not
        hidden."""
        names = []
        for path in self.root.rglob("*"):
            name = path.relative_to(self.root)
            # A hidden folder is a tool's: DVC's cache, a version history.
            hidden = any(part.startswith(".") for part in name.parts) or is_clutter(name)
            if hidden or name.suffix.lower() not in KINDS or not path.is_file():
                continue
            # Frames of a clip's folder have no line of their own.
            if not self._named & {path.resolve(), path.parent.resolve()}:
                names.append(name.as_posix())
        return sorted(names)

    def _inside(self, pure: PurePosixPath) -> PurePosixPath | None:
        """The path as seen from the folder; None for one that leads out of it."""
        if ".." in pure.parts:
            return None
        if not pure.is_absolute():
            return pure
        for root in (self.root.absolute(), self._resolved):
            if pure.is_relative_to(root.as_posix()):
                return pure.relative_to(root.as_posix())
        return None

    def _allowed(self, target: Path) -> bool:
        if target.is_relative_to(self._resolved):
            return True
        return self._link_root is not None and target.is_relative_to(self._link_root)

    def _existing(self, pure: PurePosixPath) -> Path | None:
        """The path in the folder, perhaps of other letter case; None where there is nothing."""
        try:
            path = self.root / pure
            path.resolve(strict=True)
            return path
        # ValueError: a name with NUL; RuntimeError: links in a circle, before Python 3.13.
        except (OSError, ValueError, RuntimeError):
            pass
        return self._recased(pure)

    def _recased(self, pure: PurePosixPath) -> Path | None:
        """The one file whose path differs in letter case alone: a list made on Windows, where that
        is the same file."""
        path = self.root
        for part in pure.parts:
            names = self._names_in(path).get(part.casefold(), [])
            if len(names) != 1:
                return None
            path = path / names[0]
        if not path.exists():
            return None
        self.recased.append((pure.as_posix(), path.relative_to(self.root).as_posix()))
        return path

    def _names_in(self, folder: Path) -> dict[str, list[str]]:
        """{a name in small letters: names} of a folder, which is listed once."""
        if folder not in self._names:
            names: dict[str, list[str]] = {}
            # A link must not have folders outside listed.
            if folder.is_dir() and self._allowed(folder.resolve()):
                for path in folder.iterdir():
                    names.setdefault(path.name.casefold(), []).append(path.name)
            self._names[folder] = names
        return self._names[folder]
