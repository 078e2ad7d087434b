"""Recorded studies: found, listed, and read as results."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy.exc import SQLAlchemyError

from searchkit import plugins
from searchkit.errors import SearchkitError, SpaceError, StorageError, StudyMismatchError, UnknownNameError
from searchkit.problem.objectives import Bound, Goals, Objective
from searchkit.problem.trial import State, Trial, pareto_front
from searchkit.results.result import Result
from searchkit.space import Choice, NetworkSpace, Space
from searchkit.storage.header import compare_headers, plain
from searchkit.storage.header_check import checked_header
from searchkit.storage.journal_reader import read_journal
from searchkit.storage.optuna_compat import quiet
from searchkit.storage.paths import FOLDER, SUFFIX, cannot_open, is_file, journal_path, networks_folder, open_storage
from searchkit.storage.patience import passes, with_patience
from searchkit.storage.places import look_at
from searchkit.storage.recorded_study import RecordedStudy
from searchkit.storage.recorded_trials import read_trials
from searchkit.storage.urls import is_url, shown
from searchkit.surroundings import settled

if TYPE_CHECKING:
    import pandas as pd


log = logging.getLogger("searchkit")


@dataclass(frozen=True)
class Study:
    """A recorded study; reading does not change it. ``place`` is its file or database, as text for messages."""

    name: str
    place: str
    header: dict[str, Any]
    space: Space
    goals: Goals
    trials: list[Trial]
    test_accuracy: dict[int, float]
    verified: dict[int, dict[str, Any]]
    trust: list[dict[str, Any]] | None

    @classmethod
    def read(cls, study: RecordedStudy, space: Space | None = None) -> Study:
        """From the record of a study that searchkit wrote.

        Raises:
            StudyMismatchError: it has a newer format, or the space given is not that of the study.
            StorageError: its header, a note or a trial is damaged; the message names the study and its place.
        """
        header = checked_header(study)
        header = header | {"context": header["context"] | (study.attributes.get("searchkit:latest") or {})}
        name, place = study.name, study.place
        try:
            space = space_of(header) if space is None else _same_space(name, space, header)
        except (SpaceError, TypeError, ValueError) as error:
            if isinstance(error, StudyMismatchError):
                raise
            raise StorageError(f"the space of study '{name}' in {place} is damaged: {error}") from error
        scores = study.attributes.get("searchkit:test_accuracy") or {}
        goals = goals_of(header)
        return cls(
            name,
            place,
            header,
            space,
            goals,
            read_trials(study, space, goals),
            {int(number): accuracy for number, accuracy in scores.items()},
            {int(number): entry for number, entry in (study.attributes.get("searchkit:verified") or {}).items()},
            study.attributes.get("searchkit:trust"),
        )


def load(name: str, storage: Any = None, *, space: Space | None = None) -> Result:
    """The result of a recorded study, finished or not.

    Args:
        name: of the study.
        storage: where it is; as for :func:`searchkit.run`.
        space: needed to build networks where the space was made in Python and not by name.

    Raises:
        UnknownNameError: no study of that name; it lists those there are.
        StudyMismatchError: the space given is not that of the study.
        StorageError: the record is damaged; the message names the study, its place and what is wrong.
    """
    study = read_study(name, storage, space)
    header = study.header
    kept = {"seed": header["search"].get("seed"), "version": header.get("version"), **header["context"]}
    kept["fingerprint"] = header["search"].get("data", {}).get("fingerprint")
    result = Result(
        study.space, study.goals, study.trials, name, "loaded from its record", kept,
        networks_folder(storage, name),
    )  # fmt: skip
    result.test_accuracy, result.verifications, result.trust = study.test_accuracy, study.verified, study.trust
    return result


def read_study(name: str, storage: Any = None, space: Space | None = None) -> Study:
    """A recorded study; see :func:`load`."""
    return with_patience(lambda: _read_study(name, storage, space), f"study '{name}'")


def _read_study(name: str, storage: Any, space: Space | None) -> Study:
    with _found(storage, name) as (known, unreadable):
        if name not in known:
            if name in unreadable:
                raise unreadable[name]
            raise UnknownNameError.of(f"study in {shown(storage or FOLDER)}", name, known)
        with _readable(storage):
            return Study.read(known[name], space)


def list_studies(storage: Any = None) -> pd.DataFrame:
    """One row per study: its name, candidates by state, size of the front, and the best of the first objective."""
    import pandas as pd

    def rows_of() -> list[dict[str, Any]]:
        with _found(storage) as (known, _):
            return [row for row in map(_row_or_say, known.values()) if row is not None]

    rows = with_patience(rows_of, f"the studies in {shown(storage or FOLDER)}")
    return pd.DataFrame(rows, columns=["study", "strategy", "candidates", "scored", "failed", "front", "best"])


def space_of(header: dict[str, Any]) -> Space:
    """The recorded space: the registered one where it is the same, else the recorded choices without networks."""
    recorded = header["search"]["space"]
    if "options" in recorded and recorded["name"] in plugins.names("space"):
        try:
            space = plugins.load_space(recorded["name"], **recorded["options"])
            if isinstance(space, NetworkSpace):
                space = space.for_data(recorded["input_shape"], recorded["n_classes"])
        except (SearchkitError, TypeError, ValueError):
            space = None
        if isinstance(space, NetworkSpace) and space.describe() == recorded:
            return space
    log.info("space '%s' was made in Python: give it to load(..., space=...) to build networks", recorded["name"])
    choices = [Choice(c["name"], c["options"], c["ordered"]) for c in recorded["choices"]]
    return Space(choices, name=recorded["name"])


def _same_space(name: str, space: Space, header: dict[str, Any]) -> Space:
    """The given space with the study's data shapes; refused where its choices differ."""
    recorded = header["search"]["space"]
    if isinstance(space, NetworkSpace) and "input_shape" in recorded:
        space = space.for_data(recorded["input_shape"], recorded["n_classes"])
    compare_headers(name, header, {"search": {"space": plain(space.describe())}})
    return space


