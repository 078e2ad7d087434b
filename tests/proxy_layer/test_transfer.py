"""Knowledge from an earlier study: it helps where it holds, does no harm where it does not, and survives a kill."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.killing import in_a_process_that_is_killed

import searchkit
from searchkit import Choice, Space
from searchkit.errors import SearchkitError, StudyMismatchError
from searchkit.problem.objectives import Goals, Objective
from searchkit.proxy_layer.transfer import MOST, Earlier, read_earlier

SPACE = Space([Choice(f"c{j}", range(5), ordered=j % 2 == 0) for j in range(6)], name="six")
VALUE = np.random.default_rng(0).normal(size=(6, 5))
OTHER = np.random.default_rng(9).normal(size=(6, 5))
PLACES = np.arange(6)

Function = Callable[[dict], dict]


def base(choices: dict) -> dict:
    return {"loss": float(VALUE[PLACES, list(choices.values())].sum())}


def shifted(choices: dict) -> dict:
    """In other units, with something of its own in it: a rank correlation of some 0.9 with the base."""
    return {"loss": 10 + 3 * base(choices)["loss"] + float(OTHER[PLACES, list(choices.values())].sum())}


def negated(choices: dict) -> dict:
    return {"loss": -base(choices)["loss"]}


def search(function: Function = shifted, strategy: str = "nsga2", **given) -> searchkit.Result:
    given = {"space": SPACE, "objectives": {"loss": "min"}, "budget": 12, "batch": 2, "storage": "memory"} | given
    return searchkit.run(strategy, evaluate=function, **given)


@pytest.fixture(scope="module")
def before() -> searchkit.Result:
    """A study on the base."""
    return search(base, "bo", budget=40, batch=4, name="before", seed=1)


@pytest.fixture(scope="module")
def misleading() -> searchkit.Result:
    """A study on the negated base, which found its worst candidates."""
    return search(negated, "bo", budget=40, batch=4, name="misleading", seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["nsga2", "random", "bo"])
def test_a_study_of_a_like_function_helps(strategy: str, before: searchkit.Result) -> None:
    helped = [search(shifted, strategy, earlier=before, seed=seed).best().loss for seed in range(5)]
    alone = [search(shifted, strategy, seed=seed).best().loss for seed in range(5)]
    assert np.median(helped) < np.median(alone) - 2


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["nsga2", pytest.param("random", marks=pytest.mark.thorough)])
def test_a_misleading_study_loses_its_weight_and_does_no_harm(strategy: str, misleading: searchkit.Result) -> None:
    misled, alone = [], []
    for seed in range(5):
        signals = search(shifted, strategy, earlier=misleading, budget=20, seed=seed).signals
        assert signals.proxy.tolist() == ["earlier:misleading"]
        assert signals.rho[0] < 0
        assert signals.weight[0] == 0
        misled.append(search(shifted, strategy, earlier=misleading, budget=40, seed=seed).best().loss)
        alone.append(search(shifted, "random", budget=40, seed=seed).best().loss)
    assert np.mean(misled) <= np.mean(alone)


@pytest.mark.slow
def test_of_two_studies_the_one_that_holds_has_the_weight(
    before: searchkit.Result, misleading: searchkit.Result
) -> None:
    result = search(earlier=[misleading, before], budget=20)
    weights = result.signals.set_index("proxy").weight
    assert weights["earlier:before"] == 1
    assert weights["earlier:misleading"] == 0


@pytest.mark.slow
def test_the_prediction_is_that_of_the_earlier_objective_and_higher_is_better(before: searchkit.Result) -> None:
    codes = SPACE.enumerate()[::7]
    loss = VALUE[PLACES, codes].sum(axis=1)
    for direction, function in (("min", base), ("max", negated)):
        given = {"objectives": {"loss": direction}, "budget": 40, "batch": 4, "name": "earlier"}
        result = search(function, "random", **given)
        goals = Goals((Objective("other", "max"), Objective("loss", direction)), ())
        score = Earlier(result, SPACE, goals).score(codes)
        assert np.corrcoef(score, -loss)[0, 1] > 0.6


@pytest.mark.slow
def test_of_a_long_study_it_learns_from_some_hundred_candidates() -> None:
    result = search(base, "random", budget=900, batch=300)
    earlier = Earlier(result, SPACE, Goals((Objective("loss", "min"),), ()))
    assert MOST // 2 < len(earlier._model.y) <= MOST
    codes = SPACE.enumerate()[::7]
    assert np.corrcoef(earlier.score(codes), -VALUE[PLACES, codes].sum(axis=1))[0, 1] > 0.95


def test_failures_of_the_earlier_study_are_no_knowledge_and_no_obstacle() -> None:
    def fails(choices: dict) -> dict:
        if choices["c1"] == 2:
            raise ValueError("no")
        return base(choices)

    result = search(fails, "random", budget=60, batch=20)
    assert (result.history.state == "failed").sum() > 3
    assert len(search(earlier=result).history) == 12


def test_a_study_in_which_all_were_alike_is_no_obstacle() -> None:
    constant = search(lambda choices: {"loss": 1.0}, "random", budget=10)
    result = search(earlier=constant)
    assert len(result.history) == 12
    assert result.signals.weight.tolist() == [0]


def calls() -> tuple[list[dict], Function]:
    """A function, and what it was called with."""
    called: list[dict] = []

    def function(choices: dict) -> dict:
        called.append(choices)
        return shifted(choices)

    return called, function


RENAMED = Space([*SPACE.choices[:3], Choice("see4", range(5)), *SPACE.choices[4:]])
NONE_OF_IT = Space([*SPACE.choices[:3], Choice("c3", range(9, 12)), *SPACE.choices[4:]])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"space": RENAMED}, "'before' searched other choices than this one: choice 'c3' differs"),
        ({"space": NONE_OF_IT}, "other choices than this one: choice 'c3' differs, and its space 'six' declares no"),
        ({"objectives": {"cost": "min"}}, "has loss and this search cost: .* objective of the same name and direction"),
        ({"objectives": {"loss": "max"}}, "has loss and this search loss: .* same name and direction"),
    ],
)
def test_a_study_that_does_not_fit_is_refused_before_anything_is_evaluated(
    given: dict, words: str, before: searchkit.Result
) -> None:
    called, function = calls()
    with pytest.raises(SearchkitError, match=words):
        search(function, earlier=before, **given)
    assert not called


@pytest.mark.parametrize(
    "earlier", ["before", ["before"], {"before": 1}, 3, [None], Path("before.journal")], ids=lambda e: repr(e)[:20]
)
def test_what_is_no_result_is_refused_and_load_is_suggested(earlier: object) -> None:
    called, function = calls()
    with pytest.raises(SearchkitError, match="earlier= takes results, such as searchkit.load"):
        search(function, earlier=earlier)
    assert not called


def test_four_scored_candidates_are_too_few_and_five_are_not() -> None:
    called, function = calls()
    with pytest.raises(SearchkitError, match="earlier study 'short' has 4 scored candidates; at least 5 are needed"):
        search(function, earlier=search(base, budget=4, name="short"))
    assert not called
    assert len(search(earlier=search(base, budget=5)).history) == 12


def test_what_needs_no_evaluation_needs_no_knowledge(before: searchkit.Result) -> None:
    goals = Goals((Objective("loss", "min"),), ())
    with pytest.raises(SearchkitError, match="has loss and this search loss"):
        read_earlier(before, SPACE, goals, known=("loss",))
    assert read_earlier(None, SPACE, goals) == []
    assert [earlier.name for earlier in read_earlier((before,), SPACE, goals)] == ["earlier:before"]


def test_a_loaded_study_says_what_it_said_when_it_ended(tmp_path: Path) -> None:
    result = search(base, budget=16, storage=tmp_path, name="first")
    loaded = searchkit.load("first", tmp_path)
    mine, theirs = (search(earlier=one).history.drop(columns="seconds") for one in (result, loaded))
    assert mine.equals(theirs)


def history(result: searchkit.Result):
    return result.history.drop(columns="seconds")


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["nsga2", "bo"])
@pytest.mark.parametrize("n_before", [1, 7])
def test_an_interrupted_search_goes_on_to_the_same_history(
    strategy: str, n_before: int, before: searchkit.Result, tmp_path: Path
) -> None:
    def stop(trial, trials) -> None:
        if sum(t.finished for t in trials) == n_before:
            raise KeyboardInterrupt

    given = {"earlier": before, "batch": 3, "name": "s"}
    file = tmp_path / "s.journal"
    assert search(strategy=strategy, storage=file, callbacks=[stop], **given).stopped == "interrupted"
    continued = search(strategy=strategy, storage=file, **given)
    whole = search(strategy=strategy, storage="memory", **given)
    assert history(continued).equals(history(whole))
    assert continued.signals.equals(whole.signals)
    assert searchkit.load("s", file).signals.equals(whole.signals)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.parametrize(("kind", "count"), [("evaluation", 5), ("write", 3), ("write", 9)])
def test_a_killed_search_goes_on_to_the_same_history(
    kind: str, count: int, before: searchkit.Result, tmp_path: Path
) -> None:
    given = {"earlier": before, "batch": 3, "name": "s"}
    file = tmp_path / "s.journal"

    def run(tick: Callable[[], None]) -> None:
        def counted(choices: dict) -> dict:
            tick()
            return shifted(choices)

        search(counted, storage=file, **given)

    in_a_process_that_is_killed(kind, count, "evaluation", run)
    assert history(search(storage=file, **given)).equals(history(search(**given)))


def test_a_study_with_earlier_knowledge_is_not_continued_without_it(before: searchkit.Result, tmp_path: Path) -> None:
    search(earlier=before, storage=tmp_path, name="s", budget=6)
    with pytest.raises(StudyMismatchError, match="differs in proxies"):
        search(storage=tmp_path, name="s")
    assert len(search(earlier=before, storage=tmp_path, name="s", budget=8).history) == 8


@pytest.mark.parametrize("order", [("params", "accuracy"), ("accuracy", "params")])
@pytest.mark.parametrize("earlier_order", [("params", "accuracy"), ("accuracy", "params")])
def test_quality_and_not_cost_carries_over_whatever_comes_first(order: tuple, earlier_order: tuple) -> None:
    directions = {"params": "min", "accuracy": "max"}

    def function(choices: dict) -> dict:
        return {"accuracy": -base(choices)["loss"], "params": float(sum(choices.values()))}

    given = {n: directions[n] for n in earlier_order}
    earlier = search(function, "random", objectives=given, budget=60, batch=20, name="earlier")
    wanted = {n: directions[n] for n in order}
    result = search(function, objectives=wanted, earlier=earlier, budget=16)
    assert result.signals.rho[0] > 0.6
    assert result.signals.weight[0] == 1
