"""A record keeps apart what differs, is never harmed by being read, and belongs to one search at a time."""

from __future__ import annotations

import functools
import json
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

import searchkit
from searchkit import Choice, Space
from searchkit.errors import SearchkitError, StorageError, StudyMismatchError
from searchkit.runtime.fingerprint import fingerprint
from searchkit.runtime.interrupts import uninterrupted
from searchkit.storage import journal
from searchkit.storage.journal import JournalFile

SPACE = Space([Choice("a", range(6)), Choice("b", range(6))])


def loss(choices: dict) -> dict:
    return {"loss": choices["a"] + choices["b"], "size": choices["a"] - choices["b"]}


def search(function: Callable = loss, **given) -> searchkit.Result:
    objectives = {"loss": "min", "size": "max"}
    return searchkit.run(evaluate=function, **({"space": SPACE, "objectives": objectives, "budget": 8} | given))


def scaled(choices: dict, factor: float = 1.0) -> dict:
    return {name: factor * value for name, value in loss(choices).items()}


def scaled_by(factor: float, choices: dict) -> dict:
    return scaled(choices, factor)


def made_with(factor: float) -> Callable:
    return lambda choices: scaled(choices, factor)


class Scaled:
    def __init__(self, factor: float) -> None:
        self.factor = factor

    def __call__(self, choices: dict) -> dict:
        return scaled(choices, self.factor)


@pytest.mark.parametrize(
    "make",
    [
        made_with,
        Scaled,
        lambda factor: functools.partial(scaled, factor=factor),
        lambda factor: functools.partial(scaled_by, factor),
        lambda factor: Scaled(factor).__call__,
        lambda factor: Scaled(np.array([factor])),
        lambda factor: lambda choices, factor=factor: scaled(choices, factor),
    ],
)
def test_functions_that_do_different_things_have_different_fingerprints(make: Callable) -> None:
    assert fingerprint(make(1.0)) != fingerprint(make(2.0))
    assert fingerprint(make(1.0)) == fingerprint(make(1.0))


def test_a_function_that_keeps_what_it_saw_stays_the_same() -> None:
    seen: list = []

    def function(choices: dict) -> dict:
        seen.append(choices)
        return loss(choices)

    before = fingerprint(function)
    function({"a": 1, "b": 2})
    assert fingerprint(function) == before


@pytest.mark.slow
def test_two_closures_are_two_studies_and_the_same_one_is_continued(tmp_path: Path) -> None:
    first, second = (search(made_with(factor), storage=tmp_path) for factor in (1.0, 2.0))
    assert first.name != second.name
    assert search(made_with(1.0), storage=tmp_path, budget=12).name == first.name
    assert len(searchkit.load(first.name, tmp_path).history) == 12


def test_a_changed_function_or_strategy_under_a_given_name_is_said(tmp_path: Path, caplog) -> None:
    search(storage=tmp_path, name="s")
    with caplog.at_level(logging.WARNING, "searchkit"):
        search(storage=tmp_path, name="s")
        assert not caplog.records
        search(made_with(2.0), storage=tmp_path, name="s", budget=9)
        search(made_with(2.0), storage=tmp_path, name="s", budget=10, strategy="random")
    told = [record.getMessage() for record in caplog.records]
    assert ["another version of the evaluated function or space" in line for line in told] == [True, False]
    assert "another strategy" in told[1]
    table = searchkit.list_studies(tmp_path)
    assert list(table.strategy) == ["random"], "the latest call is what is listed"


def test_objectives_in_another_order_are_another_search(tmp_path: Path) -> None:
    search(storage=tmp_path, name="s")
    with pytest.raises(StudyMismatchError, match=r"the order of objectives \(recorded loss, size, asked size, loss\)"):
        search(storage=tmp_path, name="s", objectives={"size": "max", "loss": "min"})


def test_metrics_may_be_called_like_columns_of_the_record() -> None:
    def named(choices: dict) -> dict:
        return {"seconds": choices["a"] + 0.5, "trial": choices["b"] + 100, "state": -choices["a"]}

    result = search(named, storage="memory", objectives={"seconds": "min", "trial": "max", "state": "max"}, budget=36)
    assert list(result.front["seconds"]) == [0.5]
    assert list(result.front["trial"]) == [105]
    assert list(result.history["trial (record)"]) == list(range(36))
    assert set(result.history["state (record)"]) == {"scored"}
    assert "state (record)" not in result.front


