"""A header that lacks a part is named in one sentence at every door, and hides no other study."""

from __future__ import annotations

import copy
import logging
from pathlib import Path
from typing import Any

import optuna
import pytest
from helpers.marks import thorough_if
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

import searchkit
from searchkit import Choice, Space
from searchkit.cli import main
from searchkit.errors import SearchkitError, StorageError, StudyMismatchError

SPACE = Space([Choice("a", range(6)), Choice("b", range(6))])
GONE = object()
OTHERS = (GONE, None, "2", 5, [], [5], {"loss": "up"}, True)
PATHS = (
    "", "format", "search", "search.objectives", "search.space", "search.space.name", "search.space.choices",
    "search.space.choices.0", "search.space.choices.0.name", "search.space.choices.0.options",
    "search.space.choices.0.ordered", "search.space.options", "search.space.n_classes", "search.space.input_shape",
    "search.seed", "search.constraints", "context", "context.bounds", "context.bounds.size", "context.kind",
    "context.strategy", "context.budget", "context.call", "context.parts", "context.objects", "context.earlier",
    "context.data",
)  # fmt: skip
NEEDED = ("search", "search.objectives", "search.space", "search.space.choices", "context", "context.bounds")


def loss(choices: dict) -> dict:
    return {"loss": choices["a"] + choices["b"], "size": choices["a"] - choices["b"]}


def search(storage: Path, name: str = "s", **given: Any) -> searchkit.Result:
    return searchkit.run(
        "random", evaluate=loss, space=SPACE, objectives={"loss": "min"}, constraints={"size": 3}, storage=storage,
        name=name, **{"budget": 6} | given,
    )  # fmt: skip


def changed(value: Any, path: str, new: Any) -> Any:
    """A copy of the header with another part at a path, or with none there."""
    if not path:
        return None if new is GONE else new
    value = copy.deepcopy(value)
    *inner, last = [int(key) if key.isdecimal() else key for key in path.split(".")]
    part = value
    for key in inner:
        part = part[key]
    if new is not GONE:
        part[last] = new
    elif isinstance(part, list):
        part.clear()
    else:
        part.pop(last, None)
    return value


def study_in(path: Path) -> optuna.Study:
    with optuna_quiet():
        return optuna.load_study(study_name=None, storage=JournalStorage(JournalFileBackend(str(path))))


def optuna_quiet() -> Any:
    from searchkit.storage.optuna_compat import quiet

    return quiet()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    search(tmp_path, "other")
    search(tmp_path)
    return tmp_path


def outcome(call: Any) -> SearchkitError | None:
    """The error of a call, which is one of searchkit's or none."""
    try:
        call()
    except SearchkitError as error:
        return error
    return None


@pytest.mark.slow
@pytest.mark.parametrize("path", thorough_if(lambda path: bool(path) and path not in (*NEEDED, *PATHS[::4]), PATHS))
def test_every_part_of_a_header_may_be_gone_or_something_else(
    path: str, folder: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    study = study_in(folder / "s.journal")
    whole = study.user_attrs["searchkit"]
    for new in OTHERS:
        study.set_user_attr("searchkit", changed(whole, path, new))
        errors = [
            outcome(lambda: searchkit.load("s", folder)),
            outcome(lambda: searchkit.load("s", folder, space=SPACE)),
            outcome(lambda: search(folder, budget=7)),
        ]
        assert main(["resume", "s", "--storage", str(folder)]) == 2
        assert main(["show", "s", "--storage", str(folder)]) == (2 if errors[0] else 0)
        said = capsys.readouterr().err
        assert "Traceback" not in said
        assert "Error" not in said
        caplog.clear()
        with caplog.at_level(logging.WARNING, "searchkit"):
            listed = list(searchkit.list_studies(folder).study)
        assert listed == (["other"] if errors[0] else ["other", "s"])
        if path in NEEDED and (new is GONE or new is None):
            key = path.replace(".", ": ")
            for error in errors:
                assert isinstance(error, StorageError)
                assert f"study 's' in {folder / 's.journal'}" in str(error)
                assert f"{key} {'is missing' if new is GONE else 'is None'}" in str(error)
        if errors[0]:
            assert isinstance(errors[0], StorageError | StudyMismatchError)
            assert str(errors[0]) in caplog.text


def test_the_format_is_a_number_and_what_stands_there_is_said(folder: Path) -> None:
    study = study_in(folder / "s.journal")
    whole = study.user_attrs["searchkit"]
    for new in ("2", None, [2]):
        study.set_user_attr("searchkit", whole | {"format": new})
        with pytest.raises(StorageError, match="format is .*, not a whole number"):
            searchkit.load("s", folder)
    study.set_user_attr("searchkit", whole | {"format": 99})
    with pytest.raises(StudyMismatchError, match="written in format 99"):
        searchkit.load("s", folder)


@pytest.mark.parametrize("note", ["latest", "test_accuracy", "verified", "trust", "baselines", "clock", "block_costs"])
def test_a_note_that_is_something_else_is_named(note: str, folder: Path) -> None:
    study = study_in(folder / "s.journal")
    for new in ("2", 5, True):
        study.set_user_attr(f"searchkit:{note}", new)
        for call in (lambda: searchkit.load("s", folder), lambda: search(folder, budget=7)):
            with pytest.raises(StorageError, match=f"study 's' in .*s.journal is damaged: searchkit:{note} is"):
                call()
    assert list(searchkit.list_studies(folder).study) == ["other"]


@pytest.mark.parametrize(("key", "value"), [("batch_size", None), ("batch", "x"), ("metrics", 5), ("elapsed", "long")])
def test_a_candidate_that_lacks_something_is_named(key: str, value: Any, tmp_path: Path) -> None:
    storage = optuna.storages.InMemoryStorage()
    search(storage)
    study = optuna.load_study(study_name="s", storage=storage)
    first = study.trials[0]
    study.add_trial(
        optuna.create_trial(
            state=first.state, values=first.values, params=first.params, distributions=first.distributions,
            user_attrs=first.user_attrs | {"batch": 6} | {key: value},
        )
    )  # fmt: skip
    for call in (lambda: searchkit.load("s", storage), lambda: search(storage, budget=9)):
        with pytest.raises(StorageError, match="candidate 6 of study 's' in .* is damaged"):
            call()
    assert searchkit.list_studies(storage).empty


def test_a_study_that_was_written_from_a_result_is_not_resumed_and_says_why(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from searchkit.integrations.optuna import write_study

    write_study(searchkit.load("s", folder), folder, "written")
    assert main(["resume", "written", "--storage", str(folder)]) == 2
    assert "was begun in Python" in capsys.readouterr().err
