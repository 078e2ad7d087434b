"""Candidates that are evaluated elsewhere: what is asked for is on record, and what is told is learned from."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import searchkit
from searchkit.errors import ObjectiveError, SearchkitError, StorageError, StudyMismatchError
from searchkit.storage.locks import claim_study

SPACE = searchkit.Space(
    [
        searchkit.Float("x", -2.0, 2.0),
        searchkit.Choice("kind", ("a", "b")),
        searchkit.Int("n", 1, 9, when=("kind", "a")),
    ],
    name="mixed",
)
BOTH = {"loss": "min", "gain": "max"}


def worth(choices: Mapping[str, Any]) -> dict[str, float]:
    return {"loss": (choices["x"] - 0.5) ** 2 + choices.get("n", 3), "gain": choices["x"]}


@pytest.mark.parametrize("strategy", ["random", "tpe", "nsga2", pytest.param("bo", marks=pytest.mark.slow)])
def test_what_is_asked_for_and_told_one_by_one_is_what_run_would_evaluate(strategy: str, tmp_path: Path) -> None:
    searched = searchkit.run(
        strategy, space=SPACE, evaluate=worth, objectives=BOTH, budget=9, batch=1, seed=3, storage="memory",
        progress=False,
    )  # fmt: skip
    for _ in range(3):  # three processes, as far as the record is concerned
        given = {"space": SPACE, "objectives": BOTH, "strategy": strategy, "budget": 9, "seed": 3, "storage": tmp_path}
        with searchkit.AskAndTell("told", **given) as study:
            for _ in range(3):
                (asked,) = study.ask()
                study.tell(asked.number, worth(asked.choices), seconds=0.5)
    told = searchkit.load("told", tmp_path)
    assert [trial.code.tolist() for trial in told.trials] == [trial.code.tolist() for trial in searched.trials]
    assert told.front.drop(columns="trial").equals(searched.front.drop(columns="trial"))


def test_several_that_are_pending_differ_and_may_be_told_in_any_order(tmp_path: Path) -> None:
    with searchkit.AskAndTell("s", space=SPACE, objectives=BOTH, storage=tmp_path, strategy="bo") as study:
        asked = study.ask(5)
        assert len({tuple(one.choices.items()) for one in asked}) == 5
        for one in reversed(asked[1:]):
            study.tell(one.number, worth(one.choices))
        assert study.pending == asked[:1]
    with searchkit.AskAndTell("s", storage=tmp_path) as study:  # its name is enough
        assert study.pending == asked[:1]
        study.fail(0, "on fire")
        assert study.ask()[0].number == 5
    assert [trial.state for trial in searchkit.load("s", tmp_path).trials] == ["failed", *["scored"] * 4, "asked"]


def test_a_study_that_was_told_goes_on_in_run_with_what_is_pending_first(tmp_path: Path) -> None:
    given: dict[str, Any] = {"space": SPACE, "objectives": BOTH, "storage": tmp_path}
    with searchkit.AskAndTell("s", **given, strategy="tpe") as study:
        asked = study.ask(2)
        study.tell(1, worth(asked[1].choices))
    result = searchkit.run("tpe", evaluate=worth, budget=4, name="s", progress=False, proxies=(), **given)
    assert [trial.state for trial in result.trials] == ["scored"] * 4
    assert result.space.decode(result.trials[0].code[None])[0] == asked[0].choices


def test_in_memory_a_study_lives_as_long_as_it_is_open() -> None:
    with searchkit.AskAndTell("s", space=SPACE, objectives=BOTH, storage="memory", strategy="random") as study:
        assert study.tell(study.ask()[0].number, {"loss": 1.0, "gain": 2.0, "note": float("nan")})
        assert study.trials[0].values["gain"] == 2.0


@pytest.mark.slow
def test_a_study_that_another_process_writes_is_waited_for(tmp_path: Path) -> None:
    given: dict[str, Any] = {"space": SPACE, "objectives": BOTH, "storage": tmp_path, "strategy": "random"}
    claim = claim_study(tmp_path, "s")
    with (
        pytest.raises(StorageError, match="is being written by another search"),
        searchkit.AskAndTell("s", wait=0, **given),
    ):
        pass
    threading.Timer(0.3, claim.release).start()
    began = time.monotonic()
    with searchkit.AskAndTell("s", **given) as study:
        assert len(study.ask()) == 1
    assert time.monotonic() - began >= 0.2


def test_an_error_of_the_user_leaves_the_study_open_to_others(tmp_path: Path) -> None:
    given: dict[str, Any] = {"space": SPACE, "objectives": BOTH, "storage": tmp_path, "strategy": "random"}
    with pytest.raises(ZeroDivisionError), searchkit.AskAndTell("s", **given) as study:
        study.tell(study.ask()[0].number, {"loss": 1 / 0, "gain": 0})
    with searchkit.AskAndTell("s", **given) as study:
        assert [one.number for one in study.pending] == [0]


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda study: study.ask(0), SearchkitError, "n is a number of candidates of at least 1, not 0"),
        (lambda study: study.ask(True), SearchkitError, "n is a number of candidates of at least 1, not True"),
        (lambda study: study.tell(0, [1]), ObjectiveError, r'values are given by name, {"loss": 0.5}, not \[1\]'),
        (
            lambda study: study.tell(0, {"loss": 1}),
            ObjectiveError,
            "the value of 'gain' is missing; needed: loss, gain",
        ),
        (lambda study: study.tell("0", {}), SearchkitError, "candidate '0' of study 's' was never asked for"),
        (lambda study: study.fail(3, "x"), SearchkitError, "candidate 3 of study 's' was never asked for"),
    ],
)
def test_bad_calls_are_sentences_and_change_nothing(call: Any, error: Any, words: str) -> None:
    with searchkit.AskAndTell("s", space=SPACE, objectives=BOTH, storage="memory", strategy="random") as study:
        study.ask()
        with pytest.raises(error, match=words):
            call(study)
        assert len(study.pending) == len(study.trials) == 1


def test_another_space_or_strategy_of_a_study_on_record_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with searchkit.AskAndTell("s", space=SPACE, objectives=BOTH, storage=tmp_path, strategy="random") as study:
        study.ask()
    with pytest.raises(StudyMismatchError, match="it differs in objectives"):
        searchkit.AskAndTell("s", objectives={"loss": "min"}, storage=tmp_path).__enter__()
    with searchkit.AskAndTell("s", strategy="tpe", storage=tmp_path) as study:
        assert study.ask()[0].number == 1
    assert "another strategy" in caplog.text
