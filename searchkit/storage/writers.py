"""Whether a search is writing a study, seen from outside: its claim is not touched, so no search is refused for it.

A claim is a lock of the operating system on a file beside the record (``storage.locks``). To try the lock would be to
hold it for a moment, in which a search that begins would be turned away. Linux lists all locks in ``/proc/locks``, in a
container those of its own processes; elsewhere, the process that the file names is looked for.
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from pathlib import Path

from searchkit.errors import StorageError
from searchkit.storage.locks import lock_path
from searchkit.storage.owners import is_gone, namespace, signature_in
from searchkit.storage.paths import StorageLike

LOCKS = Path("/proc/locks")
OF_THE_MACHINE = "4026531836"  # the namespace of processes in which Linux begins, and which sees all others


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
            None where that cannot be told: for a database's server, a storage in memory, a search on another machine or
            in another container, and for a process that lives where the system lists no locks.
        """
        try:
            path = lock_path(storage, name)
            if path is None:
                return None
            inode = path.stat().st_ino
        except FileNotFoundError:
            return False
        except (StorageError, OSError, ValueError):  # the last of names that no file can have
            return None
        if self.inodes is not None and inode in self.inodes:
            return True
        process, _, theirs = (signature_in(path) or "").partition("\n")
        if process and not process.endswith(f" on {socket.gethostname()}"):
            return None
        ours = namespace()
        sees_all, same = ours == OF_THE_MACHINE, theirs != "" and theirs == ours
        # Elsewhere its number is another process or none; older versions did not write in which namespace it is one.
        if (same or (theirs == "" and (sees_all or ours == ""))) and is_gone(process):
            return False
        listed = self.inodes is not None and (same or (sees_all and len(self.inodes) > 0))
        return False if listed else None
