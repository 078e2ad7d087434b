"""What is left of a space after a study is a space for the next one."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest

import searchkit
from searchkit import Choice, Space
from searchkit.blocks.shrinking import Settings
from searchkit.errors import SpaceError, StudyMismatchError
from searchkit.problem.problem import Problem
from searchkit.results.report.call import call as report_call
from searchkit.results.report.facts import Facts
from searchkit.results.space_left import left, shrinking_of, table
from searchkit.space.narrower_space import NarrowerSpace
from searchkit.space.recipe_space import RecipeSpace
from searchkit.strategies.shrink import Shrink

SPACE = Space([Choice(f"c{i}", ("a", "b", "c", "d")) for i in range(5)])
WORTH = np.random.default_rng(3).normal(size=(5, 4))
MACRO = searchkit.load_space("macro", width=8)


def evaluate(choices: dict[str, Any]) -> dict[str, float]:
    code = SPACE.encode(choices)[0]
    return {"loss": float(WORTH[np.arange(5), code].sum())}


def study(strategy: object, **given: Any) -> searchkit.Result:
    defaults: dict[str, Any] = {"space": SPACE, "evaluate": evaluate, "objectives": {"loss": "min"}, "budget": 60}
    return searchkit.run(strategy, **{**defaults, "storage": "memory", "progress": False, **given})


@pytest.fixture(scope="module")
def result() -> searchkit.Result:
    return study("shrink")


def test_what_fell_in_a_search_with_shrink_is_what_its_record_says(result: searchkit.Result) -> None:
    strategy = Shrink(Problem(SPACE, 1, budget=60))
    shrinking = shrinking_of(result)
    strategy.tell(told_of(result))
    assert shrinking.falls == strategy.shrinking.falls
    assert shrinking.falls
    dropped = result.options_dropped
    assert list(dropped.columns) == ["choice", "option", "evaluations", "chance", "gain", "left", "evidence"]
    assert len(dropped) == len(shrinking.falls)
    assert (dropped.chance < 0.05).all()
    assert dropped.evidence.str.contains("chance of being the best").all()
    assert (dropped.groupby("choice").left.last() >= 1).all()


def test_the_space_left_holds_the_best_and_is_searched_by_the_next_study(result: searchkit.Result) -> None:
    space = result.space_left
    assert space.size < SPACE.size
    best = {name: result.best()[name] for name in SPACE.names}
    assert space.decode(space.encode(best)) == [best]
    fell = result.options_dropped.iloc[0]
    with pytest.raises(SpaceError, match=f"choice '{fell.choice}' has no option '{fell.option}'"):
        space.encode(best | {fell.choice: fell.option})
    after = study("bo", space=space, budget=8)
    assert {name for row in space.decode(np.array([t.code for t in after.trials])) for name in row} == set(SPACE.names)
    assert after.best().loss <= result.best().loss + 1e-12 or len(after.trials) == 8


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["random", "evolution"])
def test_it_is_a_function_of_the_record_whatever_the_strategy(strategy: str, tmp_path) -> None:
    found = study(strategy, budget=80, storage=tmp_path, name="s")
    loaded = searchkit.load("s", tmp_path)
    assert loaded.options_dropped.equals(found.options_dropped)
    assert loaded.space_left.describe() == found.space_left.describe()
    assert len(found.options_dropped)


def test_other_settings_are_given_to_the_functions_behind_it(result: searchkit.Result) -> None:
    shrinking = shrinking_of(result, Settings(per_level=15, always=True))
    assert len(table(result, shrinking)) == 15
    best = [result.best()[name] for name in SPACE.names]
    assert all(option in choice.options for option, choice in zip(best, left(result, shrinking).choices, strict=True))


def test_few_evaluations_leave_the_whole_space() -> None:
    few = study("random", budget=3)
    assert few.space_left is SPACE
    assert few.options_dropped.empty


def test_networks_of_the_space_left_are_searched_loaded_continued_and_built(tmp_path) -> None:
    made = functools.partial(study, space=MACRO, evaluate=small_and_early, objectives={"score": "max"})
    first = made("shrink", budget=20)
    space = first.space_left
    assert isinstance(space, NarrowerSpace)
    call = functools.partial(made, "random", space=space, storage=tmp_path, name="next")
    call(budget=2)
    loaded = searchkit.load("next", tmp_path)
    assert isinstance(loaded.space, NarrowerSpace)
    assert loaded.space.describe() == space.describe()
    loaded.build(0, trained=False)
    names: dict[str, Any] = {"evaluate": small_and_early}
    exec(report_call(Facts(loaded)).replace("budget=2", f"storage={str(tmp_path)!r}, budget=3"), names)
    assert len(names["result"].trials) == 3, "the call in the report has the part of the space"
    with pytest.raises(StudyMismatchError, match="it differs in choice '.*'.options [(]recorded .*, asked "):
        call(budget=3, space=MACRO)


@pytest.mark.slow
def test_signals_and_counts_judge_networks_of_the_space_left_under_a_bound() -> None:
    signals = functools.partial(
        searchkit.run, objectives={"naswot": "max", "params": "min"}, data="digits", storage="memory", progress=False
    )
    first = signals(
        functools.partial(Shrink, per_level=5, always=True), space=MACRO, budget=12, constraints={"params": 90_000}
    )
    shrinking = shrinking_of(first, Settings(per_level=5, always=True))
    space = left(first, shrinking)
    assert isinstance(space, NarrowerSpace)
    assert not first.options_dropped.empty or len(shrinking.falls)
    after = signals("random", space=space, budget=3)
    assert set(map(str, after.history.state)) == {"scored"}
    assert isinstance(after.space, NarrowerSpace)


def test_settings_of_the_training_fall_as_other_options_do() -> None:
    space = RecipeSpace(MACRO, [Choice("lr", (0.1, 0.2, 0.3), ordered=True)])

    def scored(choices: dict[str, Any]) -> dict[str, float]:
        return {"score": small_and_early(choices)["score"] - 10 * (choices["lr"] == 0.1)}

    found = study("random", space=space, evaluate=scored, objectives={"score": "max"}, budget=60)
    assert isinstance(found.space_left, RecipeSpace)
    assert found.space_left.settings[0].options == (0.2, 0.3)


def small_and_early(choices: dict[str, Any]) -> dict[str, float]:
    return {"score": float(sum((choices[f"layer_{i}"] == "mb6_k5") / i for i in range(1, 9)))}


def told_of(result: searchkit.Result) -> Any:
    from searchkit.problem.trial import observe

    return observe(result.trials, result.goals)
