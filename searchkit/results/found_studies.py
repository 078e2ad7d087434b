"""The studies that are in a storage, opened for reading."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy.exc import SQLAlchemyError

from searchkit.errors import SearchkitError, StorageError
from searchkit.storage.header_check import check_header
from searchkit.storage.journal_reader import read_journal
from searchkit.storage.optuna_compat import quiet
from searchkit.storage.paths import FOLDER, StorageLike, cannot_open, is_file, journal_path, journals_in, open_storage
from searchkit.storage.patience import with_patience
from searchkit.storage.places import look_at
from searchkit.storage.recorded_study import RecordedStudy
from searchkit.storage.urls import is_url
from searchkit.surroundings import settled

log = logging.getLogger("searchkit")


def recorded_note(name: str, storage: StorageLike, key: str) -> Any:
    """What a study's record holds under a key (see :meth:`searchkit.storage.record.Record.note`), or None.

    Its trials are not read. None also where there is no such study, or the record is damaged: opening it says that.
    """
    attributes = _attributes(name, storage)
    return None if attributes is None else attributes.get(f"searchkit:{key}")


def recorded_header(name: str, storage: StorageLike) -> dict[str, Any] | None:
    """The header of a recorded study; None where there is none, or it is damaged: opening the record says that."""
    found: Any = (_attributes(name, storage) or {}).get("searchkit")
    try:
        check_header(name, str(storage), found)
    except StorageError:
        return None
    return dict(found)


def is_recorded(name: str, storage: StorageLike) -> bool:
    """Whether there is such a study, and its record can be read."""
    return _attributes(name, storage) is not None


def _attributes(name: str, storage: StorageLike) -> dict[str, Any] | None:
    """The header and the notes of a study; None where there is none, or it is damaged."""

    def read() -> dict[str, Any] | None:
        with contextlib.ExitStack() as stack:
            places = [storage] if not is_file(storage) else [journal_path(storage, name)]
            if isinstance(places[0], Path) and not places[0].is_file():
                return None
            study = _inside(places[0], stack).get(name)
            return None if study is None else study.attributes

    try:
        return with_patience(read, f"study '{name}'")
    except StorageError:
        return None


@contextlib.contextmanager
def found_studies(
    storage: StorageLike, name: str = ""
) -> Iterator[tuple[dict[str, RecordedStudy], dict[str, StorageError]]]:
    """Every searchkit study in a storage, by name; inside, they can be read. Also why files of a folder cannot be read.

    The files are by their name without ending, which is that of the study. Where several files have a study of one
    name, the file of that name counts; where a name is given and its file has the study, the others are not read.
    """
    one_of_many = False
    if not is_file(storage):
        places: list[Any] = [storage]
    else:
        path = settled(storage or FOLDER)
        look_at(path)
        one_of_many = path.is_dir()
        places = journals_in(path) if one_of_many else [path] if path.exists() else []
        if storage is not None and not path.exists():
            raise StorageError(f"storage '{storage}' does not exist")
        places.sort(key=lambda place: place.stem != name)
    found: dict[str, RecordedStudy] = {}
    unreadable: dict[str, StorageError] = {}
    with contextlib.ExitStack() as stack:
        for place in places:
            try:
                found |= {
                    study: there
                    for study, there in _inside(place, stack).items()
                    if not (one_of_many and study in found and Path(found[study].place).stem == study)
                }
            except StorageError as error:
                if not one_of_many:
                    raise
                unreadable[Path(str(place)).stem] = error
                log.warning("%s", error)  # one file that is no journal does not hide the others
            if one_of_many and Path(place).stem == name and name in found:
                break
        yield found, unreadable


def _inside(place: StorageLike, stack: contextlib.ExitStack) -> dict[str, RecordedStudy]:
    """The searchkit studies of one file or database, opened read-only; the stack closes it."""
    with quiet(), readable_in(place):
        if is_file(place):
            studies = read_journal(journal_path(place, ""))
        else:
            opened, _ = open_storage(place, "", write=False)
            if is_url(place) and isinstance(opened, RDBStorage):
                stack.callback(opened.engine.dispose)
            names = optuna.get_all_study_names(opened)
            studies = [RecordedStudy.of(optuna.load_study(study_name=n, storage=opened)) for n in names]
        return {study.name: study for study in studies if "searchkit" in study.attributes}


@contextlib.contextmanager
def readable_in(place: StorageLike) -> Iterator[None]:
    try:
        yield
    except SearchkitError:
        raise
    except (OSError, SQLAlchemyError, StorageInternalError) as error:
        raise cannot_open(place, error) from error
