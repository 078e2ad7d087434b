"""TPE on Optuna: asking leaves nothing behind, costs stay down, options that contradict each other are refused."""

from __future__ import annotations

import time

import numpy as np
import optuna
import pytest

from searchkit import Choice, Space
from searchkit.problem.observations import Observations
from searchkit.problem.pareto import hypervolume
from searchkit.problem.problem import Problem
from searchkit.strategies.random import Random
from searchkit.strategies.tpe import TPE

D = 12
SPACE = Space([Choice(f"c{j}", range(5), ordered=j % 3 == 0) for j in range(D)])
NONE = np.empty((0, D), dtype=np.int64)
WEIGHTS = np.random.default_rng(0).normal(size=(2, D, 5))


def evaluate(codes, k: int = 2) -> Observations:
    losses = np.stack([table[np.arange(D), codes].sum(axis=1) for table in WEIGHTS[:k]], axis=1)
    return Observations(codes, losses, np.empty((len(codes), 0)))


def told(n: int, k: int = 2, **options) -> TPE:
    strategy = TPE(Problem(SPACE, k), **options)
    strategy.tell(evaluate(np.unique(SPACE.sample(n, np.random.default_rng(1)), axis=0), k))
    return strategy


@pytest.mark.parametrize("k", [1, 2])
def test_asking_leaves_no_trial_behind(k: int) -> None:
    strategy = told(40, k)
    before = len(strategy._shelf.get_all_trials(0))
    for step in range(5):
        strategy.ask(3, np.random.default_rng(step), SPACE.sample(2, np.random.default_rng(9)))
    assert len(strategy._shelf.get_all_trials(0)) == before == 40


@pytest.mark.slow
def test_it_finds_more_than_random_search_with_two_objectives():
    def volume(strategy, seed: int) -> float:
        found = []
        for step in range(30):
            batch = evaluate(strategy.ask(3, np.random.default_rng([seed, step]), NONE))
            strategy.tell(batch)
            found.append(batch.losses)
        return hypervolume(np.concatenate(found), np.array([5.0, 5.0]))

    problem = Problem(SPACE, 2)
    assert np.mean([volume(TPE(problem), s) for s in range(3)]) > 1.2 * np.mean(
        [volume(Random(problem), s) for s in range(3)]
    )


def test_of_very_many_trials_the_sampler_sees_the_best_and_the_newest():
    strategy = TPE(Problem(SPACE, 1), n_seen=30)
    codes = np.unique(SPACE.sample(200, np.random.default_rng(0)), axis=0)
    batch = evaluate(codes, 1)
    for i in range(0, len(codes), 7):
        strategy.tell(batch[i : i + 7])
        assert len(strategy._shelf.get_all_trials(0)) <= 1.25 * 30
    visible = [trial.value for trial in strategy._shelf.get_all_trials(0)]
    assert set(np.sort(batch.losses[:, 0])[:8]) <= set(visible)
    assert batch.losses[-1, 0] in visible
    assert [trial.number for trial in strategy._shelf.get_all_trials(0)] == list(range(len(visible)))
    assert len(strategy.ask(4, np.random.default_rng(0), NONE)) == 4


@pytest.mark.thorough
@pytest.mark.parametrize("k", [1, 2])
def test_a_suggestion_costs_no_more_than_optunas_own(k: int) -> None:
    n = 1000
    strategy = told(n, k)
    codes = SPACE.sample(n, np.random.default_rng(1))
    distributions = dict(strategy._distributions)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(optuna.logging, "_default_handler", None)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.create_study(directions=["minimize"] * k, sampler=optuna.samplers.TPESampler(seed=0))
    for code, losses in zip(codes.tolist(), evaluate(codes, k).losses.tolist(), strict=True):
        params = {str(j): i for j, i in enumerate(code)}
        study.add_trial(optuna.create_trial(values=losses, params=params, distributions=distributions))

    def ours(seed: int) -> None:
        strategy.ask(1, np.random.default_rng(seed), NONE)

    def theirs(seed: int) -> None:
        study.tell(study.ask(distributions), [0.0] * k)

    seconds: dict = {ours: [], theirs: []}
    for seed in range(9):
        for work, times in seconds.items():
            start = time.process_time()
            work(seed)
            times.append(time.process_time() - start)
    assert np.median(seconds[ours]) < 1.5 * np.median(seconds[theirs])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sampler": optuna.samplers.TPESampler(), "n_startup_trials": 5}, "a sampler and options of one .n_startup_"),
        ({"sampler": optuna.samplers.RandomSampler()}, "sampler is a TPESampler, not <.*RandomSampler"),
        ({"n_seen": 3}, "n_seen must be at least 10, not 3"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        TPE(Problem(SPACE, 1), **options)


def test_an_option_that_optuna_does_not_know_is_refused():
    with pytest.raises(TypeError, match="n_start"):
        TPE(Problem(SPACE, 1), n_start=5)


@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize("case", ["ties", "failed", "infeasible", "huge"])
def test_thousands_of_equal_or_useless_outcomes_take_little_time(k: int, case: str) -> None:
    codes = np.unique(SPACE.sample(2000, np.random.default_rng(0)), axis=0)
    n = len(codes)
    losses = np.full((n, k), 1.0 if case == "ties" else np.nan)
    violations = np.full((n, 1), {"ties": 0.0, "failed": np.nan, "infeasible": 2.0, "huge": 0.0}[case])
    if case == "huge":
        losses = np.random.default_rng(0).choice([1e308, -1e308, 0.0], (n, k))
    strategy = TPE(Problem(SPACE, k, 1))
    start = time.process_time()
    strategy.tell(Observations(codes, losses, violations))
    assert len(strategy.ask(2, np.random.default_rng(0), NONE)) == 2
    assert time.process_time() - start < 10
