"""The password of a database's URL is in no message, and a mistyped URL is refused and makes no folder."""

from __future__ import annotations

import logging
import os
import traceback
from pathlib import Path

import pytest
from helpers.marks import slow_if

import searchkit
from searchkit import Choice, Space
from searchkit.cli import main
from searchkit.errors import StorageError, concealed, first_line_said, readable
from searchkit.integrations.optuna import write_study
from searchkit.storage.paths import check_storage
from searchkit.storage.repair import repair
from searchkit.storage.urls import is_url, shown

SPACE = Space([Choice("a", range(3))])
SECRET = "geheim"

# what was written, and the nearest valid form
MISTYPED = {
    f"postgres//user:{SECRET}@host": "'postgresql://user:***@host'",
    f"postgresql//user:{SECRET}@host/db": "'postgresql://user:***@host/db'",
    f"postgresql:/user:{SECRET}@host/db": "'postgresql://user:***@host/db'",
    f"postgresql:user:{SECRET}@host/db": "'postgresql://user:***@host/db'",
    f"postgresql;//user:{SECRET}@host/db": "'postgresql://user:***@host/db'",
    f"postgresql:\\\\user:{SECRET}@host\\db": "'postgresql://user:***@host\\db'",
    f"postgresq://user:{SECRET}@host/db": "Did you mean 'postgresql', as in 'postgresql://user:***@host/db'",
    f"Postgres+psycopg:/user:{SECRET}@host": "'postgresql://user:***@host'",
    f"mysq:/user:{SECRET}@host:3306/db": "'mysql://user:***@host:3306/db'",
    f"mariadb//user:{SECRET}@host?ssl_key={SECRET}": "'mariadb://user:***@host?ssl_key=***'",
    f"user:{SECRET}@host/db": "'postgresql://user:***@host/db'",
    f"//user:{SECRET}@host/db": "'postgresql://",
    f"://user:{SECRET}@host/db": "'postgresql://",
    f"http:/user:{SECRET}@host/db": "'postgresql://",
    "postgresql:/x": "'postgresql://x'",
    "sqlite:/x": "'sqlite:///x', or 'sqlite:////x' from the root",
    "sqlite:/study.db": "'sqlite:///study.db'",
    "sqlite:study.db": "'sqlite:///study.db'",
    "sqlite//study.db": "'sqlite:///study.db'",
    "sqlit:///study.db": "'sqlite:///study.db'",
    "sqlite://study.db": "'sqlite:///study.db'",
    f"sqlite://user:{SECRET}@host/study.db": "'sqlite:///",
    "file:/x": "'sqlite:///study.db' or 'postgresql://user:password@host/database'",
}

# URLs with a password in an odd place, which nothing can connect to or which are refused
HIDING = [
    f"postgresql://127.0.0.1:1/db?user=me&password={SECRET}",
    f"postgresql://127.0.0.1:1/db?user=me;PASSWORD={SECRET}",
    f"postgresql://127.0.0.1:1/db?passfile=x&sslpassword={SECRET}&host=127.0.0.1",
    f"postgresql://me:{SECRET}@127.0.0.1:1/db",
    f"postgresql+psycopg://me:{SECRET}%40@127.0.0.1:1/db",
    f"postgresql://me:{SECRET}@tail{SECRET}@127.0.0.1:1/db",
    f"postgresql://me:x@{SECRET}@127.0.0.1:1/db",
    f"postgresql://me:{SECRET}?x@127.0.0.1:1/db",
    f"postgresql://me:x/{SECRET}@127.0.0.1:1/db",
    f"postgresql://me%3A{SECRET}@127.0.0.1:1/db",
    f"postgresql://me%253A{SECRET}@127.0.0.1:1/db",
    f"postgresql://me:{SECRET}/127.0.0.1:1/db",
    f"postgresql://me:{SECRET}@127.0.0.1:port/db",
    f"postgresql:///me:{SECRET}@127.0.0.1:1/db",
    f"postgresql:////me:{SECRET}@127.0.0.1:1/db",
    f"postgresql://?host=me:{SECRET}@127.0.0.1",
    f"postgresq://127.0.0.1:1/db?user=me&password={SECRET}",
    f"oracle+{SECRET[:0]}cx://me:{SECRET}@127.0.0.1/db",
    f" postgresql://me:{SECRET}@127.0.0.1:1/db",
    f"sqlite:////no/such/folder/x.db?password={SECRET}",
]


def evaluate(choices: dict) -> dict:
    return {"loss": choices["a"]}


