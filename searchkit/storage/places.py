"""Checks, before any work, of a study's name and of the paths at which its files are to be written."""

from __future__ import annotations

import errno
import os
import re
import stat
from pathlib import Path

from searchkit.errors import StorageError, printable
from searchkit.runtime.whole_files import KINDS

LONGEST_FILE = 255  # bytes of a file's name
LONGEST_NAME = 199  # bytes in UTF-8: the lock that Optuna releases has a name of 56 bytes more


def check_new_name(name: object) -> str:
    """The name of a new study, checked; its files are named after it.

    Raises:
        StorageError: it is no string, has characters that file names cannot have on every system, or is too long; the
            message has the nearest valid name.
    """
    if not isinstance(name, str) or not re.fullmatch(r"[\w][\w.+ -]*", name):
        near = named(name) if isinstance(name, str) else ""
        raise StorageError(
            f"a study's name is made of letters, digits, '.', '-', '_' and spaces, and begins with a letter or digit; "
            f"not {_cut(name)}" + (f". Did you mean '{near}'?" if near else "")
        )
    if name[-1] in ". ":
        raise StorageError(
            f"a study's name does not end with a dot or a space, which some systems cut off the names of files: not "
            f"{_cut(name)}. Did you mean '{name.rstrip('. ')}'?"
        )
    size = len(name.encode())
    if size > LONGEST_NAME:
        raise StorageError(
            f"a study's name has at most {LONGEST_NAME} bytes in UTF-8, since files are named after it; {_cut(name)} "
            f"has {size}"
        )
    return name


def named(*parts: str) -> str:
    """A valid study name made of any strings: other characters become dashes, and long parts are shortened."""
    fine = [re.sub(r"[^\w.+ -]+", "-", part) for part in parts]
    while len(whole := re.sub(r"^\W+", "", "-".join(fine)).rstrip(". ").encode()) > LONGEST_NAME:
        longest = max(range(len(fine)), key=lambda i: len(fine[i]))
        fine[longest] = fine[longest][: len(fine[longest]) // 2]
    return whole.decode()


def check_file(path: Path) -> None:
    """Refuse a path that cannot be the file of a record: it has to be a regular file, or a new one in a folder.

    Raises:
        StorageError: the path is of something else, or no file can be made there; the message says why.
    """
    mode = look_at(path)
    if mode is None:
        check_folder(path.parent)
        return
    for is_kind, kind in KINDS:
        if is_kind(mode):
            raise StorageError(
                f"'{path}' is {kind}, but the record of a study is a file: move it away, or give another name or "
                "storage"
            )


def kind_of(path: Path) -> str | None:
    """What stands at a path that is no file, such as "a pipe", links followed; None for a file, or nothing."""
    mode = look_at(path)
    return None if mode is None else next((kind for is_kind, kind in KINDS if is_kind(mode)), None)


def check_folder(path: Path) -> None:
    """Refuse a path that is no folder and cannot become one.

    Raises:
        StorageError: the path, or one above it, is of something else.
    """
    for folder in (path, *path.parents):
        mode = look_at(folder)
        if mode is None:
            continue
        if not stat.S_ISDIR(mode):
            kind = next((kind for is_kind, kind in KINDS if is_kind(mode)), "a file")
            raise StorageError(f"'{folder}' is {kind}, but the files of a study need a folder: give another storage")
        return


def look_at(path: Path) -> int | None:
    """The mode (``st_mode``) of a path, following links; None if it does not exist.

    Raises:
        StorageError: the path is invalid or cannot be followed; the message says why.
    """
    try:
        return os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError as error:  # a null character, or a lone surrogate that no file's name can have
        raise StorageError(
            f"{_cut(str(path))} cannot be the name of a file: it has a character that no file's name can have"
        ) from error
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise StorageError(
                f"'{path}' is a link that leads back to itself: remove it, or give another storage"
            ) from error
        if error.errno == errno.ENAMETOOLONG:
            raise StorageError(f"{_cut(str(path))} is longer than a file's name can be: give a shorter one") from error
        raise StorageError(f"'{path}' cannot be looked at: {type(error).__name__}: {error.strerror}") from error


def _cut(given: object) -> str:
    """A name in quotes, shortened if it is long."""
    text = printable(repr(given))
    return text if len(text) <= 80 else f"{text[:60]}...{text[-12:]}"
