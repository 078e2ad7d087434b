"""Lists a folder of pictures, one folder for each class, and says what in it is no picture."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from searchkit.errors import DataError, plural

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pnm")
PARTS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
_SYSTEM = ("thumbs.db", "desktop.ini")  # of file browsers, and hidden files; nobody means them
_NAMED = 3  # files that a message names at most


@dataclass(frozen=True)
class Listing:
    """The pictures of a folder.

    Attributes:
        folder: whose pictures these are.
        parts: "train", and "val" and "test" where the folder has folders of these names: pairs of a file and its class,
            sorted by path. In a folder without parts all are of "train".
        others: files that are no pictures, or that lie in no class folder.
        empty: names of class folders without pictures.
    """

    folder: Path
    parts: dict[str, list[tuple[Path, str]]]
    others: list[Path]
    empty: list[str]

    @property
    def left_out(self) -> str:
        """What was left out, for a message; empty where nothing was."""
        said = []
        if self.others:
            said.append(f"{plural(len(self.others), 'other file')} ({self._named(self.others)})")
        if self.empty:
            said.append(f"{plural(len(self.empty), 'empty class folder')} ({', '.join(self.empty[:_NAMED])})")
        return " and ".join(said)

    def _named(self, files: list[Path]) -> str:
        named = ", ".join(str(path.relative_to(self.folder)) for path in files[:_NAMED])
        return named + ", ..." * (len(files) > _NAMED)


def list_folder(folder: Path) -> Listing:
    """The pictures of a folder of class folders, or of folders train, val and test that have class folders.

    Raises:
        DataError: it has no class folders with pictures, or cannot be read.
    """
    try:
        inside = folders_in(folder)
        named = {part: [one for one in inside if one.name.lower() in names] for part, names in PARTS.items()}
        in_parts = len(named["train"]) == 1 and sum(map(len, named.values())) == len(inside)
        in_parts = in_parts and bool(folders_in(named["train"][0]))
        _check_parts(folder, inside, named)
        roots = {part: found[0] for part, found in named.items() if found} if in_parts else {"train": folder}
        if in_parts and any(len(found) > 1 for found in named.values()):
            raise DataError(
                f"folder '{folder}' has two folders of one part: {', '.join(sorted(p.name for p in inside))}"
            )
        parts: dict[str, list[tuple[Path, str]]] = {}
        others = [] if roots == {"train": folder} else _files(folder)
        empty = []
        for part, root in roots.items():
            others += _files(root)
            parts[part] = []
            for of_class in folders_in(root):
                pictures, rest = _pictures(of_class)
                parts[part] += [(path, of_class.name) for path in pictures]
                others += rest
                if not pictures:
                    empty.append(str(of_class.relative_to(folder)))
    except OSError as error:
        raise DataError(f"folder '{folder}' cannot be read: {error}") from error
    if not parts["train"]:
        _refuse_without_pictures(folder, others, bool(inside))
    return Listing(folder, parts, sorted(others), empty)


def _check_parts(folder: Path, inside: list[Path], named: dict[str, list[Path]]) -> None:
    """Refuse parts beside a folder that is none, which would all be taken for classes."""
    parts = [found[0] for found in named.values() if found]
    others = [path for path in inside if path not in [one for found in named.values() for one in found]]
    if others and named["train"] and len(parts) > 1 and folders_in(named["train"][0]):
        raise DataError(
            f"folder '{folder}' has the parts {' and '.join(path.name for path in parts)}, and '{others[0].name}' is "
            "none: move it elsewhere"
        )


def _refuse_without_pictures(folder: Path, others: list[Path], has_folders: bool) -> None:
    wanted = f"give a folder with one folder for each class, of pictures ({', '.join(SUFFIXES[:4])}, ...)"
    if any(is_picture(path) for path in others):
        raise DataError(
            f"folder '{folder}' has pictures and no class folders: {wanted}; for labels from elsewhere give (X, y)"
        )
    has = "no pictures in its folders" if has_folders else "no folders"
    found = f"; it has {plural(len(others), 'file')}, such as {others[0].name}" if others else "; it is empty"
    raise DataError(f"folder '{folder}' has {has}{found if others or not has_folders else ''}: {wanted}")


def is_picture(path: Path) -> bool:
    """Whether its name says that it is a picture."""
    return path.suffix.lower() in SUFFIXES


def folders_in(folder: Path) -> list[Path]:
    """The folders in a folder, sorted, but for hidden ones."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith((".", "__MACOSX")))


def _files(folder: Path) -> list[Path]:
    return _meant(path for path in folder.iterdir() if not path.is_dir())


def _meant(paths: Iterable[Path]) -> list[Path]:
    return [path for path in paths if not path.name.startswith(".") and path.name.lower() not in _SYSTEM]


def _pictures(folder: Path) -> tuple[list[Path], list[Path]]:
    """Pictures, and other files, of a class folder and the folders in it."""
    found: list[Path] = []
    for root, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += _meant(Path(root) / name for name in files)
    return sorted(filter(is_picture, found)), [path for path in found if not is_picture(path)]


def pictures_in(folder: Path) -> list[Path]:
    """The pictures in a folder and the folders in it, sorted."""
    return _pictures(folder)[0]
