"""Names and places that cannot hold a study are refused in a sentence, before any candidate is evaluated."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import searchkit
from searchkit import Choice, Space
from searchkit.cli import main
from searchkit.errors import StorageError
from searchkit.integrations.optuna import write_study
from searchkit.storage.places import LONGEST_NAME, named
from searchkit.storage.repair import repair

SPACE = Space([Choice("a", range(6))])


def untouched(choices: dict) -> dict:
    raise AssertionError("work began")


def loss(choices: dict) -> dict:
    return {"loss": choices["a"]}


def search(storage: Any, name: str | None = "s", function: Callable = loss, **given: Any) -> searchkit.Result:
    return searchkit.run(
        "random", evaluate=function, storage=storage, name=name,
        **{"space": SPACE, "objectives": {"loss": "min"}, "budget": 4} | given,
    )  # fmt: skip


def refused(door: Callable[[], Any]) -> str:
    with pytest.raises(StorageError) as found:
        door()
    assert "\n" not in str(found.value)
    assert len(str(found.value)) < 500
    return str(found.value)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a/b", "Did you mean 'a-b'"), ("../x", "Did you mean 'x'"), ("..", "is made of letters"),
        (".", "is made of letters"), ("", "is made of letters"), (" x", "Did you mean 'x'"),
        ("x.", "Did you mean 'x'"), ("x ", "Did you mean 'x'"), ("x. .", "Did you mean 'x'"),
        ("a\0b", "Did you mean 'a-b'"), ("a\udc80b", "Did you mean 'a-b'"), ("a\nb", "Did you mean 'a-b'"),
        ("a\n", "is made of letters"), ("x" * 250, "at most 199 bytes in UTF-8"), ("ä" * 120, "has 240"),
        ("a/" * 5000, "is made of letters"), (".hidden", "Did you mean 'hidden'"), ("C:\\x", "Did you mean 'C-x'"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("storage", ["folder", "file", "SQLite", "memory"])
def test_a_name_that_cannot_be_a_files_is_refused(name: str, said: str, storage: str, tmp_path: Path) -> None:
    places = {"folder": tmp_path, "file": tmp_path / "x.journal", "SQLite": f"sqlite:///{tmp_path}/x.db"}
    where = places.get(storage, storage)
    assert said in refused(lambda: search(where, name, untouched))
    if storage != "memory":
        result = search("memory", "fine")
        assert said in refused(lambda: write_study(result, where, name))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("storage", ["folder", "SQLite", "journal"])
def test_the_longest_name_works_everywhere(storage: str, tmp_path: Path) -> None:
    where = {"folder": tmp_path, "SQLite": f"sqlite:///{tmp_path}/{'d' * 60}.db", "journal": tmp_path / "x.journal"}
    name = "ä" * (LONGEST_NAME // 2)
    first = search(where[storage], name)
    again = search(where[storage], name, untouched_but_done, budget=4)
    assert again.history.equals(first.history)
    assert searchkit.load(name, where[storage]).name == name


def untouched_but_done(choices: dict) -> dict:
    raise AssertionError("evaluated again")


ODD = [
    "cifar/resnet",
    "..",
    "a\0b",
    "x\udc80",
    " ",
    "name.",
    "/",
    "x" * 300,
    "ä/" * 100,
    "<b>",
    "C:\\x",
    "a\nb",
    "日本",
]


@pytest.mark.parametrize("odd", ODD)
def test_a_name_that_is_generated_is_one_that_the_storage_takes(odd: str, tmp_path: Path) -> None:
    def function(choices: dict) -> dict:
        return {"loss": choices["a"]}

    function.__name__ = odd
    spaces = [Space([Choice("a", range(6))], name=odd), Space([Choice("a", range(5))], name=odd)]
    results = [search(tmp_path, None, function, space=space) for space in spaces]
    assert len({result.name for result in results}) == 2
    for result, space in zip(results, spaces, strict=True):
        assert searchkit.load(result.name, tmp_path).history.equals(result.history)
        again = search(tmp_path, None, function, space=space, budget=5)
        assert again.name == result.name
        assert again.history.iloc[:4].equals(result.history)


def test_names_of_data_and_spaces_that_can_be_taken_stay_as_they_are() -> None:
    assert named("nas-bench-201", "fashion mnist", "bo", "0a1b") == "nas-bench-201-fashion mnist-bo-0a1b"
    assert named("custom", "", "random", "0a1b") == "custom--random-0a1b"
    assert named("cifar/resnet", "x", "bo", "0a1b") == "cifar-resnet-x-bo-0a1b"


def folder(path: Path) -> None:
    path.mkdir()


def file(path: Path) -> None:
    path.write_text("mine")


def loop(path: Path) -> None:
    path.symlink_to(path.name)


def pipe(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/null")


def unix_socket(path: Path) -> None:
    before = os.getcwd()
    os.chdir(path.parent)  # a socket's path is short
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(before)


CASES = [  # what stands there, where, the storage, and what is said
    (folder, "runs.log", "runs.log", "runs.log' is a folder"),
    (folder, "runs.journal", "runs.journal", "runs.journal' is a folder"),
    (folder, "s.journal", "", "s.journal' is a folder"),
    (loop, "s.journal", "", "s.journal' is a link that leads back to itself"),
    (loop, "runs", "runs", "runs' is a link that leads back to itself"),
    (loop, "runs.log", "runs.log", "runs.log' is a link that leads back to itself"),
    (pipe, "s.journal", "", "s.journal' is a pipe"),
    (pipe, "x.journal", "x.journal", "x.journal' is a pipe"),
    (pipe, "runs", "runs", "runs' is a pipe"),
    (device, "s.journal", "", "s.journal' is a device"),
    (device, "runs", "runs/below", "runs' is a device"),
    (unix_socket, "s.journal", "", "s.journal' is a socket"),
    (file, "runs", "runs", "runs' is a file, but the files of a study need a folder"),
    (file, "runs", "runs/below/that", "runs' is a file"),
    (file, "runs", "runs/x.journal", "runs' is a file"),
    (file, "s.journal", "", "s.journal is not a journal"),
    (folder, ".s.journal.driver", "", ".s.journal.driver' is a folder"),
    (pipe, ".s.journal.driver", "", ".s.journal.driver' is a pipe"),
    (pipe, "x.db", "sqlite:///{}/x.db", "x.db' is a pipe"),
    (folder, "x.db", "sqlite:///{}/x.db", "x.db' is a folder"),
    (loop, "x.db", "sqlite:///{}/x.db", "x.db' is a link that leads back to itself"),
    (pipe, ".x.db.s.driver", "sqlite:///{}/x.db", ".x.db.s.driver' is a pipe"),
]


@pytest.mark.skipif(os.name != "posix", reason="pipes and devices as files")
@pytest.mark.parametrize(("make", "place", "storage", "said"), CASES)
def test_what_stands_in_the_place_of_the_record_is_named(
    make: Callable, place: str, storage: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(tmp_path / place)
    where = storage.format(tmp_path) if "{}" in storage else tmp_path / storage
    before = sorted(os.listdir(tmp_path))
    assert said in refused(lambda: search(where, "s", untouched))
    assert sorted(os.listdir(tmp_path)) == before
    for read in (["show", "s"], ["resume", "s"], ["list"], ["repair", "s"]):  # ends, and with no bare traceback
        assert main([*read, "--storage", str(where)]) in (0, 2)
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "where", ["a\0b", "a\0b.journal", "\ud800", "x" * 300, "x" * 300 + ".journal", "sqlite:///a\0b"]
)
def test_a_storage_that_can_be_no_path_is_refused(where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    doors: list[Callable] = [
        lambda: search(where, "s", untouched), lambda: search(where, None, untouched),
        lambda: searchkit.load("s", where), lambda: searchkit.list_studies(where), lambda: repair("s", where),
    ]  # fmt: skip
    for door in doors:
        refused(door)
    assert os.listdir(tmp_path) == []


@pytest.mark.slow
def test_a_pipe_in_the_place_of_the_append_lock_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "s.journal.lock")
    assert len(search(tmp_path, "s").history) == 4


def test_a_folder_whose_name_is_not_utf8_is_a_folder(tmp_path: Path) -> None:
    where = tmp_path / "x\udc80"
    assert len(search(where, "s").history) == 4
    assert len(searchkit.load("s", where).history) == 4


def test_a_link_to_a_folder_or_to_a_journal_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "runs").symlink_to("real")
    (tmp_path / "t.journal").symlink_to("real/other.journal")
    first = search(tmp_path / "runs", "s")
    assert searchkit.load("s", tmp_path / "real").history.equals(first.history)
    search(tmp_path, "t")
    assert (tmp_path / "real" / "other.journal").exists()
