"""A terminal for tests: what a person would see."""

from __future__ import annotations

import os
import re
import sys
import threading

import pytest

pty = pytest.importorskip("pty")


class Terminal:
    """A context with a pseudo-terminal in place of standard output and error, whose text is kept."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._reading, writing = pty.openpty()
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", "100")
        monkeypatch.delenv("NO_COLOR", raising=False)
        self.file = open(writing, "w", buffering=1)  # noqa: SIM115 - closed below
        self._got = bytearray()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Terminal:
        self._streams = sys.stdout, sys.stderr
        sys.stdout = sys.stderr = self.file
        return self

    def __exit__(self, *error: object) -> None:
        sys.stdout, sys.stderr = self._streams
        self.file.close()
        self._reader.join(10)
        os.close(self._reading)

    def _read(self) -> None:
        try:
            while got := os.read(self._reading, 4096):
                self._got += got
        except OSError:  # the other end is closed
            pass

    def so_far(self) -> str:
        """All that was written, whole after the end."""
        return self._got.decode(errors="replace")


def plain(text: str) -> str:
    """Without colours and movements of the cursor."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
