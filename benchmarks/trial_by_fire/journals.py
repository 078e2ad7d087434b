"""Hits on the journal of a search that has ended: it is cut, as after a power failure, or a byte of it is damaged."""

from __future__ import annotations

import contextlib
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import searchkit
from benchmarks.trial_by_fire.cases import Case
from benchmarks.trial_by_fire.comparing import Counts, compare, finished_with, on_record, told, undisturbed
from searchkit.errors import SearchkitError


@contextlib.contextmanager
def a_journal(case: Case) -> Iterator[tuple[Path, bytes]]:
    """The journal of a finished search, and its content."""
    with tempfile.TemporaryDirectory() as folder:
        case.run(Path(folder), Path(folder, "log"))
        path = Path(folder, "s.journal")
        yield path, path.read_bytes()


def cut(case: Case, n: int) -> Counts:
    """A journal that ends after any of its bytes, as after a power failure; each tenth one is continued."""
    counts, expected = Counts("journal cut"), undisturbed(case)
    with a_journal(case) as (path, content):
        whole = on_record(path.parent)
        for end in np.linspace(0, len(content) - 1, n).astype(int).tolist():
            path.write_bytes(content[:end])
            counts.hits += 1
            held = on_record(path.parent)
            compare(held, whole, counts)
            n_ended = sum(b'"datetime_complete"' in line for line in content[:end].split(b"\n")[:-1])
            counts.lost += max(0, n_ended - len(held))
            if counts.hits % 10 == 0:
                (path.parent / "none").unlink(missing_ok=True)
                finished_with(case, path.parent, path.parent / "none", expected, counts, 0)
    return counts


def damage(case: Case, n: int, rng: np.random.Generator) -> tuple[Counts, Counts]:
    """A byte of a journal that is another one: whether the study is refused, or as it was; and what is repaired."""
    named, saved = Counts("a byte of a journal damaged"), Counts("the same journals repaired")
    with a_journal(case) as (path, content):
        whole = on_record(path.parent)
        for place in np.linspace(0, len(content) - 1, n).astype(int).tolist():
            other = bytearray(content)
            other[place] ^= int(rng.integers(1, 256))
            path.write_bytes(other)
            named.hits += 1
            try:
                compare(whole, on_record(path.parent), named)  # nothing is lost where nothing is refused
            except SearchkitError as error:
                named.bare_errors += "damaged" not in str(error)
            except Exception:
                traceback.print_exc()
                named.bare_errors += 1
            else:
                continue
            saved.hits += 1
            try:
                repaired = searchkit.repair("s", path.parent)
                held = {trial.number: told(trial) for trial in searchkit.load("s", repaired).trials if trial.finished}
                repaired.unlink()
            except Exception:
                traceback.print_exc()
                saved.bare_errors += 1
                continue
            found = {what[1]: what[2:] for what in held.values()}  # numbers move up where a candidate is gone
            before = {what[1]: what[2:] for what in whole.values()}
            saved.lost += max(0, len(before) - 1 - len(found))  # the outcome in a damaged line may be gone
            differing = sum(before.get(code) != what for code, what in found.items())
            saved.changed += max(0, differing - 1)  # a damaged line may have held a part of one
    return named, saved
