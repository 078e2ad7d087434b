"""Searches that are killed, cut, damaged, interrupted and starved of disk, and what is on record afterwards.

    python -m benchmarks.trial_by_fire [--parts kills,signals,cuts,damages,disk] [--hits 40]
        [--storages journal,SQLite,PostgreSQL] [--postgresql URL]

A *hit* is one kill, signal, cut, damaged byte or full disk. After each of them the record is read and compared with
what was on record before, and the same call goes on, until the search ends; its history is compared with that of a
search that nothing disturbed. Counted are

* of the hits, those that came in the middle of an evaluation or a training;
* results that were on record before a hit and are not, or are others, after it;
* candidates that stand twice, or were evaluated again although their result was on record;
* searches that ended with another history than the undisturbed one;
* errors that were no sentence of searchkit's;
* worker processes that were still there ten seconds after their search.

Everything but the first is to be 0. The exit status is 1 where it is not.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.common.machine import describe
from benchmarks.trial_by_fire.cases import all_cases, of_a_function, of_networks
from benchmarks.trial_by_fire.comparing import Counts
from benchmarks.trial_by_fire.journals import cut, damage
from benchmarks.trial_by_fire.processes import hit_by_signals, starved


def rows(parts: list[str], kinds: list[str], hits: int, postgresql: str | None) -> Iterator[Counts]:
    """The rows of the table, as they are known."""
    storages: dict[str, Callable[[Path, int], Any]] = {
        "journal": lambda place, n: place,
        "SQLite": lambda place, n: f"sqlite:///{place}/studies.db",
    }
    if postgresql:
        storages["PostgreSQL"] = lambda place, n: _empty(postgresql)
    for kind, storage in ((kind, storages[kind]) for kind in kinds if kind in storages):
        for case in all_cases():
            if "kills" in parts:
                yield hit_by_signals(case, storage, hits, [signal.SIGKILL], f"killed, {kind}")
            if "signals" in parts and kind == "journal":
                sent = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGSTOP]
                yield hit_by_signals(case, storage, hits, sent, f"sent signals, {kind}")
    small = of_a_function("random", None)
    if "cuts" in parts:
        yield cut(small, 50 * hits)
    if "damages" in parts:
        yield from damage(small, 50 * hits, np.random.default_rng(0))
    if "disk" in parts:
        yield starved(small, np.geomspace(200, 60_000, max(4, hits // 4)).astype(int).tolist())
        yield starved(of_networks(), np.geomspace(500, 30_000, max(4, hits // 8)).astype(int).tolist())


def _empty(url: str) -> str:
    """The database, without the study of an earlier case."""
    import optuna

    with contextlib.suppress(KeyError):
        optuna.delete_study(study_name="s", storage=url)
    return url


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default="kills,signals,cuts,damages,disk")
    parser.add_argument("--storages", default="journal,SQLite,PostgreSQL", help="where searches are killed")
    parser.add_argument("--hits", type=int, default=40, help="hits of each case (40)")
    parser.add_argument("--postgresql", metavar="URL", help="an empty database of a server that may be written to")
    given = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable(logging.CRITICAL)  # damages are said by the thousand
    print(describe(), end="\n\n")
    titles = (
        "case", "hits", "in the middle of work", "results lost", "changed", "twice", "other histories", "bare errors",
        "workers left",
    )  # fmt: skip
    print(f"| {' | '.join(titles)} |\n|{'---|' * len(titles)}", flush=True)
    faults = 0
    for counts in rows(given.parts.split(","), given.storages.split(","), given.hits, given.postgresql):
        print(counts.row(), flush=True)
        faults += counts.faults
    sys.exit(int(faults > 0))
