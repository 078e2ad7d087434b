"""A user's guesses: they lead a search where they are right, and cost little where they are wrong."""

from __future__ import annotations

import numpy as np
import optuna
import pytest

import searchkit
from searchkit import Choice, Float, Int, SearchkitError, Space, plugins
from searchkit.errors import SpaceError
from searchkit.integrations.optuna import SearchkitSampler
from searchkit.problem.making import made
from searchkit.problem.observations import Observations
from searchkit.problem.problem import Problem

BEST = np.array([0.2, 0.7, 0.4, 0.85])


def _found(strategy, prior, seed, budget=20):
    space = Space([Float(f"x{i}", 0, 1, prior=None if prior is None else prior[i]) for i in range(4)])
    problem = Problem(space, 1, budget=budget)
    searcher = made(plugins.resolve("strategy", strategy), problem)
    best = np.inf
    for step in range(budget):
        codes = searcher.ask(1, np.random.default_rng([seed, step]), np.empty((0, 4), dtype=np.int64))
        loss = ((space.positions(codes) - BEST) ** 2).sum(axis=1, keepdims=True)
        searcher.tell(Observations(codes, loss, np.empty((1, 0))))
        best = min(best, float(loss[0, 0]))
    return best


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["evolution", "tpe"])
def test_a_right_guess_helps_and_a_wrong_one_costs_little(strategy):
    none, right, wrong = (
        np.median([_found(strategy, prior, seed) for seed in range(6)])
        for prior in (None, np.clip(BEST + 0.05, 0, 1), 1 - BEST)
    )
    assert right < 0.5 * none
    assert wrong < 2.5 * none


def test_the_first_candidate_takes_the_guesses():
    asked = []

    def evaluate(row):
        asked.append(row)
        return {"loss": row["rate"]}

    space = Space([
        Float("rate", 1e-5, 1, log=True, prior=(0.003, 0.8)), Int("units", 8, 512, prior=64),
        Choice("kind", ("a", "b", "c"), prior="b"), Float("other", 0, 1),
    ])  # fmt: skip
    searchkit.run(
        "nsga2", evaluate=evaluate, space=space, objectives={"loss": "min"}, budget=3, seed=0, storage="memory"
    )
    assert asked[0] | {"other": None} == {"rate": 0.003, "units": 64, "kind": "b", "other": None}


@pytest.mark.slow
def test_a_search_with_guesses_is_continued_as_it_was_and_they_may_be_changed(tmp_path):
    space = Space([Float("x", 0, 1, prior=0.3), Choice("c", ("a", "b"), prior=("b", 0.7))])
    call = {
        "evaluate": lambda row: {"loss": abs(row["x"] - 0.4)}, "space": space, "objectives": {"loss": "min"},
        "seed": 1, "storage": tmp_path,
    }  # fmt: skip
    searchkit.run("evolution", budget=6, name="s", **call)
    continued = searchkit.run("evolution", budget=14, name="s", **call)
    whole = searchkit.run("evolution", budget=14, name="t", **call)
    assert [t.code.tolist() for t in continued.trials] == [t.code.tolist() for t in whole.trials]
    assert searchkit.load("t", storage=tmp_path).space.choices[1].prior == space.choices[1].prior
    other = Space([Float("x", 0, 1, prior=0.9), Choice("c", ("a", "b"))])
    assert len(searchkit.run("evolution", budget=15, name="s", **(call | {"space": other})).trials) == 15
    narrower = Space([Float("x", 0, 0.5, prior=0.3), Choice("c", ("a", "z"))])
    said = r"choice 'x'.high \(recorded 1.0, asked 0.5\), choice 'c'.options \(recorded \['a', 'b'\], asked"
    with pytest.raises(searchkit.SearchkitError, match=said):
        searchkit.run("evolution", budget=16, name="s", **(call | {"space": narrower}))


def test_the_guesses_are_tried_where_a_search_begins_with_other_designs(tmp_path):
    space = Space([Float("x", 0, 1, prior=0.3)])
    first = [{"x": value} for value in (0.9, 0.8, 0.7)]
    result = searchkit.run(
        "evolution", evaluate=lambda row: {"loss": row["x"]}, space=space, objectives={"loss": "min"}, start=first,
        budget=5, seed=0, storage="memory",
    )  # fmt: skip
    assert list(result.history.x[:4]) == [0.9, 0.8, 0.7, 0.3]


def test_a_sampler_of_optuna_takes_guesses():
    sampler = SearchkitSampler("tpe", seed=0, prior={"rate": (0.01, 0.9), "kind": "b"})
    study = optuna.create_study(sampler=sampler)

    def objective(trial):
        return trial.suggest_float("rate", 1e-5, 1, log=True) + (trial.suggest_categorical("kind", ("a", "b")) == "a")

    study.optimize(objective, n_trials=4)
    assert study.trials[1].params == {"rate": 0.01, "kind": "b"}, "the first is random: parameters are not known yet"
    wrong = optuna.create_study(sampler=SearchkitSampler("tpe", seed=0, prior={"rate": 5.0}))
    with pytest.raises(SpaceError, match="prior of 'rate' is 5.0, and the study has FloatDistribution"):
        wrong.optimize(objective, n_trials=2)
    for given, said in (([1], "prior is a mapping"), ({"rate": (0.1, 2)}, "confidence in the prior of 'rate'")):
        with pytest.raises(SearchkitError, match=said):
            SearchkitSampler(prior=given)


def test_a_guess_of_a_parameter_that_no_trial_has_is_spoken_of(caplog):
    study = optuna.create_study(sampler=SearchkitSampler("random", seed=0, prior={"rtae": 0.1}))
    study.optimize(lambda trial: trial.suggest_float("rate", 0, 1), n_trials=12)
    assert caplog.text.count("prior of 'rtae': no trial so far has such a parameter. Did you mean 'rate'?") == 1
