"""A search that is killed and called again ends as if it had never been killed."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from helpers.killing import in_a_process_that_is_killed
from helpers.marks import thorough_if

import searchkit
from searchkit import Choice, Space, plugins

SPACE = Space([Choice("a", range(5)), Choice("b", ("u", "vv", "www", "xxxx")), Choice("c", (1, 2, 4, 8), ordered=True)])
BUDGET, BATCH = 22, 4
KILLS: list[tuple[str, int]] = [("evaluation", 1), ("evaluation", 6), ("evaluation", 19), ("write", 3), ("write", 12)]
OFTEN = ("bo", "evolution", "nsga2", "tpe")  # these are killed at all points in `make test`, and others at two of them


def evaluate(choices: dict) -> dict:
    if choices["a"] == 3:
        raise ValueError("hidden constraint")
    return {
        "loss": choices["a"] * 1.5 - choices["c"] + len(choices["b"]),
        "cost": (choices["a"] - 2) ** 2 + choices["c"],
    }


def search(strategy: str, folder: Path, function: Callable = evaluate) -> searchkit.Result:
    return searchkit.run(
        strategy, space=SPACE, evaluate=function, objectives={"loss": "min", "cost": "max"}, budget=BUDGET, batch=BATCH,
        storage=folder, name="study",
    )  # fmt: skip


def killed(strategy: str, folder: Path, log: Path, kind: str, count: int) -> None:
    """Run the search in a fork that gets SIGKILL in its n-th evaluation, or in the middle of its n-th write."""

    def run(tick: Callable[[], None]) -> None:
        def counted(choices: dict) -> dict:
            tick()
            return logged(log)(choices)

        search(strategy, folder, counted)

    in_a_process_that_is_killed(kind, count, "evaluation", run)


def logged(log: Path) -> Callable[[dict], dict]:
    def function(choices: dict) -> dict:
        with open(log, "a") as file:
            file.write(repr(choices) + "\n")
        return evaluate(choices)

    return function


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.parametrize(
    ("strategy", "kills"),
    thorough_if(
        lambda strategy, kills: (strategy in OFTEN) == (len(kills) == 2),
        itertools.product(plugins.names("strategy"), (KILLS, KILLS[2:4])),
    ),
    ids=lambda given: given if isinstance(given, str) else f"{len(given)} points",
)
def test_killed_and_continued_the_history_is_the_same(
    strategy: str, kills: list[tuple[str, int]], tmp_path: Path
) -> None:
    whole = search(strategy, tmp_path / "whole").history.drop(columns="seconds")
    log = tmp_path / "evaluations"
    for kind, count in kills:
        folder = tmp_path / f"{kind}{count}"
        log.write_text("")
        killed(strategy, folder, log, kind, count)
        again = search(strategy, folder, logged(log)).history.drop(columns="seconds")
        assert again.equals(whole), f"killed in {kind} {count}"
        times = Counter(log.read_text().splitlines())
        lost = sum(times.values()) - len(whole)
        assert lost <= (kind == "write"), "a recorded candidate was evaluated again"


@pytest.mark.slow
def test_killed_many_times_in_one_study(tmp_path: Path) -> None:
    whole = search("nsga2", tmp_path / "whole").history.drop(columns="seconds")
    for kind, count in (("evaluation", 5), ("write", 2), ("write", 4), ("evaluation", 3), ("write", 1)):
        killed("nsga2", tmp_path / "study", tmp_path / "log", kind, count)
    assert search("nsga2", tmp_path / "study").history.drop(columns="seconds").equals(whole)


def test_the_same_call_again_evaluates_nothing(tmp_path: Path) -> None:
    first = search("random", tmp_path)

    def never(choices: dict) -> dict:
        raise AssertionError("evaluated again")

    assert search("random", tmp_path, never).history.equals(first.history)


def test_a_larger_budget_goes_on_and_keeps_what_there_is(tmp_path: Path) -> None:
    first = search("tpe", tmp_path).history
    more = searchkit.run(
        "tpe", space=SPACE, evaluate=evaluate, objectives={"loss": "min", "cost": "max"}, budget=30, batch=BATCH,
        storage=tmp_path, name="study",
    ).history  # fmt: skip
    assert len(more) == 30
    assert more.iloc[: len(first)].equals(first)


def test_optuna_reads_the_study(tmp_path: Path) -> None:
    result = search("nsga2", tmp_path)
    backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / "study.journal"))
    study = optuna.load_study(study_name="study", storage=optuna.storages.JournalStorage(backend))
    assert study.metric_names == ["loss", "cost"]
    assert [d.name for d in study.directions] == ["MINIMIZE", "MAXIMIZE"]
    counts = Counter(trial.state.name for trial in study.trials)
    assert counts["COMPLETE"] == (result.history.state == "scored").sum()
    assert counts["FAIL"] == (result.history.state == "failed").sum() > 0
    best = {tuple(trial.values) for trial in study.best_trials}
    assert best == set(zip(result.front.loss, result.front.cost, strict=True))
    failed = next(trial for trial in study.trials if trial.state.name == "FAIL")
    assert failed.user_attrs["reason"] == "ValueError: hidden constraint"


def test_the_record_is_written_before_the_evaluation(tmp_path: Path) -> None:
    seen = []

    def look(choices: dict) -> dict:
        seen.append((tmp_path / "study.journal").read_text().count('"state":0'))
        return evaluate(choices)

    search("random", tmp_path, look)
    assert seen[0] == BATCH
    assert seen[-1] == BUDGET


STORAGES = {
    "memory": lambda folder: "memory",
    "a folder": lambda folder: folder,
    "a journal file": lambda folder: folder / "one.journal",
    "SQLite": lambda folder: f"sqlite:///{folder}/study.db",
    "an Optuna storage": lambda folder: optuna.storages.InMemoryStorage(),
}


@pytest.mark.parametrize("kind", STORAGES)
def test_every_storage_keeps_the_same_history_and_continues_it(kind: str, tmp_path: Path) -> None:
    whole = search("nsga2", tmp_path / "whole")
    storage = STORAGES[kind](tmp_path)
    calls = 0

    def interrupted(choices: dict) -> dict:
        nonlocal calls
        calls += 1
        if calls == 10:
            raise KeyboardInterrupt
        return evaluate(choices)

    first = search("nsga2", storage, interrupted)
    assert first.stopped == "interrupted"
    again = search("nsga2", storage)
    if kind != "memory":
        loaded = searchkit.load("study", storage)
        assert loaded.history.equals(again.history)
        assert loaded.front.equals(again.front)
        assert searchkit.list_studies(storage)["study"].tolist() == ["study"]
    assert again.history.drop(columns="seconds").equals(whole.history.drop(columns="seconds"))
