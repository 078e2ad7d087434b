"""The process that is writing a study, and whether it is still running."""

from __future__ import annotations

import os
import re
import socket
import stat
from pathlib import Path

from searchkit.errors import StorageError

LONGEST = 100  # bytes of the text in a lock: a name of 64 for the machine, and two numbers


class ClaimedByAnotherError(StorageError):
    """Another search is writing the study."""


def this_process() -> str:
    """A text that identifies this process, which it writes into its locks."""
    return f"process {os.getpid()} on {socket.gethostname()}"


def namespace() -> str:
    """The number of the namespace in which this process has its number, since containers count their own; or ""."""
    try:
        return "".join(re.findall(r"\d+", os.readlink("/proc/self/ns/pid")))
    except OSError:  # another system than Linux, on which all processes are counted together
        return ""


def signature_in(path: Path) -> str | None:
    """What the process that has a lock, or had it last, wrote into its file; None where it cannot be read.

    The file may be anybody's: of a pipe or a device nothing is read, and of a file no more than such a text takes.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return None
        with open(path, "rb") as file:
            return file.read(LONGEST).decode()
    except (OSError, ValueError):
        return None


def is_gone(signature: str) -> bool:
    """Whether the text from a lock names a process of this machine that has ended; False if that is unknown."""
    found = re.fullmatch(r"process (\d+) on (.*)", signature, re.DOTALL)
    if found is None or found[2] != socket.gethostname() or os.name != "posix":
        return False
    try:
        os.kill(int(found[1]), 0)  # signal 0 only checks that the process exists
    except ProcessLookupError:
        return True
    except OSError:
        pass
    return False


def in_use(name: str, where: str, owner: str | None) -> ClaimedByAnotherError:
    """The error for a study that another search is writing.

    Args:
        name: of the study.
        where: the file or database that contains it.
        owner: the process that is writing it, where that is known.
    """
    by = f" ({owner})" if owner else ""
    return ClaimedByAnotherError(
        f"study '{name}' in {where} is being written by another search{by}; wait for it, or give another name"
    )
