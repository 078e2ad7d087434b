"""Writing files completely or not at all: they are written to temporary files and renamed when all are complete."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from searchkit.surroundings import mask_of_new_files

KINDS = (  # what is no file
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


@contextlib.contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """A path to write beside a target, which it replaces at the end of the block; its folder is made.

    The path is the same each time, so that what a killed process left there is overwritten when the target is written
    again. One process at a time may write a target; for others there is :func:`written_whole`.

    Raises:
        OSError: the file cannot be written or renamed; what was written is removed, after any exception inside.
    """
    partial = target.with_suffix(".partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        _sync(partial)
        partial.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def written_whole(targets: Sequence[Path]) -> Iterator[list[Path]]:
    """Temporary paths to write, one for each target; the files replace the targets at the end of the block.

    The last target shows that the files are complete: it exists only together with the other files of the same call,
    also if the process is killed between two renames. After an exception inside, or if a file cannot be renamed, the
    targets are unchanged, and folders that were made for them are removed.

    Raises:
        OSError: a folder cannot be made, or a file cannot be renamed.
    """
    real = [Path(os.path.realpath(target)) for target in targets]  # of a link, its target is replaced
    for path in real:
        if (kind := _kind_of(path)) is not None:
            raise OSError(f"'{path}' is {kind}, which a file would replace")
    with contextlib.ExitStack() as undo:
        for folder in dict.fromkeys(path.parent for path in real):
            for missing in reversed([path for path in (folder, *folder.parents) if not path.exists()]):
                missing.mkdir(exist_ok=True)
                undo.callback(_remove_if_empty, missing)
        staged: dict[Path, Path] = {}
        for folder in dict.fromkeys(path.parent for path in real):
            staged[folder] = Path(tempfile.mkdtemp(prefix=".searchkit-", suffix=".partial", dir=folder))
            undo.callback(shutil.rmtree, staged[folder], ignore_errors=True)
        partial = [staged[path.parent] / path.name for path in real]
        yield partial
        for path in partial:
            path.chmod(0o666 & ~mask_of_new_files())  # some libraries write files that only their owner may read
            _sync(path)
        _rename(partial, real)
        undo.pop_all()
    for folder in staged.values():
        shutil.rmtree(folder, ignore_errors=True)


def _rename(partial: Sequence[Path], targets: Sequence[Path]) -> None:
    """Rename the files to their targets, the last one last; after an error, restore the targets."""
    with contextlib.ExitStack() as back:
        for new, target in reversed(list(zip(partial, targets, strict=True))):
            if target.is_dir():
                raise IsADirectoryError(f"'{target}' is a folder")
            if len(targets) > 1 and target.exists():
                old = new.with_name(f"{new.name}.old")
                os.replace(target, old)
                back.callback(os.replace, old, target)
        for new, target in zip(partial, targets, strict=True):
            os.replace(new, target)
            if len(targets) > 1:
                back.callback(target.unlink, missing_ok=True)
        back.pop_all()


def _sync(path: Path) -> None:
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def _remove_if_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()


def _kind_of(path: Path) -> str | None:
    """What stands at a path that is neither a file nor a folder; None for one of these, or nothing."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return None
    return next((kind for is_kind, kind in KINDS[1:] if is_kind(mode)), None)
