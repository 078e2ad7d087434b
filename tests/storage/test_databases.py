"""Studies in databases: claimed by one search, written whole, and refused in words where they cannot be used."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import optuna
import pytest
from helpers.killing import forked
from helpers.postgresql import postgresql  # noqa: F401 - a fixture
from sqlalchemy import Engine, create_engine, event, text

import searchkit
from searchkit import Choice, Space
from searchkit.errors import SearchkitError, StorageError, StudyMismatchError
from searchkit.storage.database import shown

SPACE = Space([Choice("a", range(6)), Choice("b", range(6))])


def loss(choices: dict) -> dict:
    return {"loss": choices["a"] + choices["b"], "size": choices["a"] - choices["b"]}


def search(storage: Any, name: str = "s", function: Callable = loss, **given: Any) -> searchkit.Result:
    objectives = {"loss": "min", "size": "max"}
    return searchkit.run(
        "nsga2", evaluate=function, storage=storage, name=name,
        **{"space": SPACE, "objectives": objectives, "budget": 8, "batch": 4} | given,
    )  # fmt: skip


def history(storage: Any, name: str = "s", **given: Any) -> Any:
    return search(storage, name, **given).history.drop(columns="seconds")


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of a database of this test's own, empty."""
    if request.param == "SQLite":
        return f"sqlite:///{tmp_path}/studies.db"
    return new_database(request.getfixturevalue("postgresql"))


def new_database(server: str) -> str:
    name = f"test{time.time_ns()}"
    engine = create_engine(server.replace("postgresql:", "postgresql+psycopg:"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return server.rpartition("/")[0] + "/" + name


def statement(url: str, words: str) -> Any:
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        result = connection.execute(text(words))
        answer = result.fetchall() if result.returns_rows else None
    engine.dispose()
    return answer


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_two_searches_in_one_new_database_at_once_do_not_disturb_each_other(url: str) -> None:
    search("memory")  # imports what the forks need
    children = [forked(lambda seed=seed: search(url, f"s{seed}", seed=seed, budget=16)) for seed in (0, 1)]
    for child in children:
        _, status = os.waitpid(child, 0)
        assert status == 0
    for seed in (0, 1):
        alone = history("memory", seed=seed, budget=16)
        assert searchkit.load(f"s{seed}", url).history.drop(columns="seconds").equals(alone)


@pytest.mark.slow
def test_a_study_is_opened_by_one_search_and_the_other_hears_by_which(url: str) -> None:
    def nested(choices: dict) -> dict:
        with pytest.raises(StorageError, match=rf"'s' in .* by another search \(.*process {os.getpid()} on .*\); wait"):
            search(url)
        assert len(searchkit.load("s", url).trials) == 4, "who only reads is let in"
        search(url, "another", budget=1)
        return loss(choices)

    search(url, function=nested, budget=4, callbacks=[stop])
    assert history(url).equals(history("memory"))


def stop(trial: object, trials: object) -> None:
    raise searchkit.StopSearch


def in_memory(tmp_path: Path) -> optuna.storages.BaseStorage:
    return optuna.storages.InMemoryStorage()


def relational(tmp_path: Path) -> optuna.storages.BaseStorage:
    return optuna.storages.RDBStorage(f"sqlite:///{tmp_path}/studies.db")


def cached(tmp_path: Path) -> optuna.storages.BaseStorage:
    return optuna.storages.get_storage(f"sqlite:///{tmp_path}/studies.db")


def in_memory_sql(tmp_path: Path) -> optuna.storages.BaseStorage:
    return optuna.storages.RDBStorage("sqlite:///:memory:")


def journal(tmp_path: Path) -> optuna.storages.BaseStorage:
    backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / "studies.log"))
    return optuna.storages.JournalStorage(backend)


