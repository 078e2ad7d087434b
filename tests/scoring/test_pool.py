"""Proxies in worker processes: the same scores, none lost, nothing left running."""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from torch import nn

import searchkit
from searchkit import Choice, NetworkSpace
from searchkit.cli import main
from searchkit.data.loading import load_data
from searchkit.errors import DeviceGoneError, SearchkitError
from searchkit.proxies.eproxy import Branch, Eproxy, EproxySetting
from searchkit.scoring import pool as scoring_pool
from searchkit.scoring.passes.passes import Built
from searchkit.scoring.scorer import Scorer

DRIVER = os.getpid()
N = 24  # networks, numbered; the first two are scored here, so that the pool knows what they cost
CODES = np.arange(N)[:, None]


def build(choices: Mapping[str, Any], input_shape: Sequence[int], n_classes: int) -> nn.Module:
    if choices["n"] % 10 == 9:
        raise RuntimeError("no such network")
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, n_classes))
    network.register_buffer("n", torch.tensor(choices["n"]))
    return network


SPACE = NetworkSpace([Choice("n", range(N))], build, input_shape=(1, 8, 8))
BUILT = [n for n in range(N) if n % 10 != 9]


@dataclass(frozen=True)
class Look:
    key: str = "look"

    def joined(self, other: Look) -> Look:
        return self

    def run(self, built: Built) -> int:
        return int(built.network.get_buffer("n"))


@dataclass
class Numbered:
    """Which network it is, after whatever a test wants done to it."""

    act: Callable[[int], Any] = lambda n: None
    names: tuple[str, ...] = ("n",)
    passes: tuple[Look, ...] = (Look(),)

    def values(self, recordings: Sequence[int]) -> Mapping[str, float]:
        self.act(recordings[0])
        return {"n": float(recordings[0])}


