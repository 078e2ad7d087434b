"""Candidates that a search begins with: first, in order, once each, and also where it is killed among them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from helpers.killing import in_a_process_that_is_killed
from torch import nn

import searchkit
from searchkit import Choice, NetworkSpace, Space
from searchkit.errors import SearchkitError, SpaceError
from searchkit.problem.initial_design import read_start
from searchkit.strategies.nsga2 import NSGA2
from searchkit.types import Codes

SPACE = Space(
    [
        Choice("width", (8, 16, 24, 32, 40), ordered=True),
        Choice("kind", ("plain", "residual", "dense", "gated")),
        Choice("depth", range(5), ordered=True),
        Choice("last", (False, True)),
    ],
    name="start",
)
START = [
    {"width": 40, "kind": "gated", "depth": 4, "last": True},
    {"width": 8, "kind": "plain", "depth": 0, "last": False},
    {"width": 16, "kind": "dense", "depth": 3, "last": True},
    {"width": 40, "kind": "plain", "depth": 4, "last": False},
    {"width": 24, "kind": "gated", "depth": 1, "last": False},
    {"width": 32, "kind": "residual", "depth": 2, "last": True},
]
BOTH = {"loss": "min", "size": "min"}


def evaluate(choices: dict) -> dict:
    size = choices["width"] * (1 + choices["depth"]) + len(choices["kind"])
    return {"loss": 100 / size + 3 * choices["last"] + (choices["depth"] - 2) ** 2, "size": size}


def search(start: Any = START, strategy: Any = "nsga2", function: Callable = evaluate, **given) -> searchkit.Result:
    given = {"space": SPACE, "objectives": BOTH, "budget": 16, "batch": 4, "storage": "memory", "name": "s"} | given
    return searchkit.run(strategy, evaluate=function, start=start, **given)


def begun(result: searchkit.Result, n: int = len(START)) -> list[dict]:
    """The first n candidates that were evaluated."""
    return result.space.decode(np.stack([trial.code for trial in result.trials[:n]]))


def distinct(result: searchkit.Result) -> int:
    return len({trial.code.tobytes() for trial in result.trials})


@pytest.mark.parametrize("batch", [1, 4, 7])
@pytest.mark.parametrize("strategy", ["bo", "evolution", "nsga2", "nsga3", "random", "tpe", "auto"])
def test_they_are_evaluated_first_in_order_once_each_and_count_in_the_budget(strategy: str, batch: int) -> None:
    result = search(strategy=strategy, batch=batch)
    assert begun(result) == START
    assert len(result.history) == distinct(result) == 16


GIVEN: dict[str, Any] = {
    "dictionaries": START,
    "a tuple": tuple(START),
    "mappings that are no dictionaries": [MappingProxyType(choices) for choices in START],
    "keys in another order": [dict(reversed(choices.items())) for choices in START],
    "rows of codes": SPACE.encode(START).tolist(),
    "a matrix of codes": SPACE.encode(START),
    "whole numbers as floats": SPACE.encode(START).astype(float),
    "some of them twice": [START[0], *START[:3], START[1], *START[2:]],
}


@pytest.mark.parametrize("kind", GIVEN)
def test_they_may_be_given_as(kind: str) -> None:
    assert begun(search(GIVEN[kind])) == START


def test_one_alone_needs_no_list() -> None:
    assert begun(search(START[2]), 1) == START[2:3]
    assert begun(search(SPACE.encode(START[2])[0]), 1) == START[2:3]
    assert len(search([]).history) == len(search(None).history) == 16
    assert search([]).history.drop(columns="seconds").equals(search(None).history.drop(columns="seconds"))


def test_a_result_gives_its_front_best_first(tmp_path: Path) -> None:
    before = search(None, "random", budget=40, seed=3, storage=tmp_path, name="before")
    winners = before.front[list(SPACE.names)].to_dict("records")
    assert 2 < len(winners) < 16
    for given in (before, searchkit.load("before", tmp_path)):
        assert begun(search(given), len(winners)) == winners


def test_a_result_without_a_front_begins_with_nothing() -> None:
    before = search(None, constraints={"loss": -1e9}, budget=8)
    assert before.front.empty
    assert search(before).history.drop(columns="seconds").equals(search(None).history.drop(columns="seconds"))


def test_equal_candidates_are_one() -> None:
    merged = Space([Choice("a", range(4)), Choice("b", range(4))], canonical=lambda codes: codes * np.array([1, 0]))
    result = searchkit.run(
        "random", space=merged, evaluate=lambda c: {"loss": c["a"]}, objectives={"loss": "min"}, budget=3,
        start=[{"a": 2, "b": 1}, {"a": 2, "b": 3}, {"a": 0, "b": 2}], storage="memory", batch=1,
    )  # fmt: skip
    assert begun(result, 2) == [{"a": 2, "b": 0}, {"a": 0, "b": 0}]
    assert distinct(result) == 3


def test_more_than_the_budget_holds_are_evaluated_as_far_as_it_goes_and_then_further(tmp_path: Path) -> None:
    given = {"storage": tmp_path, "batch": 4}
    assert begun(search(budget=3, **given), 3) == START[:3]
    assert begun(search(budget=5, **given), 5) == START[:5]
    whole = search(budget=16, **given)
    assert begun(whole) == START
    assert distinct(whole) == len(whole.history) == 16


def test_what_the_study_has_evaluated_is_not_evaluated_again(tmp_path: Path) -> None:
    first = search(None, budget=8, storage=tmp_path)
    known = begun(first, 8)
    new = [choices for choices in START if choices not in known]
    result = search([known[3], *START, known[0]], budget=20, storage=tmp_path)
    assert begun(result, 8 + len(new))[8:] == new
    assert distinct(result) == len(result.history) == 20


def test_the_same_call_again_evaluates_nothing(tmp_path: Path) -> None:
    first = search(storage=tmp_path)

    def never(choices: dict) -> dict:
        raise AssertionError("evaluated again")

    assert search(storage=tmp_path, function=never).history.equals(first.history)


def history(result: searchkit.Result):
    return result.history.drop(columns="seconds")


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["nsga2", "bo", "tpe"])
@pytest.mark.parametrize("n_before", [1, 5, 6, 7])
@pytest.mark.parametrize("batch", [1, 4])
def test_interrupted_among_them_it_goes_on_to_the_same_history(
    batch: int, n_before: int, strategy: str, tmp_path: Path
) -> None:
    def stop(trial, trials) -> None:
        if sum(t.finished for t in trials) == n_before:
            raise KeyboardInterrupt

    given = {"batch": batch, "strategy": strategy, "budget": 12}
    assert search(storage=tmp_path, callbacks=[stop], **given).stopped == "interrupted"
    assert history(search(storage=tmp_path, **given)).equals(history(search(**given)))


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.parametrize("strategy", ["nsga2", "bo"])
@pytest.mark.parametrize(
    ("batch", "kind", "count"),
    [
        (1, "evaluation", 1),
        (1, "evaluation", 7),
        (1, "write", 4),
        (4, "evaluation", 5),
        (4, "write", 2),  # half of the first batch is on record
        (4, "write", 7),  # and of the second, which the start and the strategy share
    ],
)
def test_killed_among_them_it_goes_on_to_the_same_history(
    batch: int, kind: str, count: int, strategy: str, tmp_path: Path
) -> None:
    given = {"strategy": strategy, "batch": batch, "budget": 12}

    def run(tick: Callable[[], None]) -> None:
        def counted(choices: dict) -> dict:
            tick()
            return evaluate(choices)

        search(function=counted, storage=tmp_path, **given)

    in_a_process_that_is_killed(kind, count, "evaluation", run)
    continued = search(storage=tmp_path, **given)
    assert history(continued).equals(history(search(**given)))
    assert begun(continued) == START


class Hint:
    """A proxy that says what the loss is."""

    name = "hint"

    def score(self, codes: Codes) -> np.ndarray:
        return -np.array([evaluate(choices)["loss"] for choices in SPACE.decode(codes)])


@pytest.mark.slow
@pytest.mark.parametrize("batch", [1, 4])
def test_they_come_before_what_proxies_pick_also_when_interrupted(batch: int, tmp_path: Path) -> None:
    def stop(trial, trials) -> None:
        if sum(t.finished for t in trials) == 5:
            raise KeyboardInterrupt

    given = {"batch": batch, "proxies": [Hint()], "budget": 12}
    search(storage=tmp_path, callbacks=[stop], **given)
    continued = search(storage=tmp_path, **given)
    assert begun(continued) == START
    assert history(continued).equals(history(search(**given)))


@pytest.mark.parametrize(
    ("start", "words"),
    [
        ([START[0], START[1] | {"kind": "residul"}], "no option 'residul'.*Did you mean 'residual'"),
        ([START[0], START[1] | {"widht": 8}], "no choice 'widht'.*Did you mean 'width'"),
        ([{"width": 8}], "candidate 0 says nothing of choice 'kind'"),
        ([[0, 0, 0, 2]], "takes option 2 of choice 'last'"),
        ([[0, 0, 0]], "4 choices; got an array of shape"),
        ([[0, 0, 0, 0], [0, 0]], "start is a list of"),
        ([START[0], [0, 0, 0, 0]], "start is a list of"),
        ([[0.5, 0, 0, 0]], "whole option indices"),
        ("before", "start .*not 'before'"),
        (3, "start"),
        ([None], "start is a list of"),
    ],
    ids=lambda given: str(given)[:24],
)
def test_what_is_not_in_the_space_is_said_with_what_is_near_before_any_work(start: Any, words: str) -> None:
    called: list[dict] = []
    with pytest.raises(SpaceError, match=words):
        search(start, function=lambda choices: called.append(choices) or evaluate(choices))
    assert not called


def test_a_result_over_other_choices_is_refused() -> None:
    other = Space([Choice("width", (8, 16)), Choice("sort", ("plain", "dense"))])
    before = searchkit.run(
        "random", space=other, evaluate=lambda c: {"loss": c["width"]}, objectives={"loss": "min"}, budget=4,
        storage="memory",
    )  # fmt: skip
    with pytest.raises(SearchkitError, match="'sort'"):
        search(before)


def test_they_are_read_as_rows_of_codes() -> None:
    assert np.array_equal(read_start(START, SPACE), SPACE.encode(START))
    assert read_start(None, SPACE).shape == read_start([], SPACE).shape == (0, 4)


def test_several_results_dictionaries_and_rows_are_candidates_to_begin_with() -> None:
    one, other = (
        searchkit.run(
            "random", space=SPACE, evaluate=lambda c, sign=sign: {"loss": sign * c["width"]},
            objectives={"loss": "min"}, budget=3, storage="memory", seed=3,
        )
        for sign in (1, -1)
    )  # fmt: skip
    fronts = [SPACE.encode(result.front[list(SPACE.names)].to_dict("records")) for result in (one, other)]
    found = read_start([one, START[0], other, [0, 0, 0, 0]], SPACE)
    expected = [*fronts[0], SPACE.encode(START)[0], *fronts[1], SPACE.check([0, 0, 0, 0])[0]]
    assert set(map(tuple, found.tolist())) == set(map(tuple, np.array(expected).tolist()))
    assert read_start((one, one), SPACE).tolist() == read_start(one, SPACE).tolist()
    with pytest.raises(SpaceError, match="of results .of a study by name: searchkit.load.name.., not"):
        read_start([one, "other"], SPACE)


def test_one_that_fails_or_breaks_a_bound_that_is_measured_counts_and_the_search_goes_on() -> None:
    def fails(choices: dict) -> dict:
        if choices == START[1]:
            raise ValueError("no")
        return evaluate(choices)

    result = search(function=fails, constraints={"size": 100})
    assert list(result.history.state[:3]) == ["scored", "failed", "scored"]
    assert begun(result) == START
    assert len(result.history) == 16
    assert (result.front["size"] <= 100).all()


DIGITS = searchkit.load_data("digits", limit=300)


def build(choices: dict, input_shape: tuple[int, int, int], n_classes: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, choices["width"]), nn.Linear(choices["width"], n_classes))


NETWORKS = NetworkSpace(
    [Choice("width", (4, 8, 12, 16, 20, 24, 28, 512)), Choice("unused", range(6))], build, name="start-networks"
)


@pytest.mark.parametrize("batch", [1, 3])
def test_one_that_is_known_to_break_a_bound_is_left_out_and_takes_no_place_of_others(batch: int) -> None:
    asked: list[int] = []

    class Counting(NSGA2):
        def ask(self, n: int, rng: np.random.Generator, pending: Codes) -> Codes:
            asked.append(n)
            return super().ask(n, rng, pending)

    wide, narrow = {"width": 512, "unused": 0}, {"width": 8, "unused": 1}
    result = searchkit.run(
        Counting, space=NETWORKS, data=DIGITS, epochs=1, budget=6, batch=batch, constraints={"params": 5000},
        start=[wide, narrow], storage="memory",
    )  # fmt: skip
    assert len(result.history) == 6
    assert result.history.width.max() < 512, "nothing is evaluated that is known to break a bound"
    assert begun(result, 1) == [narrow]
    assert sum(asked) == 5, "all others are the strategy's"
