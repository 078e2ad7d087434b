"""What a search over networks evaluates first: the designs of the default space, where the strategy is "auto"."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import searchkit
from searchkit.costs.metrics import Metric
from searchkit.results.result import Result

DATA = searchkit.load_data("digits", limit=60)
SPACE = searchkit.load_space("residual").for_data(DATA.input_shape, DATA.n_classes)


def search(strategy: str = "auto", **given: Any) -> Result:
    call = {"data": DATA, "budget": 4, "epochs": 1, "storage": "memory", "seed": 3}
    return searchkit.run(strategy, **(call | given))


def first(result: Result, n: int) -> np.ndarray:
    return np.stack([trial.code for trial in result.trials[:n]])


@pytest.mark.slow
def test_half_of_the_candidates_are_designs() -> None:
    result = search()
    assert np.array_equal(first(result, 2), SPACE.reference[:2])
    assert not np.array_equal(first(result, 3)[2], SPACE.reference[2])


@pytest.mark.slow
def test_a_strategy_that_is_named_and_a_start_that_is_given_decide_themselves() -> None:
    assert not np.array_equal(first(search("random"), 2), SPACE.reference[:2])
    start = SPACE.reference[5:6]
    given = first(search(start=start), 2)
    assert np.array_equal(given[:1], start)
    assert not (given[1] == SPACE.reference[:2]).all(axis=1).any()


def test_designs_that_break_a_bound_are_left_out() -> None:
    most = 3 * search(budget=1).history.params.min()
    assert (search(constraints={"params": most}).history.params <= most).all()


@pytest.mark.slow
def test_under_bounds_on_what_is_measured_there_are_none() -> None:
    """They may break them, and would be lost."""
    weights = Metric("weights", lambda network: float(sum(p.numel() for p in network.parameters())))
    result = search(constraints={weights: 1e9})
    assert not np.array_equal(first(result, 2), SPACE.reference[:2])


@pytest.mark.parametrize("objectives", [("naswot", "params")])
def test_a_search_that_trains_nothing_has_none(objectives: tuple[str, ...]) -> None:
    result = search(objectives=objectives, epochs=None)
    assert not np.array_equal(first(result, 2), SPACE.reference[:2])


@pytest.mark.slow
def test_a_number_of_evaluations_more_begins_with_them_too(tmp_path: Path) -> None:
    begun = search(budget="+4", storage=tmp_path)
    assert np.array_equal(first(begun, 2), SPACE.reference[:2])
    longer = search(budget=12, storage=tmp_path)  # of which half are not designs of the larger budget
    new = np.stack([trial.code for trial in longer.trials[4:7]])
    assert not (new[:, None] == SPACE.reference[2:5]).all(axis=2).all(axis=1).any()
