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
import functools
import logging
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch

import searchkit
from benchmarks.common.machine import describe
from searchkit import Choice, NetworkSpace, Space
from searchkit.errors import SearchkitError, StorageError
from searchkit.problem.trial import Trial

SPACE = Space([Choice("a", range(6)), Choice("b", ("u", "vv", "www", "xxxx")), Choice("c", (1, 2, 4, 8), ordered=True)])
BUDGET, TRAININGS = 44, 6
DIGITS = searchkit.load_data("digits", limit=300)


@dataclass
class Counts:
    """One row of the table."""

    case: str
    hits: int = 0
    in_work: int = 0
    lost: int = 0
    changed: int = 0
    twice: int = 0
    other_histories: int = 0
    bare_errors: int = 0
    workers_left: int = 0

    def row(self) -> str:
        """The row, as Markdown."""
        return f"| {' | '.join(str(getattr(self, field.name)) for field in fields(self))} |"

    @property
    def faults(self) -> int:
        """What is to be 0."""
        return sum(getattr(self, field.name) for field in fields(self)[3:])


@dataclass
class Case:
    """A search that can be begun, and continued by the same call.

    Attributes:
        run: ``(storage, log)``; appends a line to the file ``log`` where an evaluation begins, and one where it ends.
        ordered: whether its history depends on nothing but its seed.
        slow: seconds that an evaluation takes, more or less.
        at_once: evaluations that a kill may leave without a result: of each worker two, one of them sent in advance.
    """

    name: str
    run: Callable[[Any, Path], searchkit.Result]
    budget: int
    ordered: bool = True
    slow: float = 0.01
    at_once: int = 1


def evaluate(log: Path, choices: dict[str, Any]) -> dict[str, float]:
    """A function of which some values fail, and that takes some milliseconds."""
    _note(log, f"begin {os.getpid()} {choices}")
    time.sleep(0.002 * (7 * choices["a"] + 5 * choices["c"]) % 0.02)
    if choices["a"] == 3:
        raise ValueError("hidden constraint")
    _note(log, f"end {os.getpid()} {choices}")
    return {
        "loss": choices["a"] * 1.5 - choices["c"] + len(choices["b"]),
        "cost": (choices["a"] - 2) ** 2 + choices["c"],
    }


def _note(log: Path, text: str) -> None:
    with log.open("a") as file:
        file.write(text + "\n")


def of_a_function(strategy: str, executor: Any) -> Case:
    """A search of a function."""

    def run(storage: Any, log: Path) -> searchkit.Result:
        return searchkit.run(
            strategy, space=SPACE, evaluate=lambda choices: evaluate(log, choices), budget=BUDGET, batch=4,
            objectives={"loss": "min", "cost": "max"}, storage=storage, name="s", executor=executor,
        )  # fmt: skip

    return Case(
        f"{strategy}, {'one process' if executor is None else f'{executor} workers'}",
        run,
        BUDGET,
        at_once=1 if executor is None else 2 * executor,
    )


def of_networks() -> Case:
    """A search that trains networks and keeps the weights of the front."""

    def run(storage: Any, log: Path) -> searchkit.Result:
        def build(choices: dict[str, Any], shape: tuple[int, int, int], n_classes: int) -> torch.nn.Module:
            _note(log, f"begin {os.getpid()} {choices}")
            width = choices["width"]
            return torch.nn.Sequential(
                torch.nn.Flatten(), torch.nn.Linear(64, width), torch.nn.Linear(width, n_classes)
            )

        space = NetworkSpace([Choice("width", range(2, 2 + TRAININGS))], build, name="narrow")
        return searchkit.run(
            "random", space=space, data=DIGITS, budget=TRAININGS, epochs=12, batch=1, storage=storage, name="s"
        )

    return Case("trainings of networks, one process", run, TRAININGS, slow=0.1)


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


def on_record(storage: Any) -> dict[int, tuple[Any, ...]]:
    """The finished candidates, as they are on record."""
    try:
        return {trial.number: told(trial) for trial in searchkit.load("s", storage).trials if trial.finished}
    except LookupError:  # nothing was recorded yet
        return {}
    except StorageError as error:
        if "is not there" in str(error) or "no such table" in str(error):  # not even a file, or one that was being made
            return {}
        raise


def told(trial: Trial) -> tuple[Any, ...]:
    """What a record says of a candidate."""
    return (trial.batch, tuple(trial.code.tolist()), trial.state, tuple(sorted(trial.values.items())), trial.reason)


def compare(before: dict[int, Any], after: dict[int, Any], counts: Counts) -> None:
    """Count what was on record before and is not, or is something else."""
    counts.lost += sum(number not in after for number in before)
    counts.changed += sum(number in after and after[number] != held for number, held in before.items())


def finished_with(case: Case, storage: Any, log: Path, expected: Any, counts: Counts, hits: int) -> None:
    """Let a search that was hit end, and compare its history and what it evaluated."""
    before = on_record(storage)
    result = case.run(storage, log)
    compare(before, {trial.number: told(trial) for trial in result.trials}, counts)
    codes = Counter(tuple(trial.code.tolist()) for trial in result.trials)
    counts.twice += sum(n - 1 for n in codes.values())
    if case.ordered:
        counts.other_histories += not outcomes(result).equals(expected)
        begun = [line for line in log.read_text().splitlines() if line.startswith("begin")] if log.exists() else []
        if case.slow < 0.1:  # networks are built for more than one reason
            counts.twice += max(0, len(begun) - case.budget - hits * case.at_once)
    if case.slow >= 0.1:  # the weights of the front are there, and are those that were scored
        for row in range(len(result.front)):
            network = result.build(row)
            with torch.inference_mode():
                right = (network(DIGITS.val.x.float()).argmax(1) == DIGITS.val.y).double().mean().item()
            counts.changed += abs(right - result.front.iloc[row]["accuracy"]) > 1e-6


def outcomes(result: searchkit.Result) -> Any:
    """The history without seconds, and without scores on the test part: an interrupted search scores its front, too."""
    return result.history.drop(columns=["seconds", "test_accuracy"], errors="ignore")


def undisturbed(case: Case) -> Any:
    """The history of a search that nothing disturbs."""
    with tempfile.TemporaryDirectory() as folder:
        return outcomes(case.run("memory", Path(folder, "log")))


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


def all_cases() -> list[Case]:
    """The searches that are killed and sent signals."""
    return [
        *(of_a_function(strategy, None) for strategy in ("random", "nsga2", "exact", "tpe")),
        of_a_function("nsga2", 2),
        of_networks(),
    ]


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
