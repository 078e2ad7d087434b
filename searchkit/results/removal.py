"""Removing a recorded study: its record, its networks, and its picture."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import optuna

from searchkit.errors import UnknownNameError
from searchkit.results.found_studies import found_studies
from searchkit.storage.locks import claim_study
from searchkit.storage.optuna_compat import quiet
from searchkit.storage.paths import FOLDER, StorageLike, is_file, journal_path, networks_folder
from searchkit.storage.urls import shown


@dataclass(frozen=True)
class Belongings:
    """What a study has on disk.

    Attributes:
        name: of the study; ``place``: of its record, a file or database.
        candidates: on record.
        alone: whether its file holds no other study, so that the file can be removed.
        files: its networks' folder, picture and note of what is at work, those that exist.
    """

    name: str
    place: str
    candidates: int
    alone: bool
    files: tuple[Path, ...]

    @property
    def size(self) -> int:
        """Bytes of its files, without the record."""
        inside = (file for path in self.files for file in ([path] if path.is_file() else path.rglob("*")))
        return sum(file.stat().st_size for file in inside if file.is_file())


def belongings_of(name: str, storage: StorageLike = None) -> Belongings:
    """What :func:`remove` would remove.

    Raises:
        UnknownNameError: there is no study of that name; the message lists those that exist.
        StorageError: its record cannot be read.
    """
    with found_studies(storage, name) as (known, unreadable):
        if name not in known:
            if name in unreadable:
                raise unreadable[name]
            raise UnknownNameError.of(f"study in {shown(storage or FOLDER)}", name, known)
        study = known[name]
        place, candidates = study.place, len(study.trials())
        others = [other for other, found in known.items() if other != name and found.place == place]
    folder = networks_folder(storage, name)
    beside = [folder, folder.with_suffix(".png"), folder.with_suffix(".at-work")]
    alone = is_file(storage) and not others and Path(place).suffix in (".journal", ".log")
    return Belongings(
        name, place, candidates, alone, tuple(path for path in beside if path.exists() or path.is_symlink())
    )


def remove(name: str, storage: StorageLike = None) -> Sequence[Path]:
    """Remove a recorded study: its record, its trained networks and its picture. What was exported stays.

    Args:
        name: of the study.
        storage: its storage; see :func:`searchkit.run`.

    Returns:
        the files and folders that were removed; in a database the study's rows are removed as well.

    Raises:
        UnknownNameError: there is no study of that name.
        StorageError: a search is writing it now, or it cannot be removed.
    """
    there = belongings_of(name, storage)
    # a folder's study may stand in a file of another name
    where = Path(there.place) if there.alone or (is_file(storage) and Path(there.place).is_file()) else storage
    claim = claim_study(where, name)
    removed = []
    try:
        for path in there.files:  # the record last: what was interrupted can be asked for again
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()  # a link, and not its end
            removed.append(path)
        if there.alone:
            Path(there.place).unlink()
            removed.append(Path(there.place))
        else:
            with quiet(), claim.together():
                optuna.delete_study(study_name=name, storage=claim.storage)
    finally:
        claim.release()
    if there.alone:
        with contextlib.suppress(OSError):
            file = journal_path(Path(there.place), name).resolve()
            file.with_name(f".{file.name}.driver").unlink()
    return removed