def goals_of(header: dict[str, Any]) -> Goals:
    """The recorded objectives and bounds."""
    objectives = tuple(Objective(name, direction) for name, direction in header["search"]["objectives"].items())
    infinite = float("inf")
    bounds = tuple(
        Bound(name, -infinite if low is None else low, infinite if high is None else high)
        for name, (low, high) in header["context"]["bounds"].items()
    )
    return Goals(objectives, bounds)


def _row_or_say(found: RecordedStudy) -> dict[str, Any] | None:
    """A study's row, or None with a warning, so that one unreadable study does not hide the others."""
    try:
        return _row(Study.read(found))
    except Exception as error:
        if passes(error):
            raise
        log.warning("study '%s' cannot be read: %s", found.name, error)
        return None


def _row(study: Study) -> dict[str, Any]:
    winners, first = pareto_front(study.trials, study.goals), study.goals.names[0]
    return {
        "study": study.name,
        "strategy": study.header["context"].get("strategy"),
        "candidates": len(study.trials),
        "scored": sum(trial.state is State.SCORED for trial in study.trials),
        "failed": sum(trial.state is State.FAILED for trial in study.trials),
        "front": len(winners),
        "best": f"{first} {winners[0].values[first]:.4g}" if winners else "",
    }


@contextlib.contextmanager
def _found(storage: Any, name: str = "") -> Iterator[tuple[dict[str, RecordedStudy], dict[str, StorageError]]]:
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
        places = sorted(path.glob(f"*{SUFFIX}")) if one_of_many else [path] if path.exists() else []
        if storage is not None and not path.exists():
            raise StorageError(f"storage '{storage}' is not there")
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
                unreadable[Path(place).stem] = error
                log.warning("%s", error)  # one file that is no journal does not hide the others
            if one_of_many and Path(place).stem == name and name in found:
                break
        yield found, unreadable


def _inside(place: Any, stack: contextlib.ExitStack) -> dict[str, RecordedStudy]:
    """The searchkit studies of one file or database, opened read-only; the stack closes it."""
    with quiet(), _readable(place):
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
def _readable(place: Any) -> Iterator[None]:
    try:
        yield
    except SearchkitError:
        raise
    except (OSError, SQLAlchemyError, StorageInternalError) as error:
        raise cannot_open(place, error) from error
