"""The portfolio: which strategy a search gets, that it says so, and that its studies may be continued."""

from __future__ import annotations

import inspect
import logging
from pathlib import Path

import numpy as np
import pytest

import searchkit
from searchkit import Choice, NetworkSpace, Node, Space, plugins
from searchkit.problem.observations import Observations
from searchkit.problem.problem import Problem
from searchkit.strategies.auto import MODELLED, Auto, choose

SPACE = Space([Choice(f"c{j}", range(5)) for j in range(6)], name="six")  # 15,625 candidates
TINY = Space([Choice(name, range(3)) for name in "ab"], name="tiny")


def loss(choices: dict) -> dict:
    return {"loss": float(sum(choices.values())), "size": -float(choices.get("c0", 0))}


def search(folder: Path | str = "memory", strategy: str | None = None, **given) -> searchkit.Result:
    given = {"space": SPACE, "objectives": {"loss": "min"}, "budget": 12, "storage": folder, "name": "s"} | given
    positional = () if strategy is None else (strategy,)
    return searchkit.run(*positional, evaluate=loss, **given)


@pytest.mark.slow
def test_a_search_that_names_no_strategy_gets_one_chosen_and_is_told_which_and_why() -> None:
    result = search()
    choice, why = choose(Problem(SPACE, 1, budget=12))
    assert result.strategy == f"{choice}: {why}"
    assert choice == "bo"
    assert "12 evaluations" in why
    assert len(result.history) == 12
    assert inspect.signature(searchkit.run).parameters["strategy"].default == "auto"


def test_what_is_chosen_is_what_searches() -> None:
    history = search(batch=3).history.drop(columns="seconds")
    assert history.equals(search(strategy="bo", batch=3).history.drop(columns="seconds"))
    assert not history.equals(search(strategy="random", batch=3).history.drop(columns="seconds"))
    assert search(strategy="bo").strategy == "bo"


@pytest.mark.parametrize(
    ("budget", "n_objectives", "choice", "words"),
    [
        (15_625, 1, "random", "15625 evaluations are enough for all 15625 combinations"),
        (20_000, 3, "random", "enough for all"),
        (15_624, 1, "evolution", "15624 evaluations are many"),
        (40, 1, "bo", "for 40 evaluations"),
        (40, 2, "bo", "for 40 evaluations"),
        (40, 6, "bo", "for 40 evaluations"),
        (MODELLED, 2, "bo", f"for {MODELLED} evaluations"),
        (MODELLED + 1, 2, "nsga2", "many"),
        (2000, 1, "evolution", "with one objective"),
        (2000, 2, "nsga2", "2000 evaluations are many"),
        (2000, 3, "nsga2", "2000 evaluations are many"),
        (2000, 4, "nsga3", "4 objectives need reference directions"),
        (2000, 5, "nsga3", "5 objectives need reference directions"),
        (None, 1, "bo", "a budget in seconds or in further evaluations"),
        (None, 5, "bo", "a budget in seconds or in further evaluations"),
    ],
)
def test_the_rules(budget: int | None, n_objectives: int, choice: str, words: str) -> None:
    chosen = Auto(Problem(SPACE, n_objectives, budget=budget))
    assert chosen.choice == choice
    assert words in chosen.why
    assert isinstance(chosen._strategy, plugins.resolve("strategy", choice))
    assert chosen.batch == getattr(chosen._strategy, "batch", 1)


@pytest.mark.parametrize("budget", [40, 2000])
def test_proxies_are_mentioned_where_the_search_has_some(budget: int) -> None:
    assert "proxies judge" in choose(Problem(SPACE, 1, budget=budget, proxies=True))[1]
    assert "proxies" not in choose(Problem(SPACE, 1, budget=budget))[1]


@pytest.mark.slow
def test_a_budget_in_seconds_and_one_that_covers_the_space_come_through_the_front_door() -> None:
    result = search(space=TINY, budget=50)
    assert result.strategy.startswith("random: 50 evaluations are enough for all 9 combinations")
    assert len(result.history) == 9
    timed = search(space=TINY, budget={"seconds": 60})
    assert timed.strategy.startswith("bo: for a budget in seconds or in further evaluations")
    assert len(timed.history) == 9
    many = search(budget=700, objectives={"loss": "min", "size": "min"})
    assert many.strategy.startswith("nsga2: 700 evaluations are many")
    assert len(many.history) == 700


