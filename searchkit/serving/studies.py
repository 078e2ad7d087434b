"""The studies of a storage as the pages show them, read again when their records change; nothing of them is written."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from searchkit.errors import SearchkitError, UnknownNameError, printable, readable
from searchkit.results.found_studies import found_studies
from searchkit.results.report.report import Content, content
from searchkit.results.studies import load
from searchkit.serving.kept import Kept
from searchkit.serving.places import Stamp, fingerprints, places, stamp
from searchkit.serving.rows import Row, Word, row_of, written_at
from searchkit.storage.paths import FOLDER, StorageLike, is_file, reason_of, settled_storage
from searchkit.storage.recorded_study import RecordedStudy
from searchkit.storage.urls import shown
from searchkit.storage.waiting import at_most
from searchkit.storage.writers import Locks

FRESH = 1.0  # seconds for which all that ask get the same list
PATIENCE = 2.0  # seconds that a page waits for a database that is locked, or while the report of another study is made
MOST_KEPT = 32  # reports that are kept, those that were asked for last


@dataclass(frozen=True)
class Listing:
    """The studies at one moment: rows by name, the state of each, and why the storage cannot be read (or "")."""

    rows: dict[str, Row]
    words: dict[str, Word]
    problem: str = ""

    @property
    def version(self) -> str:
        """Changes when the list does."""
        return _digest(*((self.words[name], row) for name, row in self.rows.items()), self.problem)


@dataclass(frozen=True)
class Shown:
    """What the page of a study shows.

    Attributes:
        row: as it was read last; word: its state.
        report: the newest that could be made; None where none could be.
        problem: why it is not that of the record as it is now; else an empty string.
        made: when the report was made.
    """

    row: Row
    word: Word
    version: str
    report: Content | None = None
    problem: str = ""
    made: datetime | None = None


@dataclass(frozen=True)
class _Report:
    """The newest report of a study, when it was made, and why there is none of the record as it is (or "")."""

    content: Content | None = None
    made: datetime | None = None
    problem: str = ""


@dataclass
class _Known:
    """A study that was shown: its row of then, and its report."""

    row: Row
    report: Kept[_Report]


class Studies:
    """All studies of a storage.

    Args:
        storage: a folder, a journal file, the URL of a database, or an Optuna storage; None: ``searchkit-runs/``.
        clock: seconds, from any beginning.

    Raises:
        StorageError: it does not exist.
    """

    def __init__(self, storage: StorageLike = None, clock: Callable[[], float] = time.monotonic) -> None:
        places(storage)
        self.where = shown(storage or f"{FOLDER}/")
        self._storage = None if storage is None else settled_storage(storage)
        self._default = settled_storage(FOLDER)  # the working folder may change later
        self._clock = clock
        self._reading = threading.RLock()  # one reads at a time: a search may run beside it
        self._guard = threading.Lock()
        self._lists: dict[str, Kept[_Read]] = {}
        self._listing: tuple[float, Listing] | None = None
        self._known: OrderedDict[str, _Known] = OrderedDict()

    def listing(self) -> Listing:
        """The studies as they are now, or as they were a second ago.

        While a report is being made, the rows are those of before, so that nobody waits for it.
        """
        known = self._listing
        if known is not None and self._clock() < known[0] + FRESH:
            return known[1]
        if not self._reading.acquire(blocking=known is None):
            assert known is not None
            return self._listed(known[1].rows, known[1].problem)
        try:
            with at_most(PATIENCE):
                return self._listed(*self._rows())
        finally:
            self._reading.release()

    def _listed(self, rows: dict[str, Row], problem: str) -> Listing:
        """Rows with the states of now."""
        locks = Locks.now()
        found = Listing(rows, {name: row.word(locks) for name, row in rows.items()}, problem)
        self._listing = self._clock(), found
        return found

    def took(self, name: str) -> float:
        """Seconds that the report of a study took last; 0 where none was made."""
        known = self._known.get(name)
        return known.report.took if known else 0.0

    def seen(self, name: str) -> Shown:
        """The page of a study with the report that is there; its version is that of what :meth:`shown` would give now.

        Raises:
            UnknownNameError: there is and was no such study.
        """
        row, word = self._found(name)
        known = self._known.get(name)
        problem = row.problem
        if word == "gone":
            problem = self.listing().problem or f"the record of '{name}' is no longer in {self.where}"
        report = (known.report.value if known else None) or _Report()
        settled = word == "gone" or row.problem or known is None  # no report is made of it
        key = (row.key, 0) if settled or known is None else known.report.version(row.key)
        version = _digest(row, word, key, self.listing().problem)
        return Shown(row, word, version, report.content, problem or report.problem, report.made)

    def shown(self, name: str) -> Shown:
        """The page of a study, whose report is made anew where its record has changed.

        Where another report is being made, it is that of before, after some seconds.

        Raises:
            UnknownNameError: there is and was no such study.
        """
        row, word = self._found(name)
        with self._guard:
            known = self._known.setdefault(name, _Known(row, Kept(self._reading, self._clock, _is_wrong)))
            self._known.move_to_end(name)
            while len(self._known) > MOST_KEPT:
                self._known.popitem(last=False)
        if word != "gone" and not row.problem:
            known.row = row
            known.report.get(row.key, functools.partial(_make, row), PATIENCE)
        return self.seen(name)

    def _found(self, name: str) -> tuple[Row, Word]:
        """The row and the state of a study that is there, or whose report was shown before it went."""
        listing = self.listing()
        if name in listing.rows:
            return listing.rows[name], listing.words[name]
        known = self._known.get(name)
        if known is None:
            raise UnknownNameError.of(f"study in {self.where}", name, listing.rows)
        return known.row, "gone"

    def _rows(self) -> _Read:
        """Rows by name, and why the storage cannot be read; of places that are as they were, nothing is read."""
        found: dict[str, Row] = {}
        try:
            here = places(self._default if self._storage is None else self._storage)
        except SearchkitError as error:
            return {}, "" if self._storage is None else str(error)
        problem = ""
        for place in here:
            kept = self._lists.setdefault(str(place), Kept(self._reading, self._clock, _is_unread))
            try:
                rows, said = kept.get(stamp(place), functools.partial(_read, place))
            except FileNotFoundError:
                continue  # it went between the two looks
            except Exception as error:  # one file that cannot be looked at does not hide the others
                rows, said = _unread(place, error, {})
            problem = problem or said
            for name, row in rows.items():
                if name not in found or Path(str(found[name].place)).stem != name:
                    found[name] = row
        return found, problem


_Read = tuple[dict[str, Row], str]  # rows by name, and why the place cannot be read


def _read(place: StorageLike, before: _Read | None) -> _Read:
    """The rows of one file or database, and why it cannot be read; rows of studies that have not changed are kept."""
    known = before[0] if before else {}
    rows: dict[str, Row] = {}
    try:
        prints, now = ({}, stamp(place)) if is_file(place) else (fingerprints(place), ())
        with found_studies(place) as (studies, _):
            for name, study in studies.items():
                key: Stamp = (prints[name],) if name in prints else now
                kept = known.get(name)
                rows[name] = kept if kept and kept.key == key and not kept.problem else _row(name, study, place, key)
    except Exception as error:  # also one of a kind that nobody has thought of: the others are shown
        return _unread(place, error, known)
    return rows, ""


def _unread(place: StorageLike, error: Exception, known: dict[str, Row]) -> _Read:
    """The row of a file that cannot be read; of a database, the rows of before and why."""
    if not is_file(place):
        return known, _said(error)
    name = printable(Path(str(place)).stem)  # which is that of its study
    when = written_at(place)
    return {name: Row(name, place, (_said(error), when), written=when, problem=_said(error))}, ""


def _is_unread(read: _Read) -> bool:
    return bool(read[1]) or any(row.problem for row in read[0].values())


def _make(row: Row, before: _Report | None) -> _Report:
    """A report, or that of before and why it could not be made."""
    from searchkit.results.report.facts import Facts

    try:
        with at_most(PATIENCE):
            return _Report(content(Facts(load(row.name, row.place))), datetime.now().astimezone())
    except Exception as error:  # also of a fault of ours in one study: the others are shown
        return replace(before or _Report(), problem=_said(error))


def _is_wrong(report: _Report) -> bool:
    return report.problem != ""


def _row(name: str, study: RecordedStudy, place: StorageLike, key: Stamp) -> Row:
    try:
        return row_of(study, place, key)
    except Exception as error:  # one study that cannot be read does not hide the others
        return Row(name, place, key, problem=_said(error))


def _said(error: BaseException) -> str:
    """An error as a sentence: its own where it is one of ours."""
    with contextlib.suppress(Exception):
        return readable(str(error)) if isinstance(error, SearchkitError) else readable(reason_of(error))
    return type(error).__name__


def _digest(*parts: object) -> str:
    return hashlib.blake2b(repr(parts).encode("utf-8", "backslashreplace"), digest_size=9).hexdigest()
