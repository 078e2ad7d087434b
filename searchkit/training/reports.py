"""What training functions report of candidates: a file for each, which the other processes of a search read.

A file has one line with what is known of the candidate before its training, and one for each report. One process writes
it at a time, a line at once, so that a reader sees whole lines, or a last one without its end, which it leaves out. The
record of the study has the reports of candidates that have ended; the files are made from it when a study is continued,
and are for the running search only.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from searchkit.errors import WritingError
from searchkit.problem.trial import Report
from searchkit.types import Codes

FOLDER = "reports"  # in the folder of the study's files


@dataclass(frozen=True)
class Curve:
    """The reports of a candidate so far.

    Attributes:
        batch: in which the candidate was asked for.
        costs: objectives that are known without training, by name.
        reports: in the order of their epochs.
    """

    batch: int
    costs: Mapping[str, float] = field(default_factory=dict)
    reports: tuple[Report, ...] = ()

    def at(self, epoch: float) -> dict[str, float] | None:
        """The values of the first report of this epoch or a later one; None if it has not come to that."""
        return next((values for reached, values in self.reports if reached >= epoch), None)

    def until(self, epoch: float) -> list[dict[str, float]]:
        """The values of all reports up to an epoch."""
        return [values for reached, values in self.reports if reached <= epoch]


class Reports:
    """The reports of the candidates of a study; picklable.

    Args:
        home: the folder of the study's files.
    """

    def __init__(self, home: Path) -> None:
        self.folder = home / FOLDER
        self._read: dict[str, tuple[tuple[int, int], Curve]] = {}  # by name: inode and size of the file, its content

    def __getstate__(self) -> dict[str, object]:
        return vars(self) | {"_read": {}}

    def announce(self, code: Codes, curve: Curve) -> None:
        """Begin the file of a candidate, in place of that of an earlier attempt.

        Raises:
            WritingError: it cannot be written.
        """
        path = self._path(code)
        lines = [json.dumps({"batch": curve.batch, "costs": dict(curve.costs)}), *map(_line, curve.reports)]
        partial = path.with_suffix(f".{os.getpid()}")  # it is for the running search, so that no power failure matters
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            partial.write_text("".join(f"{line}\n" for line in lines))
            partial.replace(path)
        except OSError as error:
            raise _not_written(path, error) from error

    def begin(self, code: Codes) -> Curve | None:
        """What was announced of a candidate; what an earlier attempt reported of it is forgotten.

        None where nothing was announced: the process is on a machine that does not see the folder.
        """
        there = self.of(code)
        if there is not None and there.reports:
            there = Curve(there.batch, there.costs)
            self.announce(code, there)
        return there

    def add(self, code: Codes, report: Report) -> None:
        """Write a report of a candidate that was announced.

        Raises:
            WritingError: it cannot be written.
        """
        path = self._path(code)
        try:
            with path.open("ab") as file:
                file.write(f"{_line(report)}\n".encode())
        except OSError as error:
            raise _not_written(path, error) from error

    def of(self, code: Codes) -> Curve | None:
        """What there is of a candidate; None if it was not announced here."""
        return self._curve(self._path(code))

    def others(self, code: Codes, batch: int) -> list[Curve]:
        """The candidates that have reported, but for one, and for those of its batch.

        Candidates of a batch are not compared with each other: which of them reports first depends on the executor.
        """
        own = self._path(code).name
        paths = sorted(path for path in self.folder.glob("*.jsonl") if path.name != own)
        curves = [curve for curve in map(self._curve, paths) if curve is not None]
        return [curve for curve in curves if curve.reports and curve.batch != batch]

    def renew(self, known: Iterable[tuple[Codes, Curve]]) -> None:
        """Replace all there is by what is on record."""
        self.clear()
        for code, curve in known:
            self.announce(code, curve)

    def clear(self) -> None:
        """Delete all files."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, code: Codes) -> Path:
        digest = hashlib.blake2b(np.ascontiguousarray(code, np.int64).tobytes(), digest_size=8).hexdigest()
        return self.folder / f"{digest}.jsonl"

    def _curve(self, path: Path) -> Curve | None:
        try:
            status = path.stat()
            key = (status.st_ino, status.st_size)
            if path.name not in self._read or self._read[path.name][0] != key:
                content = path.read_bytes()
                self._read[path.name] = ((status.st_ino, len(content)), _curve_of(content))
        except FileNotFoundError:
            return None
        return self._read[path.name][1]


def _not_written(path: Path, error: OSError) -> WritingError:
    from searchkit.training.weights import not_written  # which loads torch

    return not_written(path, error)


def _line(report: Report) -> str:
    return json.dumps([report[0], report[1]])


def _curve_of(content: bytes) -> Curve:
    begun, *lines = content.split(b"\n")[:-1]
    known = json.loads(begun)
    costs = {name: value for name, value in known["costs"].items() if math.isfinite(value)}
    return Curve(known["batch"], costs, tuple((float(epoch), values) for epoch, values in map(json.loads, lines)))