@pytest.mark.slow
@pytest.mark.parametrize("make", [in_memory, relational, cached, in_memory_sql, journal])
def test_an_object_of_optunas_is_claimed_too(make: Callable, tmp_path: Path) -> None:
    storage = make(tmp_path)
    others = [storage] if make in (in_memory, in_memory_sql) else [storage, make(tmp_path)]

    def nested(choices: dict) -> dict:
        for other in others:
            with pytest.raises(StorageError, match=r"written by another search \(.*process.*\)"):
                search(other)
        return loss(choices)

    search(storage, function=nested, budget=4, callbacks=[stop])
    assert history(storage).equals(history("memory"))
    assert len(optuna.load_study(study_name="s", storage=storage).trials) == 8


@pytest.mark.slow
def test_a_relational_object_on_a_server_is_claimed_like_its_url(postgresql: str) -> None:  # noqa: F811
    address = new_database(postgresql).replace("postgresql:", "postgresql+psycopg:")
    storage = optuna.storages.RDBStorage(address)

    def nested(choices: dict) -> dict:
        for other in (storage, address):
            with pytest.raises(StorageError, match="written by another search"):
                search(other)
        return loss(choices)

    search(storage, function=nested, budget=4, callbacks=[stop])
    assert history(storage).equals(history("memory"))
    storage.engine.dispose()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_forked_workers_that_outlive_a_killed_search_do_not_keep_its_study(url: str, tmp_path: Path) -> None:
    search("memory")
    worker = tmp_path / "worker"

    def killed() -> None:
        def slow(choices: dict) -> dict:
            worker.write_text(str(os.getpid()))
            time.sleep(60)
            return loss(choices)

        with ProcessPoolExecutor(1, mp_context=get_context("fork")) as pool:
            search(url, function=slow, executor=pool)

    driver = forked(killed)
    while not worker.exists() or not worker.read_text():
        time.sleep(0.01)
    os.kill(driver, signal.SIGKILL)
    os.waitpid(driver, 0)
    try:
        assert history(url).equals(history("memory"))
    finally:
        os.kill(int(worker.read_text()), signal.SIGKILL)


@pytest.mark.slow
def test_what_belongs_together_is_one_transaction(url: str) -> None:
    n = 0

    def count(connection: object) -> None:
        nonlocal n
        n += 1

    search(url, budget=4)
    event.listen(Engine, "commit", count)
    try:
        search(url, budget=4)
        n_opening, n = n, 0
        search(url, budget=12)
    finally:
        event.remove(Engine, "commit", count)
    assert n - n_opening == 1 + 2 + 8, "what the call was, two batches and eight outcomes"


@pytest.mark.slow
def test_another_optunas_tables_are_refused_with_what_to_do(url: str) -> None:
    search(url)
    (known,) = statement(url, "SELECT version_num FROM alembic_version")
    for version, words in (
        ("v9.9.9.a", "newer Optuna .*pip install --upgrade optuna"),
        ("v2.6.0.a", "storage upgrade"),
    ):
        statement(url, f"UPDATE alembic_version SET version_num = '{version}'")
        for call in (search, searchkit.list_studies):
            with pytest.raises(StorageError, match=words):
                call(url)
    statement(url, f"UPDATE alembic_version SET version_num = '{known[0]}'")
    assert len(search(url, budget=9).history) == 9


@pytest.mark.slow
def test_a_record_of_a_newer_searchkit_is_refused_and_kept(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path}/studies.db"
    search(address)
    study = optuna.load_study(study_name="s", storage=address)
    study.set_user_attr("searchkit", study.user_attrs["searchkit"] | {"format": 99, "version": "9.0"})
    for call in (search, lambda storage: searchkit.load("s", storage)):
        with pytest.raises(StudyMismatchError, match=r"format 99 by searchkit 9\.0, which is newer.*update searchkit"):
            call(address)
    assert len(study.trials) == 8


