"""The candidate that this process works on, noted in a file, for the next run to know if it ended the process.

What runs a candidate's code in the process of the search says so with :func:`noted`, and asks :func:`suspicion` before:
after two ends of the process, a candidate's code runs in a process of its own
(:func:`searchkit.execution.processes.apart`), which shows whether the candidate ends processes, or something else
ended this one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar, Token
from pathlib import Path
from typing import Any, Protocol, Self

from searchkit.types import Codes

DEADLY = 2  # ends of the process with a candidate, after which its code runs in a process of its own
NOTE = "ended_the_process"  # of the record: {what was worked on: [the work, for each end]}

EVALUATION, COSTS, SCORING, COUNTING = "evaluation", "measurement of costs", "scoring", "counting"  # what is done

_now: ContextVar[AtWork | None] = ContextVar("searchkit_at_work", default=None)


class Kept(Protocol):
    """The part of a study's record that is used here."""

    def note(self, key: str, value: Any) -> None:
        """Record a JSON value under a key of the study."""
        ...

    def notes(self, key: str) -> Any:
        """A kept value, or None."""
        ...


class AtWork:
    """A context around one search, inside which :func:`noted` and :func:`suspicion` work.

    The file survives the end of the process but not that of the machine, since it is not synced: a power failure is no
    candidate's fault.

    Args:
        path: the file; None: nothing is noted, as for a record in memory.
        record: of the study; keeps what ended the process in earlier runs.
    """

    def __init__(self, path: Path | None, record: Kept) -> None:
        self._path, self._record = path, record
        self._file: int | None = None
        self._noted = ""
        self._token: Token[AtWork | None] | None = None
        self.ends: dict[str, list[str]] = {}  # what was worked on -> the work in which the process ended

    def __enter__(self) -> Self:
        self.ends = {what: list(works) for what, works in (self._record.notes(NOTE) or {}).items()}
        what, work = self._left()
        if what:
            self.ends.setdefault(what, []).append(work)
            self._record.note(NOTE, self.ends)
            self._delete()
        self._token = _now.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        if self._token is not None:
            _now.reset(self._token)
        if self._file is not None:
            os.close(self._file)
            self._file = None
        self._delete()

    def _delete(self) -> None:
        if self._path is not None:
            with suppress(OSError):
                self._path.unlink(missing_ok=True)

    def _left(self) -> tuple[str, str]:
        """What a process noted that ended in the middle, and the work; else two ""."""
        if self._path is not None:
            with suppress(OSError, ValueError, TypeError):
                what, work = json.loads(self._path.read_text(encoding="ascii"))
                return str(what), str(work)
        return "", ""

    @contextmanager
    def noted(self, what: str, work: str) -> Iterator[None]:
        """See the function."""
        if self._path is None:
            yield
            return
        before = self._noted
        self._write(json.dumps([what, work]))
        try:
            yield
        finally:
            self._write(before)

    def _write(self, text: str) -> None:
        padded, self._noted = text.ljust(len(self._noted)), text
        with suppress(OSError):  # a disk that is full: only a death would not be known
            if self._file is None:
                assert self._path is not None
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
            os.lseek(self._file, 0, os.SEEK_SET)
            os.write(self._file, padded.encode())


@contextmanager
def noted(what: Codes | str, work: str = EVALUATION) -> Iterator[None]:
    """Note inside what this process works on: a candidate ``(d,)``, or a name; nothing outside a search."""
    now = _now.get()
    if now is None:
        yield
        return
    with now.noted(what if isinstance(what, str) else key_of(what), work):
        yield


def ended(what: str) -> int:
    """How often the process ended in the work on something of this name, in this search and its earlier runs."""
    now = _now.get()
    return 0 if now is None else len(now.ends.get(what, ()))


def suspicion(code: Codes) -> str | None:
    """Why a candidate's code must run in a process of its own; None where this process may run it."""
    now = _now.get()
    works = now.ends.get(key_of(code), ()) if now is not None and now.ends else ()
    if len(works) < DEADLY:
        return None
    return f"the process ended {len(works)} times in the {' and the '.join(dict.fromkeys(works))} of this candidate"


def key_of(code: Codes) -> str:
    """A candidate ``(d,)`` as text."""
    return "-".join(map(str, code.tolist()))
