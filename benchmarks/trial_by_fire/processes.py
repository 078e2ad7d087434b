"""Searches in processes of their own, and hits while they work: signals, kills, and files that may not grow."""

from __future__ import annotations

import functools
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.trial_by_fire.cases import Case
from benchmarks.trial_by_fire.comparing import Counts, compare, finished_with, on_record, undisturbed
from searchkit.errors import SearchkitError


def forked(run: Callable[[], object], said: Path) -> int:
    """The number of a process that calls ``run()``; its status is 3 after a sentence of searchkit's, 4 after others."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    status = 4
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)  # what workers say of a driver that was killed
        os.dup2(nowhere, 2)
        run()
        status = 0
    except SearchkitError as error:
        said.write_text(str(error))
        status = 3
    except KeyboardInterrupt:  # before the search began; from then on it ends by itself
        status = 0
    except BaseException:
        said.write_text(traceback.format_exc())
    finally:
        os._exit(status)


def hit_by_signals(case: Case, storages: Callable[[Path, int], Any], n_hits: int, sent: list[int], name: str) -> Counts:
    """Searches that are sent a signal again and again, until they have had so many."""
    counts, rng = Counts(f"{name}: {case.name}"), np.random.default_rng(len(case.name) + n_hits)
    expected = undisturbed(case)
    while counts.hits < n_hits:
        with tempfile.TemporaryDirectory() as folder:
            place, log = Path(folder), Path(folder, "log")
            storage, hits, before = storages(place, counts.hits), 0, dict[int, Any]()
            while counts.hits < n_hits:
                begun = length(log)
                child = forked(functools.partial(case.run, storage, log), place / "said")
                wait(log, begun, child, rng)
                time.sleep(case.slow * 10 * rng.random())
                number = sent[counts.hits % len(sent)]
                ended = os.waitpid(child, os.WNOHANG)
                if ended[0]:
                    counts.bare_errors += bare(ended[1], place / "said")
                    break
                counts.in_work += length(log) > begun and working(log)
                os.kill(child, number)
                if number == signal.SIGSTOP:
                    time.sleep(0.05)
                    os.kill(child, signal.SIGCONT)
                    os.kill(child, signal.SIGINT)
                counts.bare_errors += bare(os.waitpid(child, 0)[1], place / "said")
                counts.hits, hits = counts.hits + 1, hits + 1
                after = on_record(storage)
                compare(before, after, counts)
                before = after
            finished_with(case, storage, log, expected, counts, hits)
            counts.workers_left += left(log)
    return counts


def bare(status: int, said: Path) -> int:
    """1 for an error that was no sentence of searchkit's."""
    if os.WIFSIGNALED(status) or os.WEXITSTATUS(status) != 4:
        return 0
    print(said.read_text(), file=sys.stderr)
    return 1


def wait(log: Path, begun: int, child: int, rng: np.random.Generator) -> None:
    """Wait until work has begun, or, one time in five, only for a part of a second; or until the process has ended."""
    give_up = time.monotonic() + (rng.random() if rng.random() < 0.2 else 30)
    while length(log) == begun and time.monotonic() < give_up and _runs(child):
        time.sleep(0.001)


def length(log: Path) -> int:
    """Bytes of a log."""
    return log.stat().st_size if log.exists() else 0


def working(log: Path) -> bool:
    """Whether an evaluation had begun, and had not ended."""
    lines = log.read_text().splitlines() if log.exists() else []
    return bool(lines) and lines[-1].startswith("begin")


def left(log: Path) -> int:
    """Processes that evaluated and are still there, other than this one."""
    seen = {int(line.split()[1]) for line in log.read_text().splitlines()} - {os.getpid()} if log.exists() else set()
    give_up = time.monotonic() + 10
    while time.monotonic() < give_up and any(map(_runs, seen)):
        time.sleep(0.1)
    return sum(map(_runs, seen))


def _runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def starved(case: Case, sizes: list[int]) -> Counts:
    """Files that may not grow beyond a size, as on a full disk: the search stops with a sentence, and goes on later."""
    counts, expected = Counts(f"no room for files beyond a size: {case.name}"), undisturbed(case)
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)

            def limited(storage: Path = place, size: int = size) -> None:
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
                case.run(storage, Path(os.devnull))

            child = forked(limited, Path(os.devnull))
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            counts.hits += status != 0
            counts.bare_errors += status not in (0, 3)
            finished_with(case, place, Path(os.devnull), expected, counts, 0)
    return counts
