"""A damaged byte of a journal is noticed and named, and what is whole can be saved."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

import searchkit
from searchkit import Choice, Space
from searchkit.cli import main
from searchkit.errors import StorageError, UnknownNameError
from searchkit.storage.journal import line_of, read_line
from searchkit.storage.optuna_compat import quiet

SPACE = Space([Choice("a", range(6)), Choice("b", range(6))])


def loss(choices: dict) -> dict:
    return {"loss": 10 * choices["a"] + choices["b"]}


def search(storage: Path, name: str = "s", **given: Any) -> searchkit.Result:
    return searchkit.run(
        "random", evaluate=loss, space=SPACE, objectives={"loss": "min"}, storage=storage, name=name,
        **{"budget": 6, "batch": 2} | given,
    )  # fmt: skip


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    search(tmp_path, "other")
    search(tmp_path)
    return tmp_path / "s.journal"


def damage(path: Path, place: int, byte: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] = byte
    path.write_bytes(content)


@pytest.mark.slow
def test_any_line_that_is_damaged_is_named_at_every_door(
    journal: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = journal.read_bytes()
    lines, where = whole.splitlines(keepends=True), str(journal.parent)
    for number in (1, 2, 4, len(lines) // 2, len(lines) - 1):
        place = sum(map(len, lines[: number - 1])) + len(lines[number - 1]) // 2
        damage(journal, place, 0xFF)
        words = rf"s\.journal is damaged in line {number} "
        for call in (
            lambda: searchkit.load("s", where),
            lambda: search(journal.parent, budget=8),
            lambda: searchkit.load("s", journal),
            lambda: searchkit.list_studies(journal),
        ):
            with pytest.raises(StorageError, match=words):
                call()
        for command in (["show", "s"], ["resume", "s"]):
            assert main([*command, "--storage", where]) == 2
            assert f"is damaged in line {number}" in capsys.readouterr().err
        with caplog.at_level(logging.WARNING, "searchkit"):
            assert list(searchkit.list_studies(where).study) == ["other"]
        assert f"is damaged in line {number}" in caplog.text
        with pytest.raises(UnknownNameError):
            searchkit.load("t", where)
        journal.write_bytes(whole)
    assert len(searchkit.load("s", where).history) == 6


def test_a_value_that_is_damaged_is_noticed(journal: Path) -> None:
    content = journal.read_bytes()
    place = content.index(b'"values":[', content.index(b'"op_code":6')) + len(b'"values":[')
    damage(journal, place, content[place] ^ 1)  # another digit
    with pytest.raises(StorageError, match=r"damaged in line \d+ .*checksum"):
        searchkit.load("s", journal)


def test_every_other_byte_of_a_line_is_noticed_or_changes_nothing() -> None:
    log = {"op_code": 6, "worker_id": "w", "trial_id": 3, "state": 1, "values": [0.5], "name": "ä"}
    line = line_of(log).encode()
    assert read_line(line) == log
    for place in range(len(line)):
        for bit in range(8):
            other = bytearray(line)
            other[place] ^= 1 << bit
            try:
                found = read_line(bytes(other))
            except ValueError:
                continue
            assert {key: found.get(key) for key in log} == log


def test_optuna_reads_the_lines_and_lines_of_optuna_are_read(journal: Path) -> None:
    assert all(b'"checksum":' in line for line in journal.read_bytes().splitlines())
    with quiet():
        study = optuna.load_study(study_name="s", storage=JournalStorage(JournalFileBackend(str(journal))))
    assert [trial.values for trial in study.trials] == [
        [trial.values["loss"]] for trial in search(journal.parent).trials
    ]
    study.set_user_attr("mine", 5)  # Optuna's line has no checksum
    assert len(search(journal.parent, budget=8).history) == 8


@pytest.mark.slow
def test_repaired_it_has_every_whole_outcome_in_its_place_and_goes_on(journal: Path) -> None:
    whole, before = journal.read_bytes(), searchkit.load("s", journal).trials
    outcomes = {tuple(trial.code): trial.values for trial in before}
    lines, rng = whole.splitlines(keepends=True), np.random.default_rng(0)
    repaired = journal.with_name("s.repaired.journal")
    for number in range(len(lines)):
        within = sum(map(len, lines[:number])) + int(rng.integers(len(lines[number])))
        end = sum(map(len, lines[: number + 1])) - 1  # a line that goes on in the next one
        for place, byte in ((within, 0xFF), (within, ord("\n")), (end, ord("r"))):
            journal.write_bytes(whole)
            damage(journal, place, byte)
            broken = journal.read_bytes()
            if broken == whole:
                continue
            try:
                searchkit.load("s", journal)
            except StorageError:
                assert searchkit.repair("s", journal.parent) == repaired
                assert journal.read_bytes() == broken
                journal.write_bytes(repaired.read_bytes())
                repaired.unlink()
            found = searchkit.load("s", journal).trials
            assert len(found) >= 5
            assert sum(trial.finished for trial in found) >= 5
            assert all(trial.values == outcomes[tuple(trial.code)] for trial in found if trial.finished)
            if number % 8 == 0:
                again = search(journal.parent)
                assert [trial.finished for trial in again.trials] == [True] * 6


@pytest.mark.parametrize("end", [b"r", b"\x8a", b"\r", b" ", b"}", b"\xff", b""])
def test_a_last_line_of_which_the_end_alone_is_damaged_is_whole(journal: Path, end: bytes) -> None:
    whole = journal.read_bytes()
    seconds = [trial.seconds for trial in searchkit.load("s", journal).trials]
    lines = whole.splitlines(keepends=True)
    last = max(i for i, line in enumerate(lines) if b'"op_code":6' in line)  # an outcome
    journal.write_bytes(b"".join(lines[: last + 1])[:-1] + end)
    broken = journal.read_bytes()
    if end:  # without any byte there, another process may be writing it
        read = searchkit.load("s", journal)
        assert [trial.finished for trial in read.trials] == [True] * 6
    assert journal.read_bytes() == broken, "reading changes nothing"
    again = search(journal.parent)
    assert [trial.seconds for trial in again.trials] == seconds, "nothing is evaluated again"
    assert journal.read_bytes().startswith(b"".join(lines[: last + 1]))
    assert len(search(journal.parent, budget=8).trials) == 8
    assert len(searchkit.load("s", journal).trials) == 8


def test_an_end_of_line_that_became_a_return_is_repaired(journal: Path) -> None:
    lines = journal.read_bytes().splitlines(keepends=True)
    damage(journal, sum(map(len, lines[:5])) - 1, ord("\r"))
    with pytest.raises(StorageError, match="is damaged in line 5"):
        searchkit.load("s", journal)
    assert searchkit.repair("s", journal.parent).read_bytes() == b"".join(lines)


def test_a_damaged_last_end_of_line_is_repaired(journal: Path) -> None:
    whole = journal.read_bytes()
    journal.write_bytes(whole[:-1] + b"r")
    assert searchkit.repair("s", journal.parent).read_bytes() == whole


def test_a_last_line_with_another_value_and_a_damaged_end_is_not_taken_as_whole(journal: Path) -> None:
    content = journal.read_bytes()
    start = content.rindex(b'"op_code":6')
    end = content.index(b"\n", start)
    place = content.index(b'"values":[', start) + len(b'"values":[')
    journal.write_bytes(content[:end] + b"r")
    damage(journal, place, content[place] ^ 1)
    assert sum(trial.finished for trial in searchkit.load("s", journal).trials) == 5
    outcomes = [trial.values for trial in search(journal.parent).trials]
    assert outcomes == [loss(SPACE.decode(trial.code[None])[0]) for trial in search(journal.parent).trials]


def test_the_command_repairs_and_says_what_to_do(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--storage", str(journal.parent)]
    assert main(["repair", "s", *where]) == 2
    assert "is not damaged" in capsys.readouterr().err
    damage(journal, len(journal.read_bytes()) // 2, 0)
    assert main(["repair", "s", *where]) == 0
    assert f"move {journal} away" in capsys.readouterr().out
    assert len(searchkit.load("s", journal.parent).history) >= 5, "it can be read while the old file is there"
    assert main(["repair", "s", *where]) == 2
    assert "exists already" in capsys.readouterr().err
    assert main(["repair", "nothing", *where]) == 2
    assert "does not exist" in capsys.readouterr().err
    with pytest.raises(StorageError, match="journal files can be repaired"):
        searchkit.repair("s", "sqlite:///study.db")
