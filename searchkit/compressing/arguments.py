"""The arguments of :func:`searchkit.compress`, checked before any work."""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from inspect import signature
from pathlib import Path

from searchkit.api import run
from searchkit.compression.fingerprints import fingerprint_of
from searchkit.compression.given import unwrapped
from searchkit.errors import SearchkitError, StudyMismatchError, UnknownNameError
from searchkit.option_reading import read_options
from searchkit.option_values import check_seconds
from searchkit.problem.numbers import is_whole, shown
from searchkit.results.studies import read_study
from searchkit.storage.database import sqlite_path
from searchkit.storage.paths import (
    FOLDER,
    StorageLike,
    cannot_open,
    check_place,
    check_storage,
    is_file,
    networks_folder,
)
from searchkit.storage.places import check_new_name
from searchkit.storage.urls import is_url
from searchkit.surroundings import settled


def check_arguments(**named: object) -> None:
    """Check arguments of :func:`searchkit.run` as it does, and do nothing.

    Raises:
        SearchkitError: as :func:`searchkit.run`.
    """
    bound = signature(run).bind(**named)
    bound.apply_defaults()
    read_options(**bound.arguments)


def epochs_of(epochs: int | None, seconds: float | None) -> int:
    """Of fine-tuning; 1 where seconds say how long it is."""
    if epochs is not None and seconds is not None:
        raise SearchkitError("epochs and seconds both say how long the fine-tuning is: leave one of them out")
    check_seconds("seconds", seconds)
    if seconds is not None:
        return 1
    if epochs is not None and (not is_whole(epochs) or epochs < 0):
        raise SearchkitError(f"epochs is a whole number of at least 0, not {shown(epochs)}")
    return 2 if epochs is None else int(epochs)


def folder_of(storage: StorageLike) -> Path | None:
    """Where what was learned and measured is kept; None: in memory. It is not made, but can be.

    Raises:
        StorageError: it cannot be made.
    """
    if isinstance(storage, str) and storage == "memory":
        return None
    folder = networks_folder(storage, "blocks")
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_open(storage, error) from error
    for path in missing:  # nothing is left where the work does not begin
        with contextlib.suppress(OSError):
            path.rmdir()
    return folder


def check_study(storage: StorageLike, name: str | None, model: object, costs: Collection[str]) -> None:
    """Refuse, before any work, a place where nothing can be kept, and a name that another study has.

    Raises:
        StorageError: the storage cannot be used or written.
        StudyMismatchError: the study of that name has another network, or other costs.
    """
    check_storage(storage)
    if name is None or storage == "memory":
        return
    check_place(storage, check_new_name(name))
    file = settled(storage or FOLDER) if is_file(storage) else sqlite_path(storage) if is_url(storage) else None
    if file is not None and not file.exists():
        return
    try:
        found = read_study(name, storage)
    except UnknownNameError:
        return
    theirs = [metric for metric in found.goals.metrics if metric != "accuracy"]
    if found.header["search"]["space"].get("options", {}).get("model") != fingerprint_of(unwrapped(model)):
        raise StudyMismatchError(f"study '{name}' is of another network or space: give another name")
    if {*theirs} != {*costs}:
        said, wanted = (" and ".join(names) for names in (theirs, costs))
        raise StudyMismatchError(f"study '{name}' has bounds on {said}, not on {wanted}: give another name")