def doors(storage: str) -> list:
    return [
        lambda: searchkit.run("random", space=SPACE, evaluate=evaluate, objectives={"loss": "min"}, budget=1,
                              storage=storage, name="s"),
        lambda: searchkit.load("s", storage),
        lambda: searchkit.list_studies(storage),
        lambda: repair("s", storage),
        lambda: write_study(searchkit.run("random", space=SPACE, evaluate=evaluate, objectives={"loss": "min"},
                                          budget=1, storage="memory", name="s"), storage),
        lambda: check_storage(storage),
    ]  # fmt: skip


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("storage", MISTYPED)
def test_a_mistyped_url_is_refused_with_the_form_that_was_meant(storage: str, empty: Path) -> None:
    for door in doors(storage):
        with pytest.raises(StorageError) as refused:
            door()
        assert SECRET not in "".join(traceback.format_exception(refused.value))
        if "can be repaired" not in str(refused.value):
            assert MISTYPED[storage] in str(refused.value)
    assert os.listdir(empty) == []


@pytest.mark.parametrize("storage", HIDING)
def test_no_error_log_or_trace_has_the_password(storage: str, empty: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for door in doors(storage)[:5]:
        with pytest.raises(StorageError) as refused:
            door()
        told = "".join(traceback.format_exception(refused.value))
        assert SECRET not in told + repr(refused.value)
    assert SECRET not in caplog.text
    assert SECRET not in shown(storage)
    assert os.listdir(empty) == []


@pytest.mark.parametrize(
    "storage", slow_if(lambda url: url not in (*[*HIDING][::5], *[*MISTYPED][::5]), [*HIDING, *MISTYPED])
)
def test_the_command_line_does_not_print_the_password(
    storage: str, empty: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for command in (["list"], ["show", "s"], ["resume", "s"], ["export", "s", "0", "x"], ["repair", "s"]):
        assert main([*command, "--storage", storage]) == 2
    told = capfd.readouterr()
    assert SECRET not in told.out + told.err
    assert "Traceback" not in told.err
    assert told.err.count("\n") == 5
    assert os.listdir(empty) == []


def test_the_command_line_says_how_to_go_on_without_the_password(
    empty: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    given = ["--storage", f"sqlite:///x.db?password={SECRET}"]
    given += ["--space", "nas-bench-201", "--space-option", "width=4", "--space-option", "cells=1", "--no-baselines"]
    code = main(["run", "--strategy", "random", "--data", "digits", "--budget", "1", "--epochs", "1", *given])
    told = capfd.readouterr()
    assert SECRET not in told.out + told.err
    assert code != 0 or "--storage 'sqlite:///x.db?password=***'" in told.out


@pytest.mark.parametrize(
    "storage",
    [
        "runs",
        "./postgresql:x",
        "/tmp/a:b@c",
        "../sqlite",
        "~/x:y@z",
        "sqlite/studies",
        "C:\\me@x\\y",
        "C:/me@x",
        "a@b",
        "x:y",
    ],
)
def test_a_path_is_no_url(storage: str) -> None:
    assert not is_url(storage)
    assert shown(storage) == storage


@pytest.mark.parametrize(
    "storage",
    [
        "sqlite:///study.db", "sqlite:////tmp/a@b:c/study.db", "sqlite:///file:study.db?mode=ro&uri=true",
        "postgresql:///db", "postgresql+psycopg://me@host:5432/db?sslmode=require", "postgresql://[::1]:5432/db",
        "mysql+pymysql://me@host/db?charset=utf8mb4",
    ],
)  # fmt: skip
def test_a_url_without_a_secret_is_shown_as_it_is(storage: str) -> None:
    assert is_url(storage)
    assert shown(storage) == storage


def test_reasons_and_traces_of_candidates_do_not_keep_passwords_of_urls(tmp_path: Path) -> None:
    def reads(choices: dict) -> dict:
        raise OSError(f"cannot reach mysql://me:{SECRET}@@host/db?password={SECRET}&ssl=1")

    with pytest.raises(searchkit.SearchkitError) as failed:
        searchkit.run(
            "random", space=SPACE, evaluate=reads, objectives={"loss": "min"}, budget=3, storage=tmp_path, name="s"
        )
    assert SECRET not in str(failed.value)
    result = searchkit.load("s", tmp_path)
    assert "cannot reach mysql://me:***@host/db?password=***&ssl=1" in str(result.history.reason[0])
    kept = [(tmp_path / "s.journal").read_text(), result.report(tmp_path / "x.html").read_text(encoding="utf-8")]
    assert all(SECRET not in text for text in kept)


def test_what_is_no_password_is_left() -> None:
    for text in (
        "at https://host:80/a, me@b",
        "a dict {'x': 1} of me@host",
        "loss(token=3, x@y)",
        "10:20 a@b",
        "key=5",
    ):
        assert concealed(text) == readable(text) == first_line_said(ValueError(text)) == text
