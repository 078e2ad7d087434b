"""An Optuna journal file that commits several operations in one write, and can be opened after a half-written line.

The format is that of ``optuna.storages.journal.JournalFileBackend`` (one JSON object per line), so Optuna and its
dashboard can read it. Two things are added. Operations inside :meth:`JournalFile.together` are written to the file at
once (if the process is killed, all of them or the first few are in it), and each outcome is flushed to the disk. A line
that a killed process left half-written is removed when the file is opened: Optuna's own backend would append the next
operation to it, and could not read the file from then on. A last line that is whole and lacks its end only gets one.

Each line ends with a checksum of the text before it, so that a damaged value is noticed; it is one more JSON key, which
Optuna ignores. Lines without a checksum, written by older versions or by Optuna itself, are read as well.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
import zlib
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

from optuna.storages.journal import BaseJournalBackend, JournalFileOpenLock

from searchkit.errors import StorageError, first_line_said
from searchkit.storage.owners import is_gone, this_process
from searchkit.storage.places import check_file

# Lines that only create a running trial are not flushed to the disk (fsync). They survive the end of the process but
# perhaps not a power failure, after which the search asks for the same candidate again. The fsync of the outcome also
# writes these lines to the disk; a second fsync would double the cost of recording a quick evaluation.
CREATED, RUNNING = '{"op_code":4,', '"state":0'


class JournalFile(BaseJournalBackend):
    """Append-only log of operations, one per line.

    Args:
        path: of the file. A file that is not a journal is refused and not changed.
        write: False to only read, in which case nothing is created, removed or locked.

    Raises:
        StorageError: the file is not an Optuna journal.
    """

    def __init__(self, path: Path, *, write: bool = True) -> None:
        self.path = path
        self._writes = write
        check_journal(path)
        if write:
            path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = JournalFileOpenLock(str(path), grace_period=10)
        self._ends = [0]  # byte offsets: line i is between ends[i] and ends[i + 1]
        self._group: list[str] | None = None
        if write:
            with self._locked():
                _mend_last_line(path)

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        """The operations from this number on, including those of an open group."""
        n_filed = len(self._ends) - 1
        if self._group is None or log_number_from < n_filed:
            start = min(log_number_from, n_filed)
            with open(self.path, "rb") as file:
                file.seek(self._ends[start])
                for number, line in enumerate(file, start):
                    if not line.endswith(b"\n") and not _is_whole(line[:-1]):
                        break  # another process is writing it, or was killed while it did
                    if number >= n_filed:
                        self._ends.append(self._ends[-1] + len(line))
                    if number >= log_number_from:
                        try:
                            yield read_line(line if line.endswith(b"\n") else line[:-1])
                        except ValueError as error:
                            raise damaged(self.path, number + 1, error) from error
            n_filed = len(self._ends) - 1
        for number, text in enumerate(self._group or (), n_filed):
            if number >= log_number_from:
                yield read_line(text.encode())

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Add operations to the open group, or write them to the file."""
        if not self._writes:
            raise StorageError(f"{self.path} was opened to be read only")
        lines = [line_of(log) for log in logs]
        if self._group is not None:
            self._group.extend(lines)
            return
        with self._locked():
            self._write(lines)

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Write the operations inside at once at the end; after an exception inside, nothing is written."""
        with self._locked():
            for _ in self.read_logs(len(self._ends) - 1):
                pass  # read first, so that other processes' operations get numbers below those of the group
            self._group = []
            try:
                yield
                lines = self._group
            finally:
                self._group = None
            if lines:
                self._write(lines)

    def _write(self, lines: list[str]) -> None:
        size = self.path.stat().st_size
        try:
            with open(self.path, "ab") as file:
                file.write(("\n".join(lines) + "\n").encode())
                file.flush()
                if not all(line.startswith(CREATED) and RUNNING in line for line in lines):
                    os.fsync(file.fileno())
        except OSError:
            with contextlib.suppress(OSError):
                os.truncate(self.path, size)  # a full disk may hold half a line, and the next would be appended to it
            raise

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        self._lock.acquire()
        try:
            _append_lock(self.path).write_text(this_process())
            yield
        finally:
            self._lock.release()


_CHECKED = re.compile(rb'(\{.*),"checksum":"([0-9a-f]{8})"\}\s*', re.DOTALL)


def line_of(log: dict[str, Any]) -> str:
    """An operation as a line of the file, without its end, and with a checksum as its last key."""
    text = json.dumps(log, separators=(",", ":"))[:-1]
    return f'{text},"checksum":"{zlib.crc32(text.encode()):08x}"}}'


def read_line(line: bytes) -> dict[str, Any]:
    """The operation of a line, without the checksum.

    Raises:
        ValueError: the line is damaged: it is no operation, or its checksum differs.
    """
    checked = _CHECKED.fullmatch(line)
    if checked and int(checked[2], 16) != zlib.crc32(checked[1]):
        raise ValueError("it differs from what was written: its checksum does not match")
    try:
        log = json.loads(line)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(log, dict) or not isinstance(log.get("op_code"), int):
        raise ValueError("it is no operation of a journal")
    log.pop("checksum", None)
    return log


def _is_whole(line: bytes) -> bool:
    """Whether bytes are a whole line without its end."""
    try:
        read_line(line)
    except ValueError:
        return False
    return line.endswith(b"}")


def damaged(path: Path, number: int, error: Exception) -> StorageError:
    """The error for a line of a journal that cannot be read."""
    return StorageError(
        f"{path} is damaged in line {number} ({first_line_said(error)}). 'searchkit repair' and searchkit.repair save "
        "all undamaged lines in a new file; this one is left as it is"
    )


def check_journal(path: Path) -> None:
    """Refuse a file that is not a journal; an empty file, or the beginning of a journal's first line, is accepted."""
    check_file(path)
    if not path.exists():
        return
    with open(path, "rb") as file:
        first = file.readline(1_000_000)
    begins = b'{"op_code":'
    try:
        whole = first.endswith(b"\n")
        journal = "op_code" in json.loads(first) if whole else first[: len(begins)] == begins[: len(first)]
    except (ValueError, TypeError) as error:
        if b'"op_code":' in first or b'"worker_id":' in first:
            raise damaged(path, 1, error) from error
        journal = False
    if not journal:
        raise StorageError(f"{path} is not a journal of searchkit's or Optuna's; it is left as it is")


