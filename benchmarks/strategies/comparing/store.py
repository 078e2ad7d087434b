"""The cache of finished runs: a file a problem and method, a JSON line a run, shared by all environments."""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock

from benchmarks.common.tables import CACHE

FOLDER = CACHE / "compare"


@dataclass(frozen=True)
class Run:
    """One search.

    Attributes:
        key: of the code that made it: a digest of searchkit's sources, or the peer's version.
        codes: what was evaluated, in order; fewer than the budget where ``ended`` says why.
        seconds: of each suggestion.
        peak_mb: the process's greatest resident memory so far; of a block's later seeds, not less than of its first.
        error: what the method raised; such a run has no result.
    """

    problem: str
    method: str
    seed: int
    budget: int
    key: str
    codes: list[list[int]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    wall: float = 0.0
    peak_mb: float = 0.0
    ended: str = ""
    error: str = ""
    when: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)


def path_of(problem: str, method: str) -> Path:
    """The file of one problem and method."""
    return FOLDER / problem / f"{method}.jsonl"


def keep(run: Run) -> None:
    """Append a run; safe beside other processes, and behind a line that one of them did not finish."""
    path = path_of(run.problem, run.method)
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps(asdict(run), separators=(",", ":")).encode() + b"\n"
    with FileLock(f"{path}.lock"), path.open("ab+") as file:
        if file.tell():
            file.seek(-1, 2)
            if file.read(1) != b"\n":
                line = b"\n" + line
        file.write(line)


def runs(problem: str, method: str) -> Iterator[Run]:
    """All runs on record, oldest first; half a line is passed over."""
    path = path_of(problem, method)
    if not path.exists():
        return
    for line in path.read_text().splitlines():
        try:
            yield Run(**json.loads(line))
        except (ValueError, TypeError):
            continue


def sources() -> str:
    """A digest of the sources of searchkit, its strategies and its proxies, wherever they are imported from."""
    digest = hashlib.blake2b(digest_size=6)
    for name in ("searchkit", "searchkit.strategies", "searchkit.proxies"):
        file = importlib.import_module(name).__file__
        assert file is not None
        folder = Path(file).resolve().parent
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).parts
            if name != "searchkit" or parts[0] not in ("strategies", "proxies"):  # links to the two others
                digest.update(f"{name}/{'/'.join(parts)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()
