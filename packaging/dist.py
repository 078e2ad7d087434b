"""Builds the sdist and the wheel so that two builds of one commit have the same bytes: ``python packaging/dist.py``.

What setuptools writes depends on more than the sources: on the modes and times of the files, on the umask, and on the
time of the build. Here only tracked files are taken, with the modes that git keeps (0644 or 0755), the time of the
commit (or $SOURCE_DATE_EPOCH), umask 022, owner 0, and in order of their names; the wheel is built from the sdist. What
is left is the compression: compare builds of one version of Python, setuptools and zlib.

The README, which is the page on PyPI, gets whole addresses in place of paths, which would lead nowhere there.
"""

from __future__ import annotations

import argparse
import gzip
import io
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Literal

import build
import pyproject_hooks

ROOT = Path(__file__).parents[1]
FILES = "https://github.com/searchkit/searchkit/blob"
PICTURES = "https://raw.githubusercontent.com/searchkit/searchkit"


def tracked(root: Path) -> list[str]:
    """Sorted paths that git keeps under a folder, but for symbolic links: what they lead to is in the list as well.

    Raises:
        SystemExit: the folder is no checkout.
    """
    listed = _git(root, "ls-files", "-z")
    return sorted(path for path in listed.split("\0") if path and (root / path).is_file() and not _link(root, path))


def epoch(root: Path) -> int:
    """Seconds since 1970 that all files get: $SOURCE_DATE_EPOCH, or the time of the commit."""
    return int(os.environ.get("SOURCE_DATE_EPOCH") or _git(root, "log", "-1", "--format=%ct"))


def staged(root: Path, folder: Path, seconds: int) -> None:
    """Copy what is tracked, with modes and times that depend on nothing else, and the README for PyPI."""
    for path in tracked(root):
        source, copy = root / path, folder / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(source.read_bytes())
        copy.chmod(0o755 if source.stat().st_mode & 0o100 else 0o644)
        if path == "README.md":
            copy.write_text(with_addresses(copy.read_text(), _git(root, "rev-parse", "HEAD").strip()))
        os.utime(copy, (seconds, seconds))


def with_addresses(text: str, commit: str) -> str:
    """A page in Markdown whose links and pictures lead to files of a commit, on the site that has the repository."""

    def whole(found: re.Match[str]) -> str:
        return f"{found[1]}{found[2]}({PICTURES if found[1] else FILES}/{commit}/{found[3]})"

    return re.sub(r"(!?)(\[[^\]]*\])\((?!#|[a-z]+:)([^)\s]+)\)", whole, text)


def normalised(sdist: Path, seconds: int) -> None:
    """Write an sdist again: its members in order, of one time and of no owner; no folders, which nobody needs."""
    with tarfile.open(sdist) as given:
        members = {
            member.name: (member.mode, given.extractfile(member).read())  # type: ignore[union-attr]
            for member in given.getmembers()
            if member.isfile()
        }
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=tarfile.PAX_FORMAT) as made:
        for name, (mode, content) in sorted(members.items()):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime, entry.mode = len(content), seconds, 0o755 if mode & 0o100 else 0o644
            made.addfile(entry, io.BytesIO(content))
    sdist.write_bytes(gzip.compress(written.getvalue(), mtime=seconds))


def distributions(root: Path, out: Path) -> tuple[Path, Path]:
    """The sdist and the wheel of a checkout, built into a folder by the build backend that is installed here."""
    seconds = epoch(root)
    os.environ["SOURCE_DATE_EPOCH"] = str(seconds)
    before = os.umask(0o022)
    try:
        with tempfile.TemporaryDirectory() as scratch:
            source, unpacked = Path(scratch) / "source", Path(scratch) / "unpacked"
            staged(root, source, seconds)
            sdist = _built("sdist", source, out)
            normalised(sdist, seconds)
            with tarfile.open(sdist) as packed:
                packed.extractall(unpacked, filter="data")
            return sdist, _built("wheel", unpacked / sdist.name.removesuffix(".tar.gz"), out)
    finally:
        os.umask(before)


def _built(kind: Literal["sdist", "wheel"], source: Path, out: Path) -> Path:
    builder = build.ProjectBuilder(source, sys.executable, runner=pyproject_hooks.quiet_subprocess_runner)
    missing = builder.check_dependencies(kind)
    if missing:
        raise SystemExit(f"the build needs {', '.join(' '.join(chain) for chain in missing)}")
    return Path(builder.build(kind, out))


def _git(root: Path, *command: str) -> str:
    ended = subprocess.run(["git", "-C", root, *command], capture_output=True, text=True)
    if ended.returncode:
        raise SystemExit(f"{root} is built from a git checkout, and git says: {ended.stderr.strip()}")
    return ended.stdout


def _link(root: Path, path: str) -> bool:
    return any((root / part).is_symlink() for part in (Path(path), *Path(path).parents))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Build the sdist and the wheel of this checkout, reproducibly.")
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "dist", help="where they go; dist/ if not given")
    for path in distributions(ROOT, parser.parse_args().folder):
        print(path)
