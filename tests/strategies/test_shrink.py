"""shrink proposes of the options that are left; the conformance suite is in test_strategies.py."""

from __future__ import annotations

import functools

import numpy as np
import pytest

import searchkit
from searchkit import Choice, Space
from searchkit.problem.observations import Observations
from searchkit.problem.problem import Problem
from searchkit.space import keys
from searchkit.strategies.shrink import Shrink
from searchkit.types import Floats

SPACE = Space([Choice(f"c{i}", range(4)) for i in range(5)])
WORTH = np.random.default_rng(3).normal(size=(5, 4))


def losses(codes: np.ndarray) -> Floats:
    return WORTH[np.arange(5), codes].sum(axis=1)[:, None]


def searched(strategy: Shrink, n: int, batch: int = 1) -> np.ndarray:
    codes = np.empty((0, 5), dtype=np.int64)
    while len(codes) < n:
        new = strategy.ask(batch, np.random.default_rng([0, len(codes)]), codes[:0])
        strategy.tell(Observations(new, losses(new), np.empty((len(new), 0))))
        codes = np.concatenate([codes, new])
    return codes


def test_proposals_are_of_the_options_left_until_these_are_used_up() -> None:
    strategy = Shrink(Problem(SPACE), per_level=20)
    searched(strategy, 40)
    living = strategy.shrinking.living
    assert strategy.shrinking.falls
    new = strategy.ask(4, np.random.default_rng(1), np.empty((0, 5), dtype=np.int64))
    assert all(living[j][row[j]] for row in new for j in range(5))


def test_one_network_is_left_at_last_it_is_the_best_and_the_search_goes_on_one_level_back() -> None:
    strategy = Shrink(Problem(SPACE), per_level=20, always=True)
    codes = searched(strategy, 61)
    assert [int(alive.sum()) for alive in strategy.shrinking.living] == [1] * 5
    assert np.array_equal(codes[np.argmin(losses(codes))], WORTH.argmin(axis=1))
    one_before = strategy.shrinking.levels[-2]
    new = strategy.ask(2, np.random.default_rng(2), codes[:0])
    assert not set(keys(new)) & set(keys(codes))
    assert all(one_before[j][row[j]] for row in new for j in range(5))


def test_options_that_keep_a_bound_are_left_and_found() -> None:
    problem = Problem(SPACE, 1, 1, known=lambda codes: np.maximum(0.0, codes.sum(axis=1, keepdims=True) - 4.0))
    strategy, best = Shrink(problem, per_level=10), np.inf
    for step in range(60):
        code = strategy.ask(1, np.random.default_rng(step), np.empty((0, 5), dtype=np.int64))
        assert code.sum() <= 4
        loss = -(code * np.array([3, 2, 2, 1, 1])).sum(axis=1, keepdims=True).astype(float)
        strategy.tell(Observations(code, loss, np.zeros((1, 1))))
        best = min(best, float(loss[0, 0]))
    assert best <= -10, "-11 is the best there is"


def test_a_study_of_it_is_resumed_to_the_same_history(tmp_path) -> None:
    call = functools.partial(
        searchkit.run,
        functools.partial(Shrink, per_level=8),
        space=SPACE,
        evaluate=evaluate,
        objectives={"loss": "min"},
        storage=tmp_path,
        progress=False,
    )
    whole = call(budget=40, name="whole")
    call(budget=20, name="parts")
    assert call(budget=40, name="parts").history[list(SPACE.names)].equals(whole.history[list(SPACE.names)])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"per_level": 2}, "per_level is a number of evaluations, 4 or more, not 2"),
        ({"below": 0.7}, "below is a probability above 0 and below 0.5, not 0.7"),
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Shrink(Problem(SPACE), **wrong)


def evaluate(choices: dict) -> dict[str, float]:
    return {"loss": float(losses(SPACE.encode(choices))[0, 0])}
