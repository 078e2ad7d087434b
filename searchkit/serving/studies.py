"""The studies of a storage as the pages show them, read again when their records change; nothing of them is written."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from searchkit.errors import SearchkitError, UnknownNameError, readable
from searchkit.results.found_studies import found_studies
from searchkit.results.report.report import Content, content
from searchkit.results.studies import load
from searchkit.serving.kept import Kept
from searchkit.serving.places import Stamp, fingerprints, places, stamp
from searchkit.serving.rows import Row, Word, row_of, written_at
from searchkit.storage.paths import FOLDER, StorageLike, is_file, reason_of, settled_storage
from searchkit.storage.recorded_study import RecordedStudy
from searchkit.storage.urls import shown
from searchkit.storage.writers import Locks

FRESH = 1.0  # seconds for which all that ask get the same list
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


@dataclass
class _Report:
    """The report of a study: its content and when that was made, or the sentence for which it could not be."""

    kept: Kept[str]
    row: Row
    content: Content | None = None
    made: datetime | None = None


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
        # Reading changes levels of loggers and filters of warnings for a moment, which threads share.
        self._reading = threading.RLock()
        self._lists: dict[str, Kept[tuple[dict[str, Row], str]]] = {}
        self._listing: tuple[float, Listing] | None = None
        self._reports: OrderedDict[str, _Report] = OrderedDict()

    def listing(self) -> Listing:
        """The studies as they are now, or as they were a second ago.

        While a report is being made, the list is that of before, so that nobody waits for it.
        """
        known = self._listing
        if known is not None and self._clock() < known[0] + FRESH:
            return known[1]
        if not self._reading.acquire(blocking=known is None):
            assert known is not None
            return known[1]
        try:
            rows, problem = self._rows()
            locks = Locks.now()
            found = Listing(rows, {name: row.word(locks) for name, row in rows.items()}, problem)
            self._listing = self._clock(), found
        finally:
            self._reading.release()
        return found

    def version(self, name: str) -> str:
        """What identifies the page of a study that :meth:`shown` would give now; nothing is made for it.

        Raises:
            UnknownNameError: there is and was no such study.
        """
        row, word = self._known(name)
        known = self._reports.get(name)
        key = row.key if known is None or known.kept.due(row.key) else known.kept.key
        return _version(row, word, key, self.listing().problem)

    def took(self, name: str) -> float:
        """Seconds that the report of a study took last; 0 where none was made."""
        known = self._reports.get(name)
        return known.kept.took if known else 0.0

    def shown(self, name: str) -> Shown:
        """The page of a study, whose report is made anew where its record has changed.

        Raises:
            UnknownNameError: there is and was no such study.
        """
        row, word = self._known(name)
        with self._reading:
            known = self._reports.setdefault(name, _Report(Kept(self._reading, self._clock), row))
            self._reports.move_to_end(name)
            while len(self._reports) > MOST_KEPT:
                self._reports.popitem(last=False)
            problem = row.problem
            if word == "gone":
                problem = self.listing().problem or f"the record of '{name}' is no longer in {self.where}"
            elif not row.problem:
                problem = known.kept.get(row.key, lambda _: self._make(known, row))
                known.row = row
            version = _version(row, word, known.kept.key or row.key, self.listing().problem)
            return Shown(row, word, version, known.content, problem, known.made)

    def _known(self, name: str) -> tuple[Row, Word]:
        """The row and the state of a study that is there, or whose report was shown before it went."""
        listing = self.listing()
        if name in listing.rows:
            return listing.rows[name], listing.words[name]
        known = self._reports.get(name)
        if known is None:
            raise UnknownNameError.of(f"study in {self.where}", name, listing.rows)
        return known.row, "gone"

    def _make(self, known: _Report, row: Row) -> str:
        """Make a report; returns why it could not be made, or an empty string."""
        from searchkit.results.report.facts import Facts

        try:
            known.content = content(Facts(load(row.name, row.place)))
            known.made = datetime.now().astimezone()
        except Exception as error:  # also of a fault of ours in one study: the others are shown
            return _said(error)
        return ""

    def _rows(self) -> tuple[dict[str, Row], str]:
        """Rows by name, and why the storage cannot be read; of places that are as they were, nothing is read."""
        found: dict[str, Row] = {}
        try:
            here = places(self._default if self._storage is None else self._storage)
        except SearchkitError as error:
            return {}, "" if self._storage is None else str(error)
        problem = ""
        for place in here:
            kept = self._lists.setdefault(str(place), Kept(self._reading, self._clock))
            try:
                rows, said = kept.get(stamp(place), functools.partial(_read, place))
            except FileNotFoundError:
                continue  # it went between the two looks
            except (SearchkitError, OSError) as error:
                rows, said = {}, _said(error)
            problem = problem or said
            for name, row in rows.items():
                if name not in found or Path(str(found[name].place)).stem != name:
                    found[name] = row
        return found, problem


def _read(place: StorageLike, before: tuple[dict[str, Row], str] | None) -> tuple[dict[str, Row], str]:
    """The rows of one file or database, and why it cannot be read; rows of studies that have not changed are kept."""
    known = before[0] if before else {}
    rows: dict[str, Row] = {}
    try:
        prints, now = ({}, stamp(place)) if is_file(place) else (fingerprints(place), ())
        with found_studies(place) as (studies, _):
            for name, study in studies.items():
                key: Stamp = (prints[name],) if name in prints else now
                rows[name] = known[name] if name in known and known[name].key == key else _row(name, study, place, key)
    except (SearchkitError, OSError) as error:
        if not is_file(place):
            return known, _said(error)
        name = Path(str(place)).stem  # which is that of its study
        when = written_at(place)
        return {name: Row(name, place, (_said(error), when), written=when, problem=_said(error))}, ""
    return rows, ""


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


def _version(row: Row, word: Word, key: object, problem: str) -> str:
    return _digest(row, word, key, problem)


def _digest(*parts: object) -> str:
    return hashlib.blake2b(repr(parts).encode("utf-8", "backslashreplace"), digest_size=9).hexdigest()
