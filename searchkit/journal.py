"""An Optuna journal file that commits several operations in one write and survives a torn last line.

The format is that of ``optuna.storages.journal.JournalFileBackend`` (a JSON object a line), so Optuna and its dashboard
read it. Two things are added. Operations inside :meth:`JournalFile.together` reach the disk in one write and one fsync,
all of them or a prefix. And a line that a killed process left half-written is cut off when the file is opened: Optuna's
own backend would join the next operation to it and refuse the file from then on.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

from optuna.storages.journal import BaseJournalBackend, JournalFileOpenLock


class JournalFile(BaseJournalBackend):
    """Append-only log of operations; one line an operation."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = JournalFileOpenLock(str(path), grace_period=10)
        self._ends = [0]  # byte offsets: line i stands between ends[i] and ends[i + 1]
        self._group: list[str] | None = None
        with self._locked():
            _cut_torn_line(path)

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        """The operations from a number on, those of an open group included."""
        n_filed = len(self._ends) - 1
        if self._group is None or log_number_from < n_filed:
            start = min(log_number_from, n_filed)
            with open(self.path, "rb") as file:
                file.seek(self._ends[start])
                for number, line in enumerate(file, start):
                    if not line.endswith(b"\n"):
                        break  # another process is in the middle of writing it
                    if number >= n_filed:
                        self._ends.append(self._ends[-1] + len(line))
                    if number >= log_number_from:
                        yield json.loads(line)
            n_filed = len(self._ends) - 1
        for number, text in enumerate(self._group or (), n_filed):
            if number >= log_number_from:
                yield json.loads(text)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Add operations: to the open group, or durably to the file."""
        lines = [json.dumps(log, separators=(",", ":")) for log in logs]
        if self._group is not None:
            self._group.extend(lines)
            return
        with self._locked():
            self._write(lines)

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Operations inside become one durable write at the end; nothing is written where an exception leaves."""
        with self._locked():
            for _ in self.read_logs(len(self._ends) - 1):
                pass  # so that operations of other processes are counted before those of the group
            self._group = []
            try:
                yield
                lines = self._group
            finally:
                self._group = None
            if lines:
                self._write(lines)

    def _write(self, lines: list[str]) -> None:
        with open(self.path, "ab") as file:
            file.write(("\n".join(lines) + "\n").encode())
            file.flush()
            os.fsync(file.fileno())

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        self._lock.acquire()
        try:
            yield
        finally:
            self._lock.release()


def drop_stale_lock(path: Path, patience: float = 1.0) -> None:
    """Remove the append lock that a killed driver left behind; for the one process that may drive the file.

    Others (a dashboard) hold it for milliseconds; one that stays for ``patience`` seconds belongs to nobody. Without
    this, Optuna's lock is waited for until its grace period ends.
    """
    lock = Path(f"{path}.lock")
    try:
        before = lock.lstat().st_mtime_ns
        if time.time() - before / 1e9 < patience:
            time.sleep(patience)
        if lock.lstat().st_mtime_ns == before:
            lock.unlink()
    except FileNotFoundError:
        return


def _cut_torn_line(path: Path) -> None:
    """Cut a last line without its end; create the file where there is none."""
    with open(path, "ab+") as file:
        size = file.seek(0, os.SEEK_END)
        end = size
        while end:
            start = max(0, end - 4096)
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        if end < size:
            file.truncate(end)
            os.fsync(file.fileno())
