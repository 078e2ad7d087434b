"""Databases that restart, cut their connections or are locked in the middle of a search: it waits, and goes on."""

from __future__ import annotations

import itertools
import logging
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from helpers.killing import forked
from helpers.marks import thorough_if
from helpers.postgresql import (
    postgresql,  # noqa: F401 - a fixture
    start,
    stop,
)
from storage.test_databases import history, loss, new_database, search, statement

import searchkit
from searchkit.errors import StorageError
from searchkit.problem.trial import Trial
from searchkit.storage import patience

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")


def cut(address: str) -> None:
    others = "WHERE pid <> pg_backend_pid() AND datname = current_database()"
    statement(address, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity {others}")


def restart(address: str) -> None:
    stop(address)
    start(address)


def restart_late(address: str) -> None:
    stop(address)
    start(address, after=1)


def crash(address: str) -> None:
    stop(address, signal.SIGQUIT)
    start(address)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("disturb", "as_object"),
    thorough_if(
        lambda disturb, as_object: as_object != (disturb is cut),
        itertools.product((cut, restart, restart_late, crash), (False, True)),
    ),
)
def test_a_search_goes_on_when_its_server_is_disturbed_at_any_time(
    disturb: Callable[[str], None],
    as_object: bool,
    postgresql: str,  # noqa: F811
    caplog: pytest.LogCaptureFixture,
) -> None:
    address = new_database(postgresql)
    url = address.replace("postgresql:", "postgresql+psycopg:")
    storage: Any = optuna.storages.RDBStorage(url) if as_object else address
    calls: list[dict] = []

    def disturbed(choices: dict) -> dict:
        calls.append(choices)
        if len(calls) in (2, 4):  # in the middle of a batch; before the last outcome of a batch
            disturb(address)
        return loss(choices)

    def between(trial: Trial, trials: object) -> None:
        if trial.number == 3:  # before the next batch is asked for
            disturb(address)

    with caplog.at_level(logging.WARNING, "searchkit"):
        result = search(storage, function=disturbed, callbacks=[between])
    assert result.history.drop(columns="seconds").equals(history("memory"))
    assert len(calls) == 8, "nothing is evaluated twice"
    assert searchkit.load("s", address).history.equals(result.history)
    assert "does not answer" in caplog.text
    assert "answers again" in caplog.text
    if as_object and disturb is not restart_late:
        disturb(address)  # the connections that the storage has kept are of no use now
        assert len(searchkit.load("s", storage).trials) == 8
        assert len(searchkit.list_studies(storage)) == 1
        storage.engine.dispose()


@pytest.mark.slow
def test_what_the_server_committed_before_it_was_cut_is_not_written_twice(postgresql: str) -> None:  # noqa: F811
    """A trigger ends the search's connection at the moment of the commit of an outcome or a batch."""
    address = new_database(postgresql)
    search(address, budget=4)
    for table in ("trials", "trial_values"):
        statement(
            address,
            "CREATE OR REPLACE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "IF (SELECT nextval('cuts')) <= 2 THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF; "
            "RETURN NULL; END $$; CREATE SEQUENCE IF NOT EXISTS cuts; "
            f"CREATE CONSTRAINT TRIGGER cut AFTER INSERT ON {table} DEFERRABLE INITIALLY DEFERRED "
            "FOR EACH ROW EXECUTE FUNCTION cut()",
        )
    assert history(address).equals(history("memory"))
    assert statement(address, "SELECT count(*) FROM trials") == [(8,)]


@pytest.mark.slow
@pytest.mark.parametrize("still_there", [True, pytest.param(False, marks=pytest.mark.thorough)])
def test_a_study_that_another_search_claimed_meanwhile_is_left_to_it(
    still_there: bool,
    postgresql: str,  # noqa: F811
    tmp_path: Path,
) -> None:
    address = new_database(postgresql)
    ready, end = tmp_path / "ready", tmp_path / "end"
    children: list[int] = []

    def slow(choices: dict) -> dict:
        ready.touch()
        while not end.exists():
            time.sleep(0.01)
        return loss(choices)

    def lose(choices: dict) -> dict:
        cut(address)
        children.append(forked(lambda: search(address, function=slow)))
        while not ready.exists():
            time.sleep(0.01)
        if not still_there:
            end.touch()
            os.waitpid(children[0], 0)
        return loss(choices)

    try:
        with pytest.raises(StorageError, match="study 's' was taken over by another search; this one stops"):
            search(address, function=lose)
    finally:
        end.touch()
    assert len(children) == 1, "it stopped at its first outcome"
    if still_there:
        os.waitpid(children[0], 0)
    assert history(address).equals(history("memory"))


@pytest.mark.slow
def test_a_server_that_stays_down_ends_the_search_with_what_to_do(
    postgresql: str,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    address = new_database(postgresql)
    monkeypatch.setattr(patience, "WAIT", 1.5)

    def down(trial: Trial, trials: object) -> None:
        if trial.number == 1:
            stop(address)

    words = "did not answer for 1.5 seconds .*refused.*check that it runs .*is intact, and the same call continues"
    try:
        with pytest.raises(StorageError, match=words):
            search(address, callbacks=[down])
        with pytest.raises(StorageError, match="cannot be opened"):
            searchkit.load("s", address)
    finally:
        start(address)
    assert sum(trial.finished for trial in searchkit.load("s", address).trials) == 2
    assert history(address).equals(history("memory"))


@pytest.mark.slow
def test_a_lock_of_another_program_is_waited_for_by_all_doors(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "studies.db"
    engine = {"connect_args": {"timeout": 0.1}}  # of a user's storage, which gives up at once
    search(f"sqlite:///{path}", "another", budget=2)
    other = sqlite3.connect(path, check_same_thread=False, isolation_level=None)

    def locked() -> None:
        other.execute("BEGIN EXCLUSIVE")
        threading.Timer(0.4, other.rollback).start()

    def meanwhile(choices: dict) -> dict:
        locked()
        return loss(choices)

    storage = optuna.storages.RDBStorage(f"sqlite:///{path}", engine_kwargs=engine)
    assert history(storage, function=meanwhile, budget=4).equals(history("memory", budget=4))
    assert "database is locked" in caplog.text
    assert "answers again" in caplog.text
    for door in (lambda: searchkit.load("s", storage).trials, lambda: searchkit.list_studies(storage)):
        locked()
        assert len(door())
    locked()
    assert len(search(storage, budget=5).history) == 5
    other.close()