class Where:
    """Which process scored it."""

    names = ("pid",)
    passes = ()

    def values(self, recordings: Sequence[Any]) -> Mapping[str, float]:
        return {"pid": float(os.getpid())}


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes begin with the third network."""
    monkeypatch.setattr(scoring_pool, "PAYS", 0.0)


def pooled(act: Callable[[int], Any] = lambda n: None, **given: Any) -> Scorer:
    return Scorer(SPACE, [Numbered(act), Where()], workers=2, **given)


@pytest.mark.slow
@pytest.mark.parametrize(("pays", "n_here"), [(7.0, 2), (8.5, 9)])
def test_processes_begin_where_all_networks_would_take_long(
    pays: float, n_here: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each takes a second of a clock that only this test turns; the first, which warms up, is not counted: 8 s."""
    now = [0.0]
    monkeypatch.setattr(scoring_pool, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    monkeypatch.setattr(scoring_pool, "PAYS", pays)

    def act(n: int) -> None:
        if os.getpid() == DRIVER:
            now[0] += 1.0

    with pooled(act) as scorer:
        scores = scorer(CODES[:9])
    assert (scores[:, -1] == DRIVER).sum() == n_here


def said(scorer: Scorer, codes: np.ndarray = CODES) -> tuple[np.ndarray, list[str]]:
    """Scores and warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        scores = scorer(codes)
    return scores, sorted(str(warning.message) for warning in caught)


def workers_of(scores: np.ndarray) -> set[int]:
    return {int(pid) for pid in scores[:, -1] if pid == pid} - {DRIVER}


def are_gone(pids: set[int]) -> bool:
    """Whether these end, however slow the machine is."""
    for _ in range(600):
        if not any(psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie" for pid in pids):
            return True
        time.sleep(0.1)
    return False


@pytest.mark.slow
def test_processes_give_the_same_scores_to_the_bit_and_the_same_warnings_once(
    at_once: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = load_data("digits", limit=200)
    space = searchkit.load_space("nas-bench-201", width=4, cells=1)
    constant = np.stack([np.full(6, k) for k in (0, 1, 4)])
    codes = np.concatenate([space.sample(6, np.random.default_rng(0)), constant])
    quick = Eproxy(EproxySetting(steps=3, batch=4, side=4, branches=(Branch(out_channels=8, last_channels=8),) * 2))
    proxies = ["params", "jacov", "naswot", "az_nas", quick, "structure"]
    alone = Scorer(space, proxies, data, seed=3)
    pool = Scorer(space, [*proxies, Where()], data, seed=3, workers=2)
    expected, reasons = said(alone, codes)
    scores, reasons_there = said(pool, codes)
    np.testing.assert_array_equal(scores[:, :-1], expected)
    assert np.isnan(expected).any()
    assert reasons_there == reasons
    assert len(set(reasons)) == len(reasons) > 0
    used = workers_of(scores)
    assert used
    assert said(pool, codes)[1] == []
    monkeypatch.setattr(scoring_pool, "PAYS", 1e9)
    pool.cache.clear()
    pool.cache.update({key: dict(known) for key, known in alone.cache.items()})  # all but the process
    known, _ = said(pool, codes)
    np.testing.assert_array_equal(known[:, :-1], expected)
    assert DRIVER not in known[:, -1]  # the processes are there already, and score the first, too
    del pool
    gc.collect()
    assert are_gone(used)


@pytest.mark.slow
def test_scores_are_kept_as_they_come_a_killed_worker_costs_none_a_lost_device_ends_it(
    at_once: None, tmp_path: Path
) -> None:
    """One network waits until another's scores were kept here, after which some worker is killed."""
    kept: list[int] = []
    killed: list[int] = []
    released, lost = tmp_path / "released", tmp_path / "lost"

    def act(n: int) -> None:
        if n == 20 and lost.exists():
            raise DeviceGoneError("the card fell off the bus")
        if n == 4:
            limit = time.monotonic() + 60
            while not released.exists() and time.monotonic() < limit:
                time.sleep(0.01)
            if not released.exists():
                raise TimeoutError("no other score was kept in the meantime")

    def keep(code: np.ndarray, scores: Mapping[str, float]) -> None:
        kept.append(int(code[0]))
        if scores["pid"] == scores["pid"] and scores["pid"] != DRIVER and not killed:
            killed.append(int(scores["pid"]))
            os.kill(killed[0], signal.SIGKILL)
            released.touch()

    with pooled(act, on_scored=keep) as scorer:
        scores, reasons = said(scorer)
        lost.touch()
        scorer.cache.clear()
        n_kept = len(kept)
        with pytest.raises(DeviceGoneError, match="fell off"):
            said(scorer)
    assert killed
    assert sorted(kept[:n_kept]) == list(range(N))
    np.testing.assert_array_equal(scores[BUILT, 0], BUILT)
    assert reasons == [
        f"proxy '{name}' has no score for some candidates: RuntimeError: no such network" for name in ("n", "pid")
    ]


@pytest.mark.thorough
def test_a_network_that_kills_its_worker_costs_its_own_scores_only(at_once: None) -> None:
    with pooled(lambda n: os._exit(1) if n == 5 else None) as scorer:
        scores, reasons = said(scorer)
        assert np.isnan(scores[5]).all()
        others = [n for n in BUILT if n != 5]
        np.testing.assert_array_equal(scores[others, 0], others)
        assert "proxy 'n' has no score for some candidates: its worker process died" in reasons


@pytest.mark.slow
def test_an_interrupt_keeps_what_is_scored_and_ends_the_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: dict[int, float] = {}

    def keep(code: np.ndarray, scores: Mapping[str, float]) -> None:
        kept[int(code[0])] = scores["pid"]
        if len(kept) == 8:
            signal.raise_signal(signal.SIGINT)

    scorer = pooled(on_scored=keep)
    monkeypatch.setattr(scoring_pool, "PAYS", 0.0)
    with pytest.raises(KeyboardInterrupt):
        said(scorer)
    before = dict(kept)
    assert len(before) == len(scorer.cache) == 8
    used = {int(pid) for pid in before.values() if pid == pid} - {DRIVER}
    assert used
    assert are_gone(used)
    monkeypatch.setattr(scoring_pool, "PAYS", 1e9)
    scores, _ = said(scorer)
    assert len(kept) == N
    np.testing.assert_array_equal(scores[BUILT, 0], BUILT)
    np.testing.assert_array_equal(scores[list(before), 1], list(before.values()))


@pytest.mark.slow
def test_what_lacks_memory_beside_others_is_scored_again_alone(at_once: None) -> None:
    def act(n: int) -> None:
        if n in (6, 7) and os.getpid() != DRIVER:
            raise torch.OutOfMemoryError("CUDA out of memory")

    with pooled(act) as scorer:
        scores, reasons = said(scorer, CODES[:12])
        np.testing.assert_array_equal(scores[[6, 7]], [[6, DRIVER], [7, DRIVER]])
        assert are_gone(workers_of(scores))
        assert len(reasons) == 2  # of the network that cannot be built


def test_a_few_networks_start_no_process() -> None:
    with pooled() as scorer:
        scores, _ = said(scorer)
        assert workers_of(scores) == set()
        assert set(scores[BUILT, 1]) == {DRIVER}


@pytest.mark.slow
def test_what_cannot_be_had_in_another_process_is_said_before_the_work(at_once: None) -> None:
    lock = threading.Lock()
    with pytest.raises(SearchkitError, match="proxy 'n' cannot be sent to worker processes .*lock.*leave workers out"):
        pooled(lambda n: lock)

    class Unreadable:
        def __reduce__(self) -> Any:
            return __import__, ("no_module_of_this_name",)

        def __call__(self, n: int) -> None: ...

    with pooled(Unreadable()) as scorer, pytest.raises(SearchkitError, match="cannot score.*no_module_of_this_name"):
        said(scorer)


@pytest.mark.parametrize("workers", [0, -1, 1.5, True, "two"])
def test_workers_are_a_whole_number(workers: Any) -> None:
    with pytest.raises(SearchkitError, match=f"workers must be a whole number of at least 1, not {workers!r}"):
        Scorer(SPACE, [Where()], workers=workers)
    with pytest.raises(SearchkitError, match="workers must be a whole number"):
        searchkit.score("no space of this name", workers=workers)


def worker_processes() -> set[psutil.Process]:
    return {child for child in psutil.Process().children() if "popen_loky" in " ".join(child.cmdline())}


@pytest.mark.thorough
def test_the_table_and_the_command_score_with_processes(at_once: None, capsys: pytest.CaptureFixture[str]) -> None:
    alone = searchkit.score("macro", 6, proxies=("params", "synflow"))
    before = worker_processes()  # joblib keeps those of an earlier test for a while
    assert searchkit.score("macro", 6, proxies=("params", "synflow"), workers=2).equals(alone)
    assert worker_processes() <= before
    arguments = ["score", "--space", "macro", "--n", "2", "--proxies", "params", "--json"]
    assert main([*arguments, "--workers", "2"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 2
    assert main([*arguments, "--workers", "0"]) == 2
    assert "workers must be a whole number of at least 1, not 0" in capsys.readouterr().err


@pytest.mark.slow
def test_a_search_on_processes_scores_its_proposals_on_processes_too(at_once: None, tmp_path: Path) -> None:
    space = NetworkSpace([Choice("n", BUILT)], build, input_shape=(1, 8, 8))
    lock = threading.Lock()

    def act(n: int) -> None:
        (tmp_path / str(os.getpid())).touch()

    def search(executor: int | None, act: Callable[[int], Any]) -> searchkit.Result:
        given = {"objectives": {"loss": "min"}, "budget": 6, "batch": 3, "storage": "memory", "screen": 4}
        return searchkit.run(
            "random", space=space, evaluate=lambda c: {"loss": c["n"] % 7}, proxies=[Numbered(act)], executor=executor,
            **given,
        )  # fmt: skip

    together = search(2, act)
    scored_in = {int(path.name) for path in tmp_path.iterdir()}
    assert len(scored_in - {DRIVER}) > 0
    alone = search(None, act)
    unsendable = search(2, lambda n: lock)
    for other in (alone, unsendable):
        assert other.history.drop(columns="seconds").equals(together.history.drop(columns="seconds"))
    gc.collect()
    assert are_gone(scored_in - {DRIVER})


@pytest.mark.thorough
def test_a_program_that_ends_without_closing_leaves_no_process_behind(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from test_pool import CODES, pooled, said, scoring_pool, workers_of\n"
        "scoring_pool.PAYS = 0.0\n"
        "scorer = pooled()\n"
        "print(*workers_of(said(scorer)[0]))\n"
    )
    ended = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    assert not ended.stderr
    assert ended.stdout.split()
    assert are_gone({int(pid) for pid in ended.stdout.split()})
