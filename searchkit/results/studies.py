"""Finding, listing and reading recorded studies."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from searchkit import plugins
from searchkit.errors import SearchkitError, SpaceError, StorageError, StudyMismatchError, UnknownNameError
from searchkit.problem.objectives import Bound, Goals, Objective
from searchkit.problem.trial import State, Trial, pareto_front
from searchkit.results.found_studies import found_studies, readable_in
from searchkit.results.notes import TOOK
from searchkit.results.result import Result
from searchkit.space import NetworkSpace, Space
from searchkit.space.inputs import recorded_shape
from searchkit.space.narrower_space import narrowed_as
from searchkit.space.parameters import read_parameters
from searchkit.space.recipe_space import with_settings
from searchkit.storage.header import compare_headers, plain
from searchkit.storage.header_check import checked_header
from searchkit.storage.optuna_record import OptunaRecord
from searchkit.storage.paths import (
    FOLDER,
    StorageLike,
    networks_folder,
)
from searchkit.storage.patience import passes, with_patience
from searchkit.storage.recorded_study import RecordedStudy
from searchkit.storage.recorded_trials import read_trials
from searchkit.storage.urls import shown

if TYPE_CHECKING:
    import pandas as pd


log = logging.getLogger("searchkit")


@dataclass(frozen=True)
class Study:
    """A recorded study, which reading does not change. ``place`` is its file or database, as text for messages."""

    name: str
    place: str
    header: dict[str, Any]
    space: Space
    goals: Goals
    trials: list[Trial]
    test_accuracy: dict[int, float]
    verified: dict[int, dict[str, Any]]
    finals: dict[int, dict[str, Any]]
    seconds: float
    trust: list[dict[str, Any]] | None
    simple: list[dict[str, Any]]
    notes: Mapping[str, Any]

    @property
    def spent(self) -> float:
        """Seconds that the study has taken: until its last outcome, or the end of its last run."""
        return max([self.seconds, *(trial.elapsed for trial in self.trials)])

    @property
    def took(self) -> float:
        """Seconds of the whole study, with what came after its last candidate where that is on record."""
        return max(self.spent, float(self.notes.get(f"searchkit:{TOOK}") or 0.0))

    @classmethod
    def read(cls, study: RecordedStudy, space: Space | None = None) -> Study:
        """Read the record of a study that searchkit wrote.

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
            {int(number): entry for number, entry in (study.attributes.get("searchkit:finals") or {}).items()},
            float(study.attributes.get("searchkit:seconds") or 0.0),
            study.attributes.get("searchkit:trust"),
            study.attributes.get("searchkit:baselines") or [],
            study.attributes,
        )


def load(name: str, storage: StorageLike = None, *, space: Space | None = None) -> Result:
    """The result of a recorded study, finished or not.

    Args:
        name: of the study.
        storage: its storage; see :func:`searchkit.run`.
        space: the study's space; needed to build networks if the space was made in Python and not by name.

    Raises:
        UnknownNameError: there is no study of that name; the message lists those that exist.
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
    result.finals = study.finals
    result.open_record = functools.partial(OptunaRecord, storage, name, study.space, study.goals, header)
    result.simple = study.simple
    result.read_timings(lambda key: study.notes.get(f"searchkit:{key}"))
    result.took = study.took
    return result


def read_study(name: str, storage: StorageLike = None, space: Space | None = None) -> Study:
    """A recorded study; see :func:`load`."""
    return with_patience(lambda: _read_study(name, storage, space), f"study '{name}'")


def _read_study(name: str, storage: StorageLike, space: Space | None) -> Study:
    with found_studies(storage, name) as (known, unreadable):
        if name not in known:
            if name in unreadable:
                raise unreadable[name]
            raise UnknownNameError.of(f"study in {shown(storage or FOLDER)}", name, known)
        with readable_in(storage):
            return Study.read(known[name], space)


def list_studies(storage: StorageLike = None) -> pd.DataFrame:
    """One row per study: name, candidates by state, size of the front, best of the first objective, seconds."""
    import pandas as pd

    def rows_of() -> list[dict[str, Any]]:
        with found_studies(storage) as (known, _):
            return [row for row in map(_row_or_say, known.values()) if row is not None]

    rows = with_patience(rows_of, f"the studies in {shown(storage or FOLDER)}")
    return pd.DataFrame(
        rows, columns=["study", "strategy", "candidates", "scored", "failed", "front", "best", "seconds"]
    )


def space_of(header: dict[str, Any]) -> Space:
    """The recorded space: the registered one if it is the same, else one of the recorded choices, without networks."""
    recorded = header["search"]["space"]
    space = registered_space(recorded)
    if space is not None:
        return space
    if "n_classes" in recorded or "output_shape" in recorded:  # of networks
        log.info("space '%s' was made in Python: give it to load(..., space=...) to build networks", recorded["name"])
    return Space(read_parameters(recorded["choices"]), name=recorded["name"])


def registered_space(recorded: Mapping[str, Any]) -> NetworkSpace | None:
    """The registered space of a description; None where there is none, or it is another by now."""
    if "options" not in recorded or recorded["name"] not in plugins.names("space"):
        return None
    try:
        space = as_recorded(plugins.load_space(recorded["name"], **recorded["options"]), recorded)
    except (SearchkitError, TypeError, ValueError):
        return None
    return space if space.describe() == recorded else None


def as_recorded(space: NetworkSpace, recorded: Mapping[str, Any]) -> NetworkSpace:
    """The space for the shape of the recorded data, with the options and the settings that are on record."""
    for_data = space.for_data(recorded_shape(recorded), _outputs(recorded))
    return with_settings(narrowed_as(for_data, recorded), recorded)


def _outputs(recorded: Mapping[str, Any]) -> int | Sequence[int]:
    """Shape of the outputs of a recorded space's networks, or their number."""
    found: int | Sequence[int] = recorded.get("output_shape") or recorded["n_classes"]
    return found


def _same_space(name: str, space: Space, header: dict[str, Any]) -> Space:
    """The given space for the shape of the study's data; StudyMismatchError if its choices differ."""
    recorded = header["search"]["space"]
    if isinstance(space, NetworkSpace) and "input_shape" in recorded:
        space = as_recorded(space, recorded)
    compare_headers(name, header, {"search": {"space": plain(space.describe())}})
    return space


def goals_of(header: dict[str, Any]) -> Goals:
    """The recorded objectives and bounds."""
    objectives = tuple(Objective(name, direction) for name, direction in header["search"]["objectives"].items())
    infinite, margins = float("inf"), header["context"].get("margins", {})
    bounds = tuple(
        Bound(name, -infinite if low is None else low, infinite if high is None else high, margins.get(name, 0.0))
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
        "seconds": round(study.took, 1),
    }
