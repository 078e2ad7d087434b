"""SearchkitSampler where TPESampler was: the same study on both, with outcomes, queues, storages, arguments."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, PartialFixedSampler, TPESampler
from optuna.trial import TrialState, create_trial

from searchkit.errors import ConstraintError, SearchkitError, UnknownNameError
from searchkit.integrations.optuna import SearchkitSampler

pytestmark = pytest.mark.filterwarnings("ignore")  # of Optuna, on both

Make = Callable[..., BaseSampler]
MAKERS: dict[str, Make] = {
    "theirs": lambda **given: TPESampler(n_startup_trials=3, seed=0, **given),
    "ours": lambda **given: SearchkitSampler("tpe", seed=0, **given),
}


def objective(trial: optuna.Trial) -> float:
    x, n = trial.suggest_float("x", -5, 5), trial.suggest_int("n", 1, 8)
    return x * x + n + (trial.suggest_categorical("c", ["a", "b"]) == "a")


def searched(make: Make, function: Any, n: int = 10, **given: Any) -> optuna.Study:
    study = optuna.create_study(sampler=make(), **given)
    study.optimize(function, n_trials=n, catch=(ValueError,))
    return study


def ended(study: optuna.Study) -> list[tuple[str, int | None]]:
    """State and number of values of each trial."""
    return [(t.state.name, None if t.values is None else len(t.values)) for t in study.trials]


# --- what an objective returns, raises and reports

VALUES: dict[str, Any] = {
    "nan": math.nan, "inf": math.inf, "-inf": -math.inf, "none": None, "word": "abc", "float32": np.float32(2),
    "numpy's nan": np.float64("nan"), "array of one": np.array([1.0]), "list": [1.0], "two": [1.0, 2.0], "bool": True,
    "complex": 1 + 2j, "decimal": Decimal("1.5"), "1e308": 1e308, "dictionary": {},
}  # fmt: skip


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES.keys())
@pytest.mark.parametrize("k", [1, 2])
def test_odd_values_end_as_with_tpe(value: Any, k: int) -> None:
    def odd(trial: optuna.Trial) -> Any:
        known = objective(trial)
        given = value if trial.number % 3 == 1 else known
        return given if k == 1 else (given, 1.0)

    both = [ended(searched(make, odd, directions=["minimize"] * k)) for make in MAKERS.values()]
    assert both[0] == both[1]
    assert len(both[0]) == 10


def prunes(trial: optuna.Trial) -> float:
    value = objective(trial)
    if trial.number % 4 == 0:
        raise optuna.TrialPruned
    if trial.number % 4 == 1:
        trial.report(math.nan if trial.number % 8 == 1 else math.inf, 1)
        raise optuna.TrialPruned
    trial.report(value, 1)
    if trial.number % 4 == 2:
        raise optuna.TrialPruned
    return value


def raises(trial: optuna.Trial) -> float:
    if trial.number < 4:
        raise ValueError("before it asked anything")
    value = objective(trial)
    if trial.number % 2:
        raise ValueError("after")
    return value


def changes(trial: optuna.Trial) -> float:
    x = trial.suggest_float("x", 0, 1 + trial.number)
    return x + (
        trial.suggest_int("n", 1, 3 + trial.number % 3) if trial.suggest_categorical("k", ["a", "b"]) == "a" else 0
    )


def constant(trial: optuna.Trial) -> float:
    return trial.suggest_float("x", 1, 1) + trial.suggest_int("n", 2, 2) + len(trial.suggest_categorical("c", ["a"]))


def numbers(trial: optuna.Trial) -> float:
    total = trial.suggest_float("a", -1, 1, step=0.3) + trial.suggest_int("b", 1, 1000, log=True)
    total += trial.suggest_int("c", 0, 10, step=3) + trial.suggest_float("d", 1e-10, 1e10, log=True)
    return total + trial.suggest_float("e", 0, 1e-300) + trial.suggest_int("f", -(2**40), 2**40)


def categories(trial: optuna.Trial) -> float:
    return float(len(str(trial.suggest_categorical("c", [None, True, 1, 1.5, "1", math.nan, (1, 2)]))))


def bounded(trial: optuna.Trial) -> float:
    value = objective(trial)
    trial.set_constraint("size", value - 3)
    return value


FUNCTIONS = [
    prunes, raises, changes, constant, numbers, categories, bounded, lambda trial: 1.0,
    lambda trial: (_ for _ in ()).throw(optuna.TrialPruned()),
]  # fmt: skip


@pytest.mark.parametrize("function", FUNCTIONS)
def test_objectives_of_every_kind_end_as_with_tpe(function: Any) -> None:
    both = [ended(searched(make, function, 16)) for make in MAKERS.values()]
    assert both[0] == both[1]


@pytest.mark.parametrize(
    "returned", [lambda v: (v, math.inf), lambda v: (v, 1.0, 2.0), lambda v: v, lambda v: (v, None)]
)
def test_several_objectives_end_as_with_tpe(returned: Any) -> None:
    def several(trial: optuna.Trial) -> Any:
        value = objective(trial)
        return returned(value) if trial.number % 3 else (value, 1.0)

    both = [ended(searched(make, several, directions=["minimize", "maximize"])) for make in MAKERS.values()]
    assert both[0] == both[1]


# --- queues, and asking and telling by hand


def queued(study: optuna.Study) -> None:
    study.optimize(objective, n_trials=5)
    for params in ({"x": 1.0}, {"x": 0.0, "n": 3, "c": "a"}, {}, {"other": 3}, {"x": 100.0}, {"n": 100, "x": 1}):
        study.enqueue_trial(params)
    study.enqueue_trial({"x": 1.0}, skip_if_exists=True)
    study.optimize(objective, n_trials=8)
    assert study.trials[5].params["x"] == 1.0
    assert study.trials[6].params == {"x": 0.0, "n": 3, "c": "a"}
    assert study.trials[9].params["x"] == 100.0, "out of range, and taken with a warning"
    assert (study.trials[10].params["n"], study.trials[10].params["x"]) == (100, 1)


def queued_first(study: optuna.Study) -> None:
    study.enqueue_trial({"x": 100.0})
    study.enqueue_trial({"x": 1}, user_attrs={"from": "me"})
    study.optimize(objective, n_trials=8)


def queued_wrongly(study: optuna.Study) -> None:
    study.enqueue_trial({"c": "other"})
    study.optimize(objective, n_trials=6, catch=(ValueError,))


def asked_and_told(study: optuna.Study) -> None:
    for i in range(9):
        trial = study.ask()
        value = objective(trial)
        if i % 3 == 0:
            study.tell(trial.number, value)
        elif i % 3 == 1:
            study.tell(trial, state=TrialState.PRUNED)
        else:
            study.tell(trial, [value])


def asked_by_distributions(study: optuna.Study) -> None:
    distributions = {"x": FloatDistribution(-5, 5), "c": CategoricalDistribution([None, True, 1.5])}
    for i in range(10):
        trial = study.ask(distributions)
        study.tell(trial, trial.params["x"] if i % 4 else None, state=None if i % 4 else TrialState.FAIL)


def asked_at_once(study: optuna.Study) -> None:
    study.optimize(objective, n_trials=5)
    trials = [study.ask() for _ in range(6)]
    values = [objective(trial) for trial in trials]
    for trial, value in zip(trials[:4], values, strict=False):
        study.tell(trial, value)
    study.optimize(objective, n_trials=3)  # two are never told


def added(study: optuna.Study) -> None:
    known = {"x": FloatDistribution(-5, 5), "n": IntDistribution(1, 8), "c": CategoricalDistribution(["a", "b"])}
    study.add_trial(create_trial(params={"x": 1.0, "n": 2, "c": "a"}, distributions=known, value=2.0))
    study.add_trial(create_trial(params={"x": -9.0}, distributions={"x": FloatDistribution(-50, 5)}, value=2.0))
    study.optimize(objective, n_trials=6)


def copied(study: optuna.Study) -> None:
    study.optimize(objective, n_trials=5)
    for other in (pickle.loads(pickle.dumps(study)), copy.deepcopy(study)):
        other.optimize(objective, n_trials=3)
    study.optimize(objective, n_trials=3)


def reseeded(study: optuna.Study) -> None:
    study.sampler.reseed_rng()
    study.optimize(objective, n_trials=5)
    inferred = study.sampler.infer_relative_search_space(study, study.trials[-1])
    assert all(study.trials[-1].distributions[name] == known for name, known in inferred.items())


def in_threads(study: optuna.Study) -> None:
    study.optimize(objective, n_trials=12, n_jobs=2)


def fixed_partly(study: optuna.Study) -> None:
    study.sampler = PartialFixedSampler({"x": 1.0}, study.sampler)
    study.optimize(objective, n_trials=8)
    assert {trial.params["x"] for trial in study.trials} == {1.0}


BY_HAND = [
    queued, queued_first, queued_wrongly, asked_and_told, asked_by_distributions, asked_at_once, added, copied,
    reseeded, in_threads, fixed_partly,
]  # fmt: skip


@pytest.mark.parametrize("steps", BY_HAND, ids=lambda steps: steps.__name__)
def test_studies_by_hand_go_as_with_tpe(steps: Callable[[optuna.Study], None]) -> None:
    both = []
    for make in MAKERS.values():
        study = optuna.create_study(sampler=make())
        steps(study)
        both.append(sorted(ended(study), key=str) if steps is in_threads else ended(study))
    assert both[0] == both[1]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "journal"])
def test_stored_studies_go_on_as_with_tpe(kind: str, tmp_path: Path) -> None:
    both = []
    for name, make in MAKERS.items():
        file = tmp_path / name
        for i in range(2):
            storage: Any = f"sqlite:///{file}.db"
            if kind == "journal":
                storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(f"{file}.log"))
            study = optuna.create_study(storage=storage, study_name="s", sampler=make(), load_if_exists=True)
            study.optimize(lambda t: objective(t) if t.number % 3 else math.nan, n_trials=6, n_jobs=1 + i)
        both.append(sorted(ended(study)[:6], key=str) + sorted(ended(study)[6:], key=str))
    assert both[0] == both[1]


# --- arguments


@pytest.mark.parametrize(
    "returned",
    [(1.0, -1.0), [0.5], np.array([1.0, 2.0]), (math.inf, -math.inf), (), (True,), (np.float32(1.0),)],
    ids=str,
)
def test_constraints_are_kept_as_with_tpe(returned: Any) -> None:
    both = []
    for make in MAKERS.values():
        study = searched(lambda make=make: make(constraints_func=lambda trial: returned), objective)
        both.append([(ended(study)[i], list(trial.constraints.values())) for i, trial in enumerate(study.trials)])
    assert both[0] == both[1]


@pytest.mark.parametrize(
    ("returned", "sentence"),
    [
        (1.0, "constraints_func returned 1.0 for trial 0: it returns a sequence of numbers"),
        (np.float64(1.0), "it returns a sequence of numbers"),
        (None, "constraints_func returned None for trial 0: it returns a sequence of numbers"),
        ("12", "constraints_func returned '12' for trial 0: it returns a sequence of numbers"),
        ((math.nan,), "NaN says nothing"),
        (("1.0",), "a value of constraints_func for trial 0 is '1.0', not a number"),
    ],
)
def test_constraints_that_are_none_are_refused_by_both(returned: Any, sentence: str) -> None:
    with pytest.raises((TypeError, ValueError)):
        searched(lambda: MAKERS["theirs"](constraints_func=lambda trial: returned), objective)
    with pytest.raises(ConstraintError, match=sentence):
        searched(lambda: MAKERS["ours"](constraints_func=lambda trial: returned), objective)


def test_startup_trials_are_random() -> None:
    def params(n: int, **given: Any) -> list[Any]:
        study = optuna.create_study(sampler=SearchkitSampler("nsga2", seed=0, **given))
        study.optimize(prunes, n_trials=n)
        return [trial.params for trial in study.trials]

    begun = params(14, n_startup_trials=8)
    assert params(30, n_startup_trials=30)[:8] == begun[:8]
    assert params(14) != begun
    assert params(30, n_startup_trials=30)[8:14] != begun[8:]


TAKEN = [
    {"multivariate": True}, {"group": True, "multivariate": True}, {"constant_liar": True}, {"n_startup_trials": 5},
    {"warn_independent_sampling": False}, {"seed": 3}, {"constraints_func": lambda trial: (0.0,)},
]  # fmt: skip


@pytest.mark.parametrize("given", TAKEN, ids=lambda given: ", ".join(given))
def test_arguments_of_tpe_that_make_sense_are_taken(given: dict[str, Any]) -> None:
    for kind in (TPESampler, SearchkitSampler):
        study = optuna.create_study(sampler=kind(**given))
        study.optimize(objective, n_trials=6)
        assert len(study.trials) == 6


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"multivariate": False}, "has no multivariate=False: all parameters of a study are searched together"),
        ({"constant_liar": False}, "has no constant_liar=False: the strategy knows which trials are running"),
        ({"warn_independent_sampling": True}, "has no warn_independent_sampling=True: .* without a warning"),
        ({"n_ei_candidates": 24}, r"give that sampler as the strategy, .*TPESampler\(n_ei_candidates=...\)"),
        ({"gamma": len}, "has no gamma, which is a setting of Optuna's TPE"),
        ({"weights": len}, "has no weights, which is a setting of Optuna's TPE"),
        ({"categorical_distance_func": {}}, "has no categorical_distance_func"),
        ({"n_startup_trials": -1}, "n_startup_trials must be a whole number of at least 0, not -1"),
        ({"n_startup_trials": 1.5}, "n_startup_trials must be a whole number"),
    ],
)
def test_arguments_of_tpe_that_make_none_say_what_to_use(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SearchkitError, match=sentence):
        SearchkitSampler(**given)


def test_other_arguments_are_named() -> None:
    with pytest.raises(UnknownNameError, match="unknown argument of .* 'n_trial': .*Did you mean 'n_trials'"):
        SearchkitSampler(n_trial=3)


def test_optunas_sampler_is_a_strategy_with_its_settings() -> None:
    sampler = SearchkitSampler(TPESampler(n_ei_candidates=8, multivariate=True, seed=0), seed=0)
    assert len(searched(lambda: sampler, objective).trials) == 10
