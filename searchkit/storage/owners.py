"""The process that is writing a study, and whether it is still running."""

from __future__ import annotations

import os
import re
import socket

from searchkit.errors import StorageError


class ClaimedByAnotherError(StorageError):
    """Another search is writing the study."""


def this_process() -> str:
    """A text that identifies this process, which it writes into its locks."""
    return f"process {os.getpid()} on {socket.gethostname()}"


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
