"""Optimisers of other libraries are strategies when given as objects: samplers of Optuna, algorithms of pymoo."""

from __future__ import annotations

import importlib.metadata
import itertools
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import pytest
from helpers.marks import slow_if, thorough_if
from pymoo.algorithms.moo.gde3 import GDE3
from pymoo.algorithms.moo.moead import MOEAD
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.algorithms.moo.nsga3 import NSGA3
from pymoo.algorithms.moo.rvea import RVEA
from pymoo.algorithms.moo.sms import SMSEMOA
from pymoo.algorithms.moo.spea2 import SPEA2
from pymoo.algorithms.moo.unsga3 import UNSGA3
from pymoo.algorithms.soo.nonconvex.de import DE
from pymoo.algorithms.soo.nonconvex.ga import GA
from pymoo.algorithms.soo.nonconvex.nelder import NelderMead
from pymoo.operators.crossover.pntx import TwoPointCrossover
from pymoo.operators.mutation.pm import PM
from pymoo.operators.repair.rounding import RoundingRepair
from pymoo.util.ref_dirs import get_reference_directions

import searchkit
from searchkit import Choice, Space, plugins
from searchkit.errors import SearchkitError
from searchkit.problem.observations import Observations
from searchkit.problem.problem import Problem
from searchkit.runtime.fingerprint import fingerprint
from searchkit.strategies.pymoo_algorithm import PymooAlgorithm
from searchkit.strategies.pymoo_operators import IntegerCrossover, IntegerMutation
from searchkit.testing import (
    STRATEGY_CHECKS,
    ask_changes_nothing,
    learned_bounds_do_not_stop_it,
    numbers_and_conditions_are_searched,
)

SPACE = Space([Choice(f"c{j}", range(5), ordered=j < 3) for j in range(8)])
NONE = np.empty((0, 8), dtype=np.int64)
WEIGHTS = np.random.default_rng(0).normal(size=(2, 8, 5))

SAMPLERS: dict[str, Callable] = {
    "random": optuna.samplers.RandomSampler,
    "tpe": optuna.samplers.TPESampler,
    "nsgaii": lambda: optuna.samplers.NSGAIISampler(population_size=8),
    "nsgaiii": lambda: quietly(optuna.samplers.NSGAIIISampler, population_size=8),
    "qmc": lambda: quietly(optuna.samplers.QMCSampler, warn_asynchronous_seeding=False),
    "brute force": lambda: quietly(optuna.samplers.BruteForceSampler),
}
ALGORITHMS: dict[str, Callable] = {
    "NSGA2": lambda k: NSGA2(pop_size=10),
    "SMSEMOA": lambda k: SMSEMOA(pop_size=10) if k > 1 else GA(pop_size=10),
    "NSGA3": lambda k: NSGA3(directions(k)),
    "UNSGA3": lambda k: UNSGA3(directions(k)),
    "SPEA2": lambda k: SPEA2(pop_size=10),
    "RVEA": lambda k: RVEA(directions(k)) if k > 1 else DE(pop_size=10),
    "GDE3": lambda k: GDE3(pop_size=10),
}


def quietly(make: Callable, **options):
    with pytest.warns(optuna.exceptions.ExperimentalWarning):
        return make(**options)


def directions(k: int) -> np.ndarray:
    return get_reference_directions("das-dennis", k, n_partitions=4)


def evaluate(codes, k: int = 1) -> Observations:
    losses = np.stack([table[np.arange(8), codes].sum(axis=1) for table in WEIGHTS[:k]], axis=1)
    return Observations(codes, losses, np.empty((len(codes), 0)))


