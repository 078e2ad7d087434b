"""Repair of a damaged journal file: its undamaged lines are saved in a new file."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from optuna.study import StudyDirection

from searchkit.errors import StorageError
from searchkit.runtime.whole_files import whole_file
from searchkit.storage.header import HEADER_COPY
from searchkit.storage.journal import line_of, read_line
from searchkit.storage.paths import is_file, journal_path
from searchkit.storage.places import check_file
from searchkit.storage.urls import shown

_BEGINS = b'{"op_code":'
_STUDY, _TRIAL = 0, 4  # operations that create a study or a trial; its id is the number of those created before it
_MARKS = {_STUDY: (b'{"op_code":0,', b'"study_name":'), _TRIAL: (b'{"op_code":4,', b'"distributions":')}
_NOTE = 2  # the operation that writes an attribute of a study
_DIRECTIONS = {"min": StudyDirection.MINIMIZE, "max": StudyDirection.MAXIMIZE}
_Piece = tuple[dict[str, Any] | None, bytes]  # an operation, None where it is damaged, and its bytes
_IDS = {_STUDY: "study_id", _TRIAL: "trial_id"}


def repair(name: str, storage: str | Path | None = None) -> Path:
    """Save every undamaged line of a journal file in a new file beside it; the old file is not changed.

    The header of the study is in the file twice, so one of the two may be lost. A candidate whose outcome is lost
    counts as not evaluated, and is evaluated again. A candidate whose creation is lost is left out, with its outcome,
    and later candidates are renumbered. To continue the study, move the old file away and give the new one its name.

    Args:
        name: of the study.
        storage: its place: a folder or a ``.journal`` file, as for :func:`searchkit.run`.

    Returns:
        The new file, ``NAME.repaired.journal``.

    Raises:
        StorageError: the storage is no file or does not exist, no line is damaged, all lines are damaged, or there is a
            repaired file already.
    """
    if not is_file(storage):
        raise StorageError(f"only journal files can be repaired, and '{shown(storage)}' is none")
    path = journal_path(storage, name)
    check_file(path)
    target = path.with_name(f"{path.stem}.repaired{path.suffix}")
    if target.exists():
        raise StorageError(f"{target} exists already: move it away, or use it")
    try:
        content = path.read_bytes()
        found = list(_pieces(content))
        logs = [log for log, _ in found if log is not None]
        if len(logs) == len(found) == content.count(b"\n") and content.endswith(b"\n"):
            raise StorageError(f"{path} is not damaged; there is nothing to repair")
        if not logs:
            raise StorageError(f"{path} has no undamaged line of a journal")
        whole = _with_headers(_renumbered(_with_studies(found, name)))
        text = "".join(line_of(log) + "\n" for log in _with_whole_batches(list(whole)))
        with whole_file(target) as partial:
            partial.write_bytes(text.encode())
    except FileNotFoundError as error:
        raise StorageError(f"{path} does not exist") from error
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise StorageError(f"{path} cannot be repaired: {error}") from error
    return target


def _pieces(content: bytes) -> Iterator[_Piece]:
    """Operations in the order of the file, with their bytes; None for one that is damaged.

    If a line break was damaged, one line has two operations, and both are found. A line that was broken in two counts
    as one operation.
    """
    broken = False
    for line in content.removesuffix(b"\n").split(b"\n"):
        starts = [0]
        while _readable(line) is None and (start := line.find(_BEGINS, starts[-1] + 1)) > 0:
            starts.append(start)
        for start, end in zip(starts, [*starts[1:], len(line)], strict=True):
            piece = line[start:end]
            log = _readable(piece) or _readable(piece[:-1])
            if log is None and broken and not piece.startswith(b"{"):
                continue  # the rest of the line before
            broken = log is None
            yield log, piece


def _readable(line: bytes) -> dict[str, Any] | None:
    with contextlib.suppress(ValueError):
        return read_line(line)
    return None


def _with_studies(found: list[_Piece], name: str) -> Iterator[_Piece]:
    """The operations; a lost one that created a study is made again from the study's header."""
    n_studies, worker = 0, next(log["worker_id"] for log, _ in found if log is not None)
    for log, piece in found:
        header = None
        if log is None and _lost(piece) == _STUDY:
            header = next((h for other, _ in found if other and (h := _header(other, n_studies))), None)
        if header is not None:
            objectives = header["search"]["objectives"].values()
            directions = [int(_DIRECTIONS[direction]) for direction in objectives]
            log = {"op_code": _STUDY, "worker_id": worker, "study_name": name, "directions": directions}
        n_studies += _lost(piece) == _STUDY if log is None else log["op_code"] == _STUDY
        yield log, piece


def _with_headers(logs: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The operations; a header that is lost is written again from its copy."""
    there: set[int] = set()
    for log in logs:
        yield log
        if log["op_code"] == _NOTE and "searchkit" in log["user_attr"]:
            there.add(log["study_id"])
        if log["op_code"] == _NOTE and HEADER_COPY in log["user_attr"] and log["study_id"] not in there:
            yield log | {"user_attr": {"searchkit": log["user_attr"][HEADER_COPY]}}


def _header(log: dict[str, Any], study: int) -> dict[str, Any] | None:
    """The header of a study or its copy, if the operation writes one of these; else None."""
    noted = log["user_attr"] if log["op_code"] == _NOTE and log["study_id"] == study else {}
    header: dict[str, Any] | None = noted.get("searchkit") or noted.get(HEADER_COPY)
    return header


def _lost(piece: bytes) -> int | None:
    """The operation that a damaged piece was, ``_STUDY`` or ``_TRIAL``; None if it was neither."""
    return next((kind for kind, marks in _MARKS.items() if piece.startswith(marks[0]) or marks[1] in piece), None)


def _renumbered(found: Iterable[_Piece]) -> Iterator[dict[str, Any]]:
    """The operations with new ids, without those on studies and trials whose creation is lost."""
    new: dict[int, dict[int, int]] = {_STUDY: {}, _TRIAL: {}}  # id before -> id now
    n_before: Counter[int] = Counter()
    for log, piece in found:
        if log is None:
            n_before.update(kind for kind in (_lost(piece),) if kind is not None)
            continue
        kind = log["op_code"]
        before = n_before[kind]
        n_before[kind] += kind in new
        ids = {key: new[what].get(log[key]) for what, key in _IDS.items() if key in log}
        if None in ids.values():
            continue
        if kind in new:
            new[kind][before] = len(new[kind])
        yield log | ids


def _with_whole_batches(logs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The operations, with new numbers and sizes of batches, in which lost candidates are not counted."""
    created = [log for log in logs if log["op_code"] == _TRIAL and "batch" in log.get("user_attrs", {})]
    sizes = Counter((log["study_id"], log["user_attrs"]["batch"]) for log in created)
    last = {study: batch for study, batch in sizes}  # noqa: C416 - the last batch of each study stays
    numbers: dict[int, dict[int, int]] = {}
    for log in created:
        study, attributes = log["study_id"], log["user_attrs"]
        batches = numbers.setdefault(study, {})
        batch = attributes["batch"]
        attributes["batch"] = batches.setdefault(batch, len(batches))
        if batch != last[study]:
            attributes["batch_size"] = sizes[study, batch]
    return logs
