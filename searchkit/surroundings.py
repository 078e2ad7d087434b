"""Protection from code that changes the working folder, the home folder or the umask during a search.

A path is made absolute as soon as it is given, so that later changes do not alter its meaning.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from searchkit.errors import SearchkitError


def settled(path: str | os.PathLike[str]) -> Path:
    """The absolute path, relative to the present working folder, with ``~`` and ``~user`` expanded.

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
            "path, or change to a folder that exists"
        ) from error


@contextmanager
def usable() -> Iterator[None]:
    """Restore the umask afterwards, and the working folder if code inside changed to one that no longer exists.

    Without a working folder, imports of many libraries fail, among them torch.
    """
    mask, folder = mask_of_new_files(), _folder()
    try:
        yield
    finally:
        os.umask(mask)
        if folder is not None and _folder() is None:
            with suppress(OSError):
                os.chdir(folder)


def mask_of_new_files() -> int:
    """The umask of this process."""
    before = os.umask(0o077)
    os.umask(before)
    return before


def _folder() -> str | None:
    try:
        return os.getcwd()
    except OSError:
        return None