def best_of(make: Callable, budget: int = 96, batch: int = 4, seed: int = 0) -> float:
    strategy, best = make(Problem(SPACE, 1, budget=budget)), np.inf
    for step in range(budget // batch):
        told = evaluate(strategy.ask(batch, np.random.default_rng([seed, step]), NONE))
        strategy.tell(told)
        best = min(best, float(told.losses.min()))
    return best


@pytest.mark.parametrize(
    ("name", "check"),
    slow_if(lambda name, check: name != "nsgaii", itertools.product(SAMPLERS, STRATEGY_CHECKS)),
    ids=lambda given: getattr(given, "__name__", given),
)
def test_a_sampler_of_optuna_conforms(name: str, check: Callable) -> None:
    if name == "brute force" and check is numbers_and_conditions_are_searched:
        with pytest.raises(ValueError, match="BruteForceSampler cannot search this: FloatDistribution.step must be"):
            check(plugins.adapt(SAMPLERS[name]()))
        return
    check(plugins.adapt(SAMPLERS[name]()))


@pytest.mark.parametrize(
    ("name", "check"),
    slow_if(lambda name, check: name not in ("NSGA2", "RVEA"), itertools.product(ALGORITHMS, STRATEGY_CHECKS)),
    ids=lambda given: getattr(given, "__name__", given),
)
def test_an_algorithm_of_pymoo_conforms(name: str, check: Callable) -> None:
    check(lambda problem: plugins.adapt(ALGORITHMS[name](problem.n_objectives))(problem))


@pytest.mark.slow
@pytest.mark.parametrize(
    "check",
    thorough_if(lambda check: check is ask_changes_nothing, [ask_changes_nothing, learned_bounds_do_not_stop_it]),
    ids=lambda c: c.__name__,
)
def test_optunas_gaussian_process_conforms(check: Callable) -> None:
    check(plugins.adapt(optuna.samplers.GPSampler(n_startup_trials=30)))
    if check is ask_changes_nothing:
        check(plugins.adapt(optuna.samplers.GPSampler(n_startup_trials=6)))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tpe", "nsgaii"])
def test_samplers_learn_from_what_is_told(name: str) -> None:
    ours = [best_of(plugins.adapt(SAMPLERS[name]()), seed=seed) for seed in range(3)]
    random = [best_of(plugins.resolve("strategy", "random"), seed=seed) for seed in range(3)]
    assert np.mean(ours) < np.mean(random) - 0.5


@pytest.mark.slow
@pytest.mark.parametrize("make", [lambda: GA(pop_size=8), lambda: DE(pop_size=12), lambda: NSGA2(pop_size=8)])
def test_algorithms_learn_from_what_is_told(make: Callable) -> None:
    ours = [best_of(plugins.adapt(make()), budget=200, seed=seed) for seed in range(3)]
    random = [best_of(plugins.resolve("strategy", "random"), budget=200, seed=seed) for seed in range(3)]
    assert np.mean(ours) < np.mean(random) - 0.5


@pytest.mark.parametrize("given", [lambda: NSGA2(pop_size=6), *SAMPLERS.values()])
def test_two_objects_told_the_same_ask_the_same_and_another_seed_asks_something_else(given: Callable) -> None:
    codes = np.unique(SPACE.sample(30, np.random.default_rng(0)), axis=0)
    asked = []
    for seed in (1, 1, 2):
        strategy = plugins.adapt(given())(Problem(SPACE, 2, budget=60))
        for i in range(0, 30, 6):
            strategy.tell(evaluate(codes[i : i + 6], 2))
        asked.append(strategy.ask(5, np.random.default_rng(seed), NONE))
    assert np.array_equal(asked[0], asked[1])
    if given not in (SAMPLERS["qmc"], SAMPLERS["tpe"]):  # one sequence for all seeds; one best option a choice
        assert not np.array_equal(asked[0], asked[2])


def test_the_object_itself_is_not_touched_and_serves_two_searches():
    algorithm, sampler = NSGA2(pop_size=6), optuna.samplers.NSGAIISampler(population_size=6, seed=3)
    state = str(sampler._rng.rng.get_state())
    assert best_of(plugins.adapt(algorithm), 30) == best_of(plugins.adapt(algorithm), 30)
    assert best_of(plugins.adapt(sampler), 30) == best_of(plugins.adapt(sampler), 30)
    assert algorithm.pop is None
    assert not algorithm.is_initialized
    assert str(sampler._rng.rng.get_state()) == state


@pytest.mark.parametrize("given", [lambda: NSGA2(pop_size=6), *SAMPLERS.values()])
def test_the_same_object_made_again_is_the_same_strategy_so_that_a_script_continues_its_study(given: Callable) -> None:
    assert fingerprint(plugins.adapt(given())) == fingerprint(plugins.adapt(given()))
    assert fingerprint(plugins.adapt(NSGA2(pop_size=7))) != fingerprint(plugins.adapt(given()))


def test_a_users_own_sampler_is_adapted_as_optunas():
    class Lowest(optuna.samplers.RandomSampler):
        def sample_independent(self, study, trial, param_name, param_distribution):
            return 0

    codes = plugins.adapt(Lowest())(Problem(SPACE, 1)).ask(1, np.random.default_rng(0), NONE)
    assert not codes.any()


def test_real_operators_are_replaced_and_the_users_own_are_kept():
    def operators(algorithm):
        mating = PymooAlgorithm(Problem(SPACE, 2), algorithm=algorithm)._algorithm.mating
        return type(mating.crossover), type(mating.mutation)

    own = {"crossover": TwoPointCrossover(), "mutation": PM(vtype=float, repair=RoundingRepair())}
    assert operators(NSGA2(pop_size=6)) == (IntegerCrossover, IntegerMutation)
    assert operators(NSGA2(pop_size=6, **own)) == (TwoPointCrossover, PM)


@pytest.mark.parametrize(
    ("make", "k", "message"),
    [
        (lambda: MOEAD(directions(2)), 2, "MOEAD evaluates one candidate after the other inside its own loop"),
        (lambda: NelderMead(), 1, "NelderMead evaluates one candidate after the other|NelderMead cannot search this"),
        (lambda: GA(pop_size=6), 2, "GA cannot search this"),
        (lambda: SMSEMOA(pop_size=6), 1, "SMSEMOA cannot search this"),
        (lambda: NSGA3(directions(3)), 2, "NSGA3 cannot search this: Dimensionality of reference points"),
        (lambda: already_run(), 2, "NSGA2 has been set up or run already: give a new one"),
        (lambda: optuna.samplers.GridSampler({"a": [1]}), 1, "GridSampler cannot be a strategy: it walks through a"),
        (
            lambda: quietly(
                optuna.samplers.PartialFixedSampler, fixed_params={"a": 1}, base_sampler=optuna.samplers.RandomSampler()
            ),
            1,
            "PartialFixedSampler cannot be a strategy: it fixes parameters",
        ),
        (lambda: Broken(), 1, "Broken cannot search this: no floats here"),
    ],
)
def test_what_cannot_be_a_strategy_is_refused_before_the_search(make: Callable, k: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plugins.adapt(make())(Problem(SPACE, k))


class Broken(optuna.samplers.RandomSampler):
    def sample_independent(self, study, trial, param_name, param_distribution):
        raise RuntimeError("no floats here")


def already_run() -> NSGA2:
    algorithm = NSGA2(pop_size=4)
    algorithm.is_initialized = True
    return algorithm


def test_cma_es_needs_ordered_choices():
    plain = Space([Choice(f"c{j}", range(5)) for j in range(4)])
    with pytest.raises(ValueError, match="CmaEsSampler searches ordered choices, .*fewer than two are ordered here"):
        plugins.adapt(optuna.samplers.CmaEsSampler())(Problem(plain, 1))


def test_cma_es_searches_ordered_choices():
    pytest.importorskip("cmaes")
    ordered = Space([Choice(f"c{j}", range(9), ordered=True) for j in range(5)])
    strategy, best = plugins.adapt(optuna.samplers.CmaEsSampler())(Problem(ordered, 1)), np.inf
    for step in range(80):
        codes = strategy.ask(1, np.random.default_rng([0, step]), np.empty((0, 5), dtype=np.int64))
        losses = ((codes - 4.0) ** 2).sum(axis=1, keepdims=True)
        strategy.tell(Observations(codes, losses, np.empty((1, 0))))
        best = min(best, float(losses[0, 0]))
    assert best <= 3


def test_what_no_library_is_known_for_is_nobodys():
    for given in (None, 5, "nsga2", object(), lambda problem: None, [1], optuna.pruners.NopPruner()):
        assert plugins.adapt(given) is None


def test_a_third_partys_adapter_is_found_by_the_library_that_the_object_comes_from(monkeypatch):
    here = __name__.split(".", maxsplit=1)[0]
    point = EntryPoint(here, f"{__name__}:own_adapter", "searchkit.adapters")
    broken = EntryPoint("optuna", "searchkit.missing:adapt", "searchkit.adapters")
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [point, broken])
    assert plugins.adapt(Own()) == "a factory"
    with pytest.raises(SearchkitError, match="adapter 'optuna' is registered as searchkit.missing:adapt, which cannot"):
        plugins.adapt(optuna.samplers.RandomSampler())


class Own:
    pass


def own_adapter(given: object) -> str:
    return "a factory"


@pytest.mark.slow
@pytest.mark.parametrize(
    "make",
    [lambda: NSGA2(pop_size=6), SAMPLERS["nsgaii"], SAMPLERS["tpe"]],
    ids=["pymoo", "optuna nsgaii", "optuna tpe"],
)
def test_a_search_with_an_object_is_continued_where_it_stopped(make: Callable, tmp_path: Path) -> None:
    def search(folder: Path, budget: int) -> pd.DataFrame:
        result = searchkit.run(
            make(), space=SPACE, evaluate=lambda c: {"a": c["c0"] + c["c4"], "b": c["c1"] - c["c0"]}, name="study",
            objectives={"a": "min", "b": "min"}, budget=budget, batch=3, storage=folder,
        )  # fmt: skip
        return result.history.drop(columns="seconds")

    whole = search(tmp_path / "whole", 27)
    search(tmp_path / "parts", 12)
    assert search(tmp_path / "parts", 27).equals(whole)