def drop_stale_lock(path: Path, patience: float = 1.0) -> None:
    """Remove an append lock that a killed search left behind; only the process that has claimed the file may call this.

    A lock names the process that holds it. It is removed at once if that is a process of this machine that has ended.
    Processes that are running, such as a dashboard, hold the lock for milliseconds, so one that is unchanged for
    ``patience`` seconds is stale. Without this function, Optuna would wait until the lock's grace period is over.
    """
    lock = _append_lock(path)
    try:
        before = lock.lstat().st_mtime_ns
        if not is_gone(_text(lock)):
            if time.time() - before / 1e9 < patience:
                time.sleep(patience)
            if lock.lstat().st_mtime_ns != before:
                return
        lock.unlink()
    except FileNotFoundError:
        return


def _append_lock(path: Path) -> Path:
    return Path(f"{path}.lock")  # Optuna's name for it


def _text(lock: Path) -> str:
    if lock.is_symlink() or not lock.is_file():  # Optuna's other kind of lock is a link; a pipe would never end
        return ""
    try:
        return lock.read_text()
    except (OSError, UnicodeDecodeError):
        return ""


def _mend_last_line(path: Path) -> None:
    """Remove an incomplete last line, or end one whose end alone is damaged; create the file if it does not exist."""
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
            file.seek(end)
            line = file.read()
            whole = next((text for text in (line, line[:-1]) if _is_whole(text)), None)
            file.truncate(end if whole is None else end + len(whole))
            if whole is not None:
                file.write(b"\n")
                file.flush()
            os.fsync(file.fileno())
