"""Files that are written whole or not at all: beside their place first, and renamed when all of them are complete."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from searchkit.storage.places import kind_of


@contextlib.contextmanager
def written_whole(targets: Sequence[Path]) -> Iterator[list[Path]]:
    """Paths to write, one for each target and of its name; they replace the targets at the end of the block.

    The last target is the mark of the others: it is there only while those beside it are the ones that were written
    with it, also where the process is killed between two renames. After an exception inside, or if a file cannot be
    renamed, the targets are as they were, and folders that were made for them are gone.

    Raises:
        OSError: a folder cannot be made, or a file cannot be renamed.
    """
    real = [Path(os.path.realpath(target)) for target in targets]  # what a link names is replaced, and not the link
    for path in real:
        if (kind := kind_of(path)) not in (None, "a folder"):
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
            with open(path, "rb+") as file:
                os.fsync(file.fileno())
        _rename(partial, real)
        undo.pop_all()
    for folder in staged.values():
        shutil.rmtree(folder, ignore_errors=True)


def _rename(partial: Sequence[Path], targets: Sequence[Path]) -> None:
    """Put the files in their places, the last one last, or everything back as it was."""
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


def _remove_if_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()
