"""Which process has a study open, and whether it is still there."""

from __future__ import annotations

import os
import re
import socket

from searchkit.errors import StorageError


def this_process() -> str:
    """The signature of this process."""
    return f"process {os.getpid()} on {socket.gethostname()}"


def is_gone(signature: str) -> bool:
    """Whether a signature is of a process of this machine that has ended; False where nobody can say."""
    found = re.fullmatch(r"process (\d+) on (.*)", signature, re.DOTALL)
    if found is None or found[2] != socket.gethostname() or os.name != "posix":
        return False
    try:
        os.kill(int(found[1]), 0)  # asks whether it is there
    except ProcessLookupError:
        return True
    except OSError:
        pass
    return False


def in_use(name: str, where: str, holder: str | None) -> StorageError:
    """The sentence for a study that another search writes.

    Args:
        name: of the study.
        where: the file or database that has it.
        holder: who has it open, where that is known.
    """
    by = f" ({holder})" if holder else ""
    return StorageError(
        f"study '{name}' in {where} is being written by another search{by}; wait for it, or give another name"
    )