def test_a_file_of_somebody_else_is_refused_and_kept(tmp_path: Path) -> None:
    for content in ("epoch 1 loss 3\nepoch 2", "no newline", '{"a": 1}', "[1, 2]\n"):
        path = tmp_path / "train.log"
        path.write_text(content)
        with pytest.raises(StorageError, match=r"train\.log is not a journal"):
            search(storage=path)
        with pytest.raises(StorageError, match="is not a journal"):
            searchkit.list_studies(path)
        assert path.read_text() == content
        assert os.listdir(tmp_path) == ["train.log"]


def test_reading_changes_nothing_also_where_the_last_line_is_torn(tmp_path: Path) -> None:
    search(storage=tmp_path, name="s")
    path = tmp_path / "s.journal"
    path.write_bytes(path.read_bytes()[:-7])
    before = path.read_bytes(), sorted(os.listdir(tmp_path))
    assert len(searchkit.load("s", tmp_path).history) == 8
    assert len(searchkit.list_studies(tmp_path)) == 1
    assert (path.read_bytes(), sorted(os.listdir(tmp_path))) == before


def test_a_database_that_is_not_there_is_not_made_by_reading(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="does not exist"):
        searchkit.list_studies(f"sqlite:///{tmp_path}/nowhere.db")
    assert not os.listdir(tmp_path)


def test_a_broken_journal_does_not_hide_the_others(tmp_path: Path, caplog) -> None:
    search(storage=tmp_path, name="s")
    (tmp_path / "broken.journal").write_text("not a journal\n")
    with caplog.at_level(logging.WARNING, "searchkit"):
        assert list(searchkit.list_studies(tmp_path).study) == ["s"]
    assert "broken.journal is not a journal" in caplog.text


