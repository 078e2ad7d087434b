"""Every registered strategy passes the shipped conformance suite, and learns."""

from __future__ import annotations

import functools
import itertools
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers.marks import slow_if, thorough_if

import searchkit
from searchkit import Choice, Space, plugins
from searchkit.problem.observations import Observations
from searchkit.problem.problem import Problem
from searchkit.testing import STRATEGY_CHECKS

NAMES = plugins.names("strategy")
MODELLED = ("auto", "bo", "portfolio")  # they fit a model for every proposal
FITTED = ("failures_do_not_stop_it", "learned_bounds_do_not_stop_it", "equal_losses_do_not_stop_it")
LONG = ("numbers_and_conditions_are_searched", "proposals_are_new_and_valid")


def test_the_strategies_are_registered():
    assert {"bo", "evolution", "exact", "nsga2", "nsga3", "portfolio", "random", "shrink", "tpe"} <= set(NAMES)


@pytest.mark.parametrize(
    ("check", "name"),
    slow_if(
        lambda check, name: name in MODELLED,
        itertools.product(STRATEGY_CHECKS, NAMES),
        lambda check, name: (
            check.__name__ in (*LONG, *FITTED) and name in ("auto", "portfolio")
        ),  # both hand on to others
    ),
    ids=lambda given: getattr(given, "__name__", given),
)
def test_conformance(check: Callable, name: str) -> None:
    check(plugins.resolve("strategy", name))


@pytest.mark.thorough
@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("name", slow_if(lambda name: name == "bo", [name for name in NAMES if name != "auto"]))
def test_a_choice_of_thousands_of_options_takes_bounded_memory_a_step(name: str, ordered: bool) -> None:
    space = Space([Choice("a", range(6000), ordered), Choice("b", range(6000), ordered), Choice("c", ("x", "y"))])
    searcher = plugins.resolve("strategy", name)(Problem(space, 1, 1, budget=24))
    tracemalloc.start()
    try:
        for step in range(4):
            codes = searcher.ask(4, np.random.default_rng(step), np.empty((0, 3), dtype=np.int64))
            losses = np.where(codes[:, 2] == 0, codes[:, 0] / 6000, np.nan)[:, None]
            searcher.tell(Observations(codes, losses, np.where(np.isnan(losses), np.nan, 0.0)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(codes) == 4
    assert peak < 400e6, "6,000 options squared are 36 million numbers; 10,000 neighbours times as many features, 60"


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", thorough_if(lambda name: name in MODELLED, [name for name in NAMES if name != "random"])
)
def test_it_beats_random_search(name: str) -> None:
    space = Space([Choice(f"c{i}", range(5)) for i in range(8)])
    value = np.random.default_rng(0).normal(size=(8, 5))

    def best_of(strategy: str, seed: int) -> float:
        problem = Problem(space, 1, budget=60)
        searcher = plugins.resolve("strategy", strategy)(problem)
        best = np.inf
        for step in range(30):
            codes = searcher.ask(2, np.random.default_rng([seed, step]), np.empty((0, 8), dtype=np.int64))
            losses = value[np.arange(8), codes].sum(axis=1)
            searcher.tell(Observations(codes, losses[:, None], np.empty((2, 0))))
            best = min(best, float(losses.min()))
        return best

    assert np.mean([best_of(name, s) for s in range(3)]) < np.mean([best_of("random", s) for s in range(3)]) - 1


@pytest.mark.parametrize(
    "strategy",
    slow_if(lambda name: name in MODELLED, ["exact", "portfolio", "bo", "tpe", "nsga2", "evolution", "shrink"]),
)
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_losses_of_any_size_are_searched_as_others_are(strategy: str) -> None:
    def of(choices: dict[str, Any], unit: float) -> dict[str, float]:
        return {"loss": unit * sum((choices[f"c{i}"] - 2) ** 2 + 0.1 for i in range(4))}

    space = Space([Choice(f"c{i}", range(5)) for i in range(4)])
    found = [
        searchkit.run(
            strategy, space=space, evaluate=functools.partial(of, unit=unit), objectives={"loss": "min"}, budget=24,
            storage="memory", progress=False,
        ).history.loss / unit
        for unit in (1.0, 2.0**1000)
    ]  # fmt: skip
    np.testing.assert_allclose(found[0], found[1])
