"""Decoded pictures of one size in a file, so that only the first search over a folder decodes them.

A file holds the bytes of the pictures one after the other, those of each part together; beside it is a note of which
pictures these are. Files may be deleted when no search uses them.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from filelock import FileLock

from searchkit.data.pictures import Broken, BrokenPictureError, Shape, decoded, header
from searchkit.data.splits import Mapped, Split, mapped_split, split_of
from searchkit.errors import DataError, plural
from searchkit.runtime.cores import n_cores
from searchkit.surroundings import settled

log = logging.getLogger("searchkit.data")
T = TypeVar("T")

_AT_ONCE = 1_000  # pictures that wait for a thread at a time
_FORM = 1  # of the files: another number where their bytes would be others


@dataclass(frozen=True)
class Decoded:
    """A file of decoded pictures.

    Attributes:
        path: of the bytes; picture after picture, ``(channels, height, width)`` each.
        kept: of the pictures that were asked for, in order, those that are in the file; others could not be read.
    """

    path: Path
    kept: list[int]

    def parts(self, y: Sequence[npt.NDArray[Any]], wanted: Shape, memory: float) -> list[Split]:
        """The parts of the pictures that were asked for: in memory where there is room, else as a map of the file.

        Args:
            y: targets of each part's pictures, with those that are not in the file.
            memory: bytes that there are for all.
        """
        every, kept = np.concatenate(y), np.array(self.kept, dtype=np.int64)
        of_one = int(np.prod(wanted.shape))
        splits = []
        for first, end in pairwise([0, *np.searchsorted(kept, np.cumsum([len(part) for part in y])).tolist()]):
            mine = every[kept[first:end]]
            if len(kept) * of_one > memory and end > first:
                splits.append(mapped_split(Mapped(str(self.path), wanted.shape, first, end - first), mine))
            else:
                x = np.fromfile(self.path, np.uint8, (end - first) * of_one, offset=first * of_one)
                splits.append(split_of(x.reshape(-1, *wanted.shape), mine))
        return splits


def decode_all(files: Sequence[Path], wanted: Shape, broken: Broken) -> Decoded:
    """The bytes of all pictures, decoded now or by an earlier call with the same files.

    Raises:
        DataError: a picture cannot be read and is not to be skipped, or the file cannot be written.
    """
    folder = cache_folder()
    key = _key(files, wanted)
    path, note = folder / f"{key}.bytes", folder / f"{key}.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f"{key}.lock"):  # another process may be at it
            if not _whole(path, note, int(np.prod(wanted.shape))):
                _write(files, wanted, path, note)
            kept, unread = _read(note)
    except OSError as error:
        raise DataError(
            f"decoded pictures cannot be kept in '{folder}': {error}. Set SEARCHKIT_CACHE to a folder with more room"
        ) from error
    settle_unread(unread, broken)
    return Decoded(path, kept)


def cache_folder() -> Path:
    """Where decoded pictures are kept: in ``$SEARCHKIT_CACHE``, else in the user's folder for caches."""
    own = os.environ.get("SEARCHKIT_CACHE")
    base = settled(own) if own else settled(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "searchkit"
    return base / "pictures"


def _write(files: Sequence[Path], wanted: Shape, path: Path, note: Path) -> None:
    log.info("decoding %s to %s", plural(len(files), "picture"), "x".join(map(str, wanted.shape)))
    parts = path.with_suffix(".partial")
    kept: list[int] = []
    unread: list[str] = []
    try:
        with parts.open("wb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata
            for at, pixels in enumerate(read_all(files, lambda path: decoded(path, wanted).tobytes())):
                if isinstance(pixels, BrokenPictureError):
                    unread.append(str(pixels))
                else:
                    file.write(pixels)
                    kept.append(at)
        parts.replace(path)
        parts.write_text(json.dumps({"kept": kept, "unread": unread}))
        parts.replace(note)
    finally:
        with suppress(OSError):
            parts.unlink(missing_ok=True)


def read_all(files: Sequence[Path], read: Callable[[Path], T]) -> Iterator[T | BrokenPictureError]:
    """What ``read`` says of each file, in order; or why one cannot be read."""

    def one(path: Path) -> T | BrokenPictureError:
        try:
            return read(path)
        except BrokenPictureError as error:
            return error

    with ThreadPoolExecutor(n_cores()) as pool:  # decoders of pictures release Python's lock
        for start in range(0, len(files), _AT_ONCE):
            yield from pool.map(one, files[start : start + _AT_ONCE])


def headers_of(files: Sequence[Path], broken: Broken) -> dict[Path, tuple[str, int, int]]:
    """Mode, width and height of every picture that has them.

    Raises:
        DataError: one cannot be read and is not to be skipped.
    """
    found = dict(zip(files, read_all(files, header), strict=True))
    settle_unread([str(error) for error in found.values() if isinstance(error, BrokenPictureError)], broken)
    return {path: one for path, one in found.items() if not isinstance(one, BrokenPictureError)}


def settle_unread(unread: Sequence[str], broken: Broken) -> None:
    """Warn of pictures that cannot be read, or refuse them.

    Raises:
        DataError: there are some, and they are not to be skipped.
    """
    if not unread:
        return
    more = f", and {plural(len(unread) - 1, 'other')}" if len(unread) > 1 else ""
    if broken == "refuse":
        raise DataError(f"{unread[0]}{more}; mend or remove it, or skip such files: broken='skip'")
    log.warning("%s left out, which cannot be read: %s%s", plural(len(unread), "picture"), unread[0], more)


def _whole(path: Path, note: Path, of_one: int) -> bool:
    """Whether the files are there, and neither is damaged."""
    try:
        return path.stat().st_size == len(_read(note)[0]) * of_one
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _read(note: Path) -> tuple[list[int], list[str]]:
    held = json.loads(note.read_text())
    return held["kept"], held["unread"]


def _key(files: Sequence[Path], wanted: Shape) -> str:
    """Other files, also files that were changed since, and another size have other bytes."""
    digest = hashlib.sha256(repr((_FORM, wanted)).encode())
    for path in files:
        try:
            state = path.stat()
        except OSError as error:
            raise DataError(f"picture {path} cannot be read: {error.strerror or error}") from error
        digest.update(f"{path}\0{state.st_size} {state.st_mtime_ns}\0".encode(errors="surrogateescape"))
    return digest.hexdigest()[:24]