def test_a_server_that_is_not_there_is_said_without_the_password() -> None:
    pytest.importorskip("psycopg")
    began = time.monotonic()
    for call in (search, searchkit.list_studies):
        with pytest.raises(StorageError, match=r"'postgresql://me:\*\*\*@127.0.0.1:1/x' cannot be opened: .*refused"):
            call("postgresql://me:secret@127.0.0.1:1/x")
    assert time.monotonic() - began < 30
    assert "secret" not in shown("postgresql://me:secret@host/x") + shown("no url://me:secret@host/x")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("postgresql://host/x", r'psycopg, which is not installed: pip install "searchkit-nas\[postgresql\]"'),
        ("postgresql+psycopg://host/x", r'pip install "searchkit-nas\[postgresql\]"'),
        ("mysql+pymysql://host/x", "needs the package pymysql, which is not installed: pip install pymysql"),
        ("postgersql://host/x", "names a database 'postgersql' that is not known: .* Did you mean 'postgresql'"),
        ("sqlite//:x://", "is no database's URL: write 'sqlite:///study.db'"),
    ],
)
def test_a_driver_that_is_missing_is_named_before_any_work(
    given: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("psycopg", "psycopg2", "pymysql"):
        monkeypatch.setitem(sys.modules, module, None)

    def never(choices: dict) -> dict:
        raise AssertionError("evaluated")

    with pytest.raises(StorageError, match=words):
        search(given, function=never)


@pytest.fixture(scope="module")
def broken_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    path = tmp_path_factory.mktemp("whole") / "whole.db"
    search(f"sqlite:///{path}", budget=30)
    whole = path.read_bytes()
    return {
        "text": b"no database, but a file of somebody's, and longer than a header of one hundred bytes" * 9,
        "the first half": whole[: len(whole) // 2],
        "a hole": whole[:4096] + b"\xff" * (len(whole) - 4096),
        "the header alone": whole[:100],
    }


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["text", "the first half", "a hole", "the header alone"])
def test_a_broken_sqlite_file_is_refused_and_left_as_it_is(
    kind: str, broken_files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wait(seconds: float) -> None:
        raise AssertionError("waiting mends no file")

    monkeypatch.setattr(time, "sleep", wait)
    path, content = tmp_path / "broken.db", broken_files[kind]
    path.write_bytes(content)
    for call in (search, searchkit.list_studies, lambda storage: searchkit.load("s", storage)):
        with pytest.raises(StorageError, match=r"broken\.db' cannot be opened: .*(not a database|malformed)"):
            call(f"sqlite:///{path}")
    assert path.read_bytes() == content


def test_a_database_that_cannot_be_written_is_read_and_not_continued(tmp_path: Path) -> None:
    first = search(f"sqlite:///{tmp_path}/studies.db")
    fixed = f"sqlite:///file:{tmp_path}/studies.db?mode=ro&uri=true"
    before = (tmp_path / "studies.db").read_bytes()
    with pytest.raises(StorageError, match="cannot be written.* readonly database"):
        search(fixed, budget=12)
    assert searchkit.load("s", fixed).history.equals(first.history)
    assert (tmp_path / "studies.db").read_bytes() == before


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_file_without_permission_to_write_is_read_and_not_continued(tmp_path: Path) -> None:
    address, folder = f"sqlite:///{tmp_path}/studies.db", tmp_path
    search(address)
    whole = searchkit.load("s", address).history  # imports what a reader may not be allowed to
    (tmp_path / "studies.db").chmod(0o444)
    for parent in (folder, *folder.parents[:3]):
        parent.chmod(0o755)

    def as_a_reader() -> None:
        if os.geteuid() == 0:
            os.setuid(65534)  # root may write everything
        assert searchkit.load("s", address).history.equals(whole)
        with pytest.raises(SearchkitError, match="cannot be written"):
            search(address, budget=12)

    _, status = os.waitpid(forked(as_a_reader), 0)
    assert status == 0


@pytest.mark.slow
def test_another_programs_transaction_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "studies.db"
    search(f"sqlite:///{path}", budget=4)
    other = sqlite3.connect(path, check_same_thread=False)

    def meanwhile(choices: dict) -> dict:
        import threading

        other.execute("BEGIN IMMEDIATE")
        threading.Timer(0.3, other.rollback).start()
        return loss(choices)

    assert len(search(f"sqlite:///{path}", function=meanwhile, budget=5).history) == 5
    other.close()