def test_what_is_asked_for_is_handed_on() -> None:
    problem = Problem(SPACE, 2, budget=2000)
    auto, alone = Auto(problem), plugins.resolve("strategy", "nsga2")(problem)
    none = np.empty((0, 6), dtype=np.int64)
    for step in range(4):
        codes = auto.ask(20, np.random.default_rng(step), none)
        assert np.array_equal(codes, alone.ask(20, np.random.default_rng(step), none))
        told = Observations(codes, codes[:, :2] * 1.0, np.empty((20, 0)))
        auto.tell(told)
        alone.tell(told)


@pytest.mark.slow
def test_a_loaded_result_still_says_its_strategy(tmp_path: Path) -> None:
    result = search(tmp_path)
    assert searchkit.load("s", tmp_path).strategy == result.strategy
    search(tmp_path, "random", name="plain")
    assert searchkit.load("plain", tmp_path).strategy == "random"
    assert searchkit.list_studies(tmp_path).set_index("study").strategy.to_dict() == {"s": "auto", "plain": "random"}


def test_a_study_that_auto_began_goes_on_with_another_budget_and_another_choice(tmp_path: Path, caplog) -> None:
    first = search(tmp_path, space=TINY, budget=6)
    assert first.strategy.startswith("bo: for 6 evaluations")
    with caplog.at_level(logging.INFO, "searchkit"):
        more = search(tmp_path, space=TINY, budget=9)
    assert more.strategy.startswith("random: 9 evaluations are enough")
    assert searchkit.load("s", tmp_path).strategy == more.strategy
    assert len(more.history) == 9
    assert more.history.iloc[:6].equals(first.history)
    said = [record.getMessage() for record in caplog.records]
    assert any("continuing study 's' with 6 candidates" in line for line in said)
    assert f"strategy 'auto' takes {more.strategy}" in said


@pytest.mark.slow
def test_a_study_that_auto_began_goes_on_with_another_strategy_and_says_so(tmp_path: Path, caplog) -> None:
    first = search(tmp_path, budget=12)
    with caplog.at_level(logging.WARNING, "searchkit"):
        more = search(tmp_path, "random", budget=20)
    assert [record.getMessage() for record in caplog.records] == [
        "study 's' is continued with another strategy; give another name to keep the two apart"
    ]
    assert more.history.iloc[:12].equals(first.history)
    assert len(more.history) == 20
    assert more.strategy == "random"
    caplog.clear()
    with caplog.at_level(logging.WARNING, "searchkit"):
        search(tmp_path, "random", budget=22)
    assert not caplog.records, "said once: it is what the study was last continued with"


def test_the_same_call_again_says_nothing_and_evaluates_nothing(tmp_path: Path, caplog) -> None:
    first = search(tmp_path)
    with caplog.at_level(logging.WARNING, "searchkit"):
        again = search(tmp_path)
    assert not caplog.records
    assert again.history.equals(first.history)
    assert again.strategy == first.strategy


@pytest.mark.slow
def test_without_a_name_a_longer_budget_finds_the_study_again(tmp_path: Path) -> None:
    first = search(tmp_path, name=None, budget=10)
    more = search(tmp_path, name=None, budget=14)
    assert more.name == first.name
    assert more.history.iloc[:10].equals(first.history)
    assert "auto" in first.name


@pytest.mark.slow
def test_a_large_modular_space_is_solved_by_its_blocks_where_the_budget_teaches_them() -> None:
    from searchkit import load_space
    from searchkit.strategies.auto import choose

    space = load_space("mobilenet")
    assert choose(Problem(space, 2, budget=300))[0] == "exact"
    assert choose(Problem(space, 2, budget=100))[0] == choose(Problem(space, 1))[0] == "portfolio"
    assert choose(Problem(space, 6, budget=100))[0] == "bo", "fronts of six objectives say little"
    wide = [Choice(f"c{j}", range(40)) for j in range(12)]
    node = Node("all", tuple(choice.name for choice in wide), (3, 8, 8), (10,))
    one = NetworkSpace(wide, lambda *_: None, nodes=lambda _: (node,), name="one block")
    assert choose(Problem(one, 1, budget=300))[0] == "bo", "a block of 40^12 alternatives is not listed"
    assert choose(Problem(load_space("macro"), 2, budget=300))[0] == "bo", "6,561 networks are not many"
