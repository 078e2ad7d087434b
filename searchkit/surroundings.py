"""What a user's code may change around a search: the working folder, the home folder, the mask of new files.

A path means what it meant when it was given, so it is settled once, at the door where it is given.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from searchkit.errors import SearchkitError


def settled(path: str | os.PathLike[str]) -> Path:
    """A path as it was meant when it was given: absolute, and with ``~`` and ``~user`` expanded.

    Raises:
        SearchkitError: it is no path, or it is relative and the process has no working folder any more.
    """
    if not isinstance(path, str | os.PathLike) or not isinstance(os.fspath(path), str):
        raise SearchkitError(f"a path is a str or a pathlib.Path, not {path!r}")
    expanded = Path(os.path.expanduser(path))
    try:
        return expanded.absolute()
    except OSError as error:
        raise SearchkitError(
            f"the path '{path}' is relative, and the working folder of this process was deleted: give an absolute "
            "path, or change to a folder that is there"
        ) from error


@contextmanager
def usable() -> Iterator[None]:
    """Keep the process usable, whatever code inside does to it.

    Files that are made later have the mask (umask) that the caller had. Where the working folder was deleted, it is
    that of the caller again, since many libraries, torch among them, fail to be imported without one.
    """
    mask, folder = _mask(), _folder()
    try:
        yield
    finally:
        os.umask(mask)
        if folder is not None and _folder() is None:
            with suppress(OSError):
                os.chdir(folder)


def _mask() -> int:
    before = os.umask(0o077)
    os.umask(before)
    return before


def _folder() -> str | None:
    try:
        return os.getcwd()
    except OSError:
        return None
