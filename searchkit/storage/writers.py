"""Whether a search is writing a study, seen from outside: its claim is not touched, so no search is refused for it.

A claim is a lock of the operating system on a file beside the record (``storage.locks``). To try the lock would be to
hold it for a moment, in which a search that begins would be turned away. Linux lists all locks of a machine in
``/proc/locks``; elsewhere, the process that the file names is looked for.
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from pathlib import Path

from searchkit.errors import StorageError
from searchkit.storage.locks import lock_path
from searchkit.storage.owners import is_gone
from searchkit.storage.paths import StorageLike

LOCKS = Path("/proc/locks")


@dataclass(frozen=True)
class Locks:
    """The locks of this machine at one moment: inode numbers of the files; None where the system lists none."""

    inodes: frozenset[int] | None

    @classmethod
    def now(cls) -> Locks:
        """Read the list; it takes a fraction of a millisecond, whatever the number of studies."""
        try:
            listed = LOCKS.read_text()
        except OSError:
            return cls(None)
        # "1: FLOCK  ADVISORY  WRITE 4711 fe:00:2261311 0 EOF"; an arrow before the kind is one that waits
        held = re.findall(r"^\d+: (?:FLOCK|POSIX|OFDLCK) .*? \w+:\w+:(\d+) ", listed, re.MULTILINE)
        return cls(frozenset(map(int, held)))

    def is_written(self, storage: StorageLike, name: str) -> bool | None:
        """Whether a search is writing a study now.

        Returns:
            None where that cannot be told: for a database's server, a storage in memory, a search on another machine.
        """
        try:
            path = lock_path(storage, name)
            if path is None:
                return None
            inode = path.stat().st_ino
        except FileNotFoundError:
            return False
        except (StorageError, OSError):
            return None
        try:
            signature = path.read_text()[:100]
        except (OSError, UnicodeDecodeError):
            signature = ""
        if is_gone(signature):
            return False
        elsewhere = signature != "" and not signature.endswith(f" on {socket.gethostname()}")
        if self.inodes is not None and (inode in self.inodes or not elsewhere):
            return inode in self.inodes
        return None if elsewhere or not signature else True