def test_a_database_study_is_driven_by_one_search(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/study.db"

    def nested(choices: dict) -> dict:
        with pytest.raises(StorageError, match="being written by another search"):
            search(storage=url, name="s")
        return loss(choices)

    assert len(search(nested, storage=url, name="s", budget=2).history) == 2
    assert len(search(storage=url, name="s", budget=4).history) == 4


class Shared(optuna.storages.journal.BaseJournalBackend):
    """A journal of a user's own, as one on a server would be: nothing to lock."""

    def __init__(self) -> None:
        self.logs: list[dict] = []

    def read_logs(self, log_number_from: int) -> Iterator[dict]:
        yield from self.logs[log_number_from:]

    def append_logs(self, logs: list[dict]) -> None:
        self.logs.extend(logs)


def test_a_study_in_a_storage_without_locks_goes_to_the_search_that_opened_it_last() -> None:
    backend = Shared()
    inner: list[searchkit.Result] = []

    def nested(choices: dict) -> dict:
        if not inner:
            inner.append(search(storage=optuna.storages.JournalStorage(backend), name="s", budget=12, batch=4))
        return loss(choices)

    with pytest.raises(StorageError, match="taken over by another search"):
        search(nested, storage=optuna.storages.JournalStorage(backend), name="s", budget=20, batch=4)
    assert len(inner[0].history) == 12


def test_a_record_that_two_searches_wrote_is_shown_but_not_continued(tmp_path: Path) -> None:
    storage = optuna.storages.InMemoryStorage()
    search(storage=storage, name="s", batch=4)
    study = optuna.load_study(storage=storage, study_name="s")
    study.add_trial(
        optuna.create_trial(
            state=optuna.trial.TrialState.COMPLETE, values=[1, 1], params=study.trials[0].params,
            distributions=study.trials[0].distributions, user_attrs={"batch": 0, "batch_size": 4},
        )
    )  # fmt: skip
    with pytest.raises(StorageError, match=r"is inconsistent at trial 8 \(batch 0\)"):
        search(storage=storage, name="s", batch=4, budget=20)
    assert len(searchkit.load("s", storage).history) == 9


def test_candidates_of_somebody_else_in_a_study_are_refused(tmp_path: Path) -> None:
    storage = optuna.storages.InMemoryStorage()
    search(storage=storage, name="s")
    optuna.load_study(storage=storage, study_name="s").enqueue_trial({"a": 1, "b": 1})
    with pytest.raises(StudyMismatchError, match=r"did not ask for \(trial 8\)"):
        search(storage=storage, name="s", budget=9)


@pytest.mark.slow
def test_a_study_killed_before_its_header_was_written_is_begun(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/study.db"
    optuna.create_study(storage=url, study_name="s", directions=["minimize", "maximize"])
    assert len(search(storage=url, name="s").history) == 8


def test_numpy_numbers_and_tuples_in_options_are_the_same_when_continued(tmp_path: Path) -> None:
    space = Space([Choice("a", (np.int64(1), np.int64(2), 3)), Choice("b", ((1, 2), (3, 4)))])

    def function(choices: dict) -> dict:
        return {"loss": choices["a"] * choices["b"][0]}

    given = {"space": space, "objectives": {"loss": "min"}, "storage": tmp_path, "name": "s"}
    search(function, budget=np.int64(3), seed=np.int64(1), **given)
    assert len(search(function, budget=6, seed=1, **given).history) == 6


def test_a_given_space_must_be_that_of_the_study(tmp_path: Path) -> None:
    search(storage=tmp_path, name="s")
    assert len(searchkit.load("s", tmp_path, space=SPACE).history) == 8
    with pytest.raises(StudyMismatchError, match="choice 'a'.options"):
        searchkit.load("s", tmp_path, space=Space([Choice("a", range(7)), Choice("b", range(6))]))


@pytest.mark.slow
def test_a_lowered_budget_is_kept_with_workers_too(tmp_path: Path) -> None:
    class StopError(Exception):
        pass

    def stop(trial, trials):
        raise StopError

    with pytest.raises(StopError):
        search(storage=tmp_path, name="s", budget=16, batch=8, callbacks=[stop])
    result = search(storage=tmp_path, name="s", budget=3, batch=8, executor=2)
    assert (result.history.state == "scored").sum() == 3


def test_two_storages_in_memory_do_not_share_networks() -> None:
    from searchkit.storage.paths import networks_folder

    one, two = optuna.storages.InMemoryStorage(), optuna.storages.InMemoryStorage()
    assert networks_folder(one, "s") == networks_folder(one, "s") != networks_folder(two, "s")
    assert networks_folder("runs/a.journal", "s") != networks_folder("runs/b.journal", "s")
    assert networks_folder("runs", "s") == networks_folder("runs/s.journal", "s")


@pytest.mark.slow
def test_a_full_disk_leaves_the_record_whole(tmp_path: Path, monkeypatch) -> None:
    sync, count = os.fsync, 0

    def full(descriptor: int) -> None:
        nonlocal count
        count += 1
        if count == 6:
            raise OSError(28, "No space left on device")
        sync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StorageError, match="cannot be written any more .*No space left.* is intact"):
            search(storage=tmp_path, name="s")
    again = search(storage=tmp_path, name="s")
    assert again.history.equals(
        search(storage=tmp_path / "other", name="s").history.assign(seconds=again.history.seconds)
    )


@pytest.mark.slow
def test_half_a_line_on_a_full_disk_is_taken_back(tmp_path: Path, monkeypatch) -> None:
    """The disk takes a part of a write and refuses the rest; the search that goes on must find whole lines only."""
    count = 0

    class Full:
        """A file that takes half of what is written to it."""

        def __init__(self, file: Any) -> None:
            self._file = file

        def __enter__(self) -> Full:
            return self

        def __exit__(self, *error: object) -> None:
            self._file.close()

        def write(self, data: bytes) -> None:
            self._file.write(data[: len(data) // 2 + 1])
            self._file.flush()
            raise OSError(28, "No space left on device")

    def opened(path: Any, mode: str = "r") -> Any:
        nonlocal count
        count += mode == "ab"
        return Full(open(path, mode)) if mode == "ab" and count == 7 else open(path, mode)

    with monkeypatch.context() as patch:
        patch.setattr(journal, "open", opened, raising=False)
        with pytest.raises(StorageError, match="cannot be written any more .*No space left.* is intact"):
            search(storage=tmp_path, name="s")
    assert count == 7
    lines = (tmp_path / "s.journal").read_bytes().splitlines(keepends=True)
    assert all(line.endswith(b"\n") and json.loads(line) for line in lines)
    again = search(storage=tmp_path, name="s")
    assert again.history.equals(
        search(storage=tmp_path / "other", name="s").history.assign(seconds=again.history.seconds)
    )


@pytest.mark.slow
def test_a_lock_that_somebody_renews_is_theirs(tmp_path: Path) -> None:
    file, lock = tmp_path / "s.journal", tmp_path / "s.journal.lock"
    lock.write_text("")
    renewed = threading.Timer(0.2, os.utime, (lock, (2e9, 2e9)))
    renewed.start()
    journal.drop_stale_lock(file, patience=0.5)
    renewed.join()
    assert lock.exists()
    os.utime(lock, (1e9, 1e9))
    journal.drop_stale_lock(file, patience=0.5)
    assert not lock.exists(), "one that nobody touches belongs to nobody"


def test_an_interrupt_waits_for_a_write(tmp_path: Path, monkeypatch) -> None:
    write, written = JournalFile._write, []

    def interrupted(journal: JournalFile, lines: list[str]) -> None:
        if len(written) == 7:
            os.kill(os.getpid(), signal.SIGINT)
        write(journal, lines)
        written.append(lines)

    monkeypatch.setattr(JournalFile, "_write", interrupted)
    result = search(storage=tmp_path, name="s", batch=1)
    assert result.stopped == "interrupted"
    assert len(written) == 8, "the write that was interrupted was finished"
    monkeypatch.undo()
    assert len(search(storage=tmp_path, name="s", batch=1).history) == 8


def test_an_interrupt_is_not_lost() -> None:
    done = False

    def held() -> None:
        nonlocal done
        with uninterrupted():
            os.kill(os.getpid(), signal.SIGINT)
            done = True

    with pytest.raises(KeyboardInterrupt):
        held()
    assert done


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"storage": 123}, "storage 123 is not known: give a folder"),
        ({"storage": "study.db"}, "names a database: write 'sqlite:///study.db'"),
        ({"name": 5}, "a study's name is made of letters"),
        ({"proxies": 5}, "proxies are names"),
        ({"constraints": "loss<3"}, "constraints are a mapping"),
        ({"constraints": [1]}, "constraints are a mapping"),
        ({"callbacks": [3]}, "callbacks are functions"),
        ({"strategy": lambda problem: 3}, "made 3, which has no ask and tell"),
        ({"seed": 2**130}, "seed must be a whole number from 0 to 4,294,967,295"),
        ({"time_limit": 0}, "time_limit must be a number of seconds above 0, not 0"),
        ({"data": "digits"}, "data set how networks are trained, but evaluate= was given"),
        ({"epochs": 3, "device": "cpu"}, "device and epochs set how"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_sentence(given, words, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SearchkitError, match=words):
        search(**({"storage": "memory"} | given))
    assert not os.listdir(tmp_path)


def test_a_strategy_that_cannot_be_made_says_why() -> None:
    from searchkit.strategies.nsga2 import NSGA2

    for option, words in (({"population": 1}, "population must be at least 2"), ({"pop": 9}, "unexpected keyword")):
        with pytest.raises(SearchkitError, match=f"strategy 'nsga2' cannot be made.*{words}"):
            search(strategy=functools.partial(NSGA2, **option), storage="memory")


def test_nothing_given_is_nothing() -> None:
    assert len(search(storage="memory", proxies=None, callbacks=None, constraints=None).history) == 8


def test_network_searches_with_other_builders_or_metrics_are_other_studies(tmp_path: Path) -> None:
    from torch import nn

    def space(bias: bool) -> searchkit.NetworkSpace:
        def build(choices: dict, input_shape: tuple[int, int, int], n_classes: int) -> nn.Module:
            return nn.Sequential(nn.Flatten(), nn.Linear(64, choices["n"]), nn.Linear(choices["n"], n_classes, bias))

        return searchkit.NetworkSpace([Choice("n", (2, 4, 8))], build)

    def last(power: int) -> searchkit.Metric:
        return searchkit.Metric("size", lambda network: sum(p.numel() for p in network.parameters()) ** power)

    calls = [(space(True), last(1)), (space(False), last(1)), (space(True), last(2)), (space(True), last(1))]
    results = [
        searchkit.run("random", space=space, objectives=(metric, "params"), budget=2, storage=tmp_path)
        for space, metric in calls
    ]
    names = [result.name for result in results]
    assert len(set(names[:3])) == 3
    assert names[3] == names[0]


@pytest.mark.slow
def test_an_error_in_a_memory_search_leaves_no_folder_behind(tmp_path: Path, tmp_path_factory, monkeypatch) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path_factory.mktemp("torch")))  # torch makes it
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    cells = searchkit.load_space("nas-bench-201", width=4, cells=1)

    def fail(trial, trials):
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        searchkit.run("random", space=cells, budget=1, epochs=1, storage="memory", callbacks=[fail])
    assert not os.listdir(tmp_path)
