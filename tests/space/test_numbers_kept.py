"""Numbers and conditions at their edges: records, steps, narrow ranges, odd options, and studies of Optuna."""

from __future__ import annotations

import functools
import math

import numpy as np
import optuna
import pytest

import searchkit
from searchkit import Choice, Float, Int, Space
from searchkit.errors import SpaceError
from searchkit.integrations.optuna import SearchkitSampler
from searchkit.storage.parameters import distribution_of


def _loss(row):
    return {"loss": float(len(row))}


CALL = {"evaluate": _loss, "objectives": {"loss": "min"}, "seed": 0}


@pytest.mark.parametrize(
    "options",
    [[math.sin, math.cos, len], [dict, list], [1, True, "1", 1.0], [1.0, math.nan], [(1, 2), (3, 4)], [None, "a"]],
    ids=str,
)
def test_a_condition_on_any_option_is_recorded_loaded_and_continued(tmp_path, options):
    space = Space(
        [Choice("a", options), Float("x", 0, 1, when=("a", options[0])), Int("n", 0, 5, when=("a", "!=", [options[0]]))]
    )
    searchkit.run("random", space=space, budget=6, name="s", storage=tmp_path, **CALL)
    again = searchkit.run("random", space=space, budget=9, name="s", storage=tmp_path, **CALL)
    loaded = searchkit.load("s", storage=tmp_path)
    assert [t.code.tolist() for t in loaded.trials] == [t.code.tolist() for t in again.trials]
    assert (loaded.history.x.isna() == again.history.x.isna()).all()


def test_a_threshold_on_steps_is_compared_with_the_value_that_is_evaluated():
    for low, high, step in ((0, 1, 0.1), (-1, 1, 0.05), (0.1, 0.7, 0.2)):
        number = Float("p", low, high, step=step)
        codes = np.arange(number.n_values)
        assert number.values(codes).tolist() == list(number.options)
    space = Space([Float("p", 0, 1, step=0.1), Float("x", 0, 1, when=("p", "<=", 0.3))])
    assert space.decode(space.encode({"p": 0.3, "x": 0.5})) == [{"p": 0.3, "x": 0.5}]


@pytest.mark.parametrize("number", [Float("p", 1e6, 1e6 + 1, step=0.001), Float("p", 0, 10, step=1e-7)], ids=repr)
def test_steps_that_optuna_would_not_know_again_are_recorded_without_them(tmp_path, number):
    result = searchkit.run("random", space=Space([number]), budget=60, storage=tmp_path, name="s", **CALL)
    assert [t.code.tolist() for t in searchkit.load("s", storage=tmp_path).trials] == [
        t.code.tolist() for t in result.trials
    ]
    assert distribution_of(Float("q", 0, 1, step=0.1)).step == 0.1


@pytest.mark.parametrize(
    "number",
    [
        Float("x", 1e-100, 1.0000000000000004e-100, log=True), Float("x", 1e-250, 1e250, log=True),
        Float("x", 1e-120, 1.0), Float("x", -1e250, 1e250), Float("x", 5e-50, 1e-3, log=True),
    ],
    ids=repr,
)  # fmt: skip
def test_narrow_and_wide_ranges_are_kept(number):
    space = Space([number])
    codes = space.sample(20, np.random.default_rng(0))
    assert np.array_equal(space.check(codes), codes)
    values = [row["x"] for row in space.decode(codes)]
    assert all(number.low <= value <= number.high for value in values)
    assert np.array_equal(space.encode([{"x": value} for value in values]), codes)
    assert number.option(0) == number.low


def test_what_is_said_of_a_parameter_that_does_not_exist_makes_no_difference():
    space = Space([Choice("a", (1, 2)), Choice("b", ("x", "y"), when=("a", 2))])
    assert space.decode(space.encode({"a": 1, "b": "nothing"})) == [{"a": 1}]
    with pytest.raises(SpaceError, match="has no option 'nothing'"):
        space.encode({"a": 2, "b": "nothing"})


def test_an_option_that_is_a_pair_may_be_a_guess():
    assert Choice("x", [(1, 2), (3, 4)], prior=(3, 4)).prior.code == 1


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (functools.partial(Float, "x", 0, 10**400), "numbers between"),
        (functools.partial(Int, "x", 0, 10**5000), "numbers up to 2"),
        (functools.partial(Float, "x", 0, 1e10, step=1e-20), "more than 2.53 steps"),
        (functools.partial(Float, "x", 0, 1, when=("a", [1], 1)), "compares by"),
        (functools.partial(Float, "x", 0, 1, when=np.array([1, 2])), "when of 'x' is"),
        (functools.partial(Float, "x", 0, 1, when=("a", ">", math.nan)), "with a number, not with nan"),
    ],
)
def test_odd_input_is_refused_in_a_sentence(make, said):
    with pytest.raises(SpaceError, match=said):
        make()


def test_a_condition_that_nothing_fulfils_is_refused():
    with pytest.raises(SpaceError, match="no value of 'n' from 0 to 3 is >= 5"):
        Space([Int("n", 0, 3), Float("x", 0, 1, when=("n", ">=", 5))])


def test_what_falls_is_said_to_be_of_choices():
    result = searchkit.run(
        "random", space=Space([Int("p", 0, 9), Choice("c", ("a", "b"))]), budget=5, storage="memory", **CALL
    )
    for name in ("space_left", "options_dropped"):
        with pytest.raises(searchkit.SearchkitError, match="has numbers or conditions"):
            getattr(result, name)


def test_trials_that_share_no_parameter_are_drawn_at_random():
    study = optuna.create_study(sampler=SearchkitSampler("random", seed=0))
    study.optimize(lambda t: t.suggest_float("x", 0, 1) if t.number % 2 else t.suggest_float("y", 0, 1), n_trials=8)
    assert len(study.trials) == 8


def test_categories_that_optuna_takes_for_equal_are_one():
    study = optuna.create_study(sampler=SearchkitSampler("evolution", seed=0))

    def objective(trial):
        return trial.suggest_categorical("c", [True, 1, "x"]) != "x" or trial.suggest_int("a", 0, 3)

    study.optimize(objective, n_trials=12)
    asked = [(repr(trial.params["c"]), trial.params.get("a")) for trial in study.trials]
    assert len({one for one in asked if one[0] == "'x'"}) == 4


def test_a_guess_that_a_narrower_range_has_no_longer_is_dropped():
    study = optuna.create_study(sampler=SearchkitSampler("tpe", seed=0, prior={"x": 0.9}))
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
    study.optimize(lambda trial: trial.suggest_float("x", 0, 0.1), n_trials=3)
    assert study.trials[1].params["x"] == 0.9
