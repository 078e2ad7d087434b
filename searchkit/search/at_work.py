"""A file that names the candidate in evaluation here, so that the next run knows it if the process ends meanwhile."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from searchkit.types import Codes


class AtWork:
    """A context around the evaluation of a candidate in this process: ``with at_work(code): ...``.

    The file survives a crash of the process. It is not synced to the disk: a power failure, which may lose it, is
    not caused by a candidate.

    Args:
        path: the file; None: nothing is noted, as for a record in memory.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._file: int | None = None

    def left(self) -> tuple[str, str]:
        """The note of a process that ended too early: :func:`key_of` the candidate, and the work; else "", ""."""
        if self._path is not None:
            with suppress(OSError):
                key, _, work = self._path.read_text(encoding="ascii", errors="replace").strip().partition(" ")
                return key, work
        return "", ""

    @contextmanager
    def __call__(self, code: Codes, work: str = "evaluation") -> Iterator[None]:
        """Inside, the file has a candidate ``(d,)`` and what is done with it."""
        if self._path is None:
            yield
            return
        noted = f"{key_of(code)} {work}".encode()
        self._write(noted)
        try:
            yield
        finally:
            self._write(b" " * len(noted))

    def close(self) -> None:
        """Delete the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
        if self._path is not None:
            with suppress(OSError):
                self._path.unlink(missing_ok=True)

    def _write(self, text: bytes) -> None:
        with suppress(OSError):  # such as a full disk: then the next run does not know the candidate
            if self._file is None:
                assert self._path is not None
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
            os.lseek(self._file, 0, os.SEEK_SET)
            os.write(self._file, text)


def key_of(code: Codes) -> str:
    """A candidate ``(d,)`` as text."""
    return "-".join(map(str, code.tolist()))
