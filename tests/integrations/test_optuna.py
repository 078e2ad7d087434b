"""searchkit as Optuna's sampler, and Optuna's studies as searchkit's results."""

from __future__ import annotations

import math
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.testing.pytest_samplers import (
    BasicSamplerTestCase,
    MultiObjectiveSamplerTestCase,
    RelativeSamplerTestCase,
)
from optuna.trial import TrialState
from pymoo.algorithms.moo.sms import SMSEMOA

import searchkit
from searchkit import Choice, Float, Int, NetworkSpace, SearchkitError, Space, plugins
from searchkit.errors import ProxyError, StudyMismatchError, UnknownNameError
from searchkit.integrations.optuna import SearchkitSampler, read_study, suggest, write_study
from searchkit.integrations.optuna.conditions import conditions_of
from searchkit.integrations.optuna.distributions import searched as searched_parameter
from searchkit.space.conditions import When

Trial = optuna.Trial

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


@pytest.fixture(autouse=True)
def _no_chatter() -> Any:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(optuna.logging.INFO)


class TestOptunasOwnSuite(BasicSamplerTestCase, MultiObjectiveSamplerTestCase):
    """What Optuna asks of every sampler."""

    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        return lambda: SearchkitSampler("nsga2", seed=0)


class TestOptunasSuiteForRelativeSamplers(RelativeSamplerTestCase):
    """And of those that sample parameters together."""

    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        return lambda: SearchkitSampler("bo", seed=0)


def bowl(trial: Trial) -> float:
    x = [trial.suggest_float(f"x{i}", -5, 5) for i in range(3)]
    kind = trial.suggest_categorical("kind", ["a", "b", None, 1, "1"])
    return sum((v - 1) ** 2 for v in x) + (kind != "1")


def two(trial: Trial) -> tuple[float, float]:
    width = trial.suggest_int("width", 8, 512, log=True)
    rate = trial.suggest_float("rate", 1e-5, 1e-1, log=True)
    return -((math.log10(rate) + 3) ** 2) - 100 / width, float(width)


def params(study: optuna.Study) -> list[dict[str, Any]]:
    return [trial.params for trial in study.trials]


def study_of(sampler: BaseSampler | None, **given: Any) -> optuna.Study:
    return optuna.create_study(sampler=sampler, **given)


# -- suggestions -----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_model_finds_what_random_search_does_not() -> None:
    best = {}
    for name in ("random", "bo"):
        study = study_of(SearchkitSampler(name, seed=0))
        study.optimize(bowl, n_trials=35)
        best[name] = study.best_value
    assert best["bo"] < 1.3 < 1.8 < best["random"]


@pytest.mark.slow
def test_a_study_that_another_sampler_continues_goes_on_as_if_it_had_not_been_stopped() -> None:
    whole = study_of(SearchkitSampler("tpe", seed=3))
    whole.optimize(two_objective_free, n_trials=24)
    storage = optuna.storages.InMemoryStorage()
    for n in (9, 1, 14):
        part = study_of(SearchkitSampler("tpe", seed=3), storage=storage, study_name="s", load_if_exists=True)
        part.optimize(two_objective_free, n_trials=n)
    assert params(part) == params(whole)
    other = study_of(SearchkitSampler("tpe", seed=4))
    other.optimize(two_objective_free, n_trials=3)
    assert params(other) != params(whole)[:3]


def two_objective_free(trial: Trial) -> float:
    """With a condition, a failure and a parameter that comes late, so that the strategy is made anew on the way."""
    depth = trial.suggest_int("depth", 1, 3)
    total = sum(trial.suggest_int(f"units{i}", 4, 64, log=True) for i in range(depth))
    if trial.number == 5:
        raise optuna.TrialPruned
    late = trial.suggest_float("late", 0, 1) if trial.number > 12 else 0.0
    return abs(total - 60) + late


@pytest.mark.slow
def test_both_directions_are_searched_and_all_results_of_a_front_are_learned() -> None:
    found = {}
    for directions in (["maximize", "minimize"], ["minimize", "maximize"]):
        study = study_of(SearchkitSampler("nsga2", seed=0, n_trials=80), directions=directions)
        study.optimize(two, n_trials=80)
        found[directions[0]] = np.mean([trial.values[0] for trial in study.trials[40:]])
    assert found["maximize"] > found["minimize"] + 1


def test_whatever_the_sampler_suggests_nothing_is_evaluated_twice_until_all_is() -> None:
    study = study_of(SearchkitSampler("tpe", seed=0))

    def objective(trial: Trial) -> float:
        return trial.suggest_int("a", 0, 3) + trial.suggest_categorical("b", [1, 2, 3])

    study.optimize(objective, n_trials=15)  # of 12 candidates
    assert len({tuple(p.values()) for p in params(study)[:12]}) == 12


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["random", "bo"])
def test_threads_never_run_one_candidate_at_once(strategy: str) -> None:
    study = study_of(SearchkitSampler(strategy, seed=0, space=Space([Choice("a", range(6)), Choice("b", range(6))])))
    study.optimize(lambda trial: sum(suggest(trial, GRID).values()), n_trials=30, n_jobs=4)
    assert len({tuple(p.items()) for p in params(study)}) == 30


GRID = Space([Choice("a", range(6)), Choice("b", range(6))])

WORKER = """
import sys, optuna
from searchkit import Choice, Space
from searchkit.integrations.optuna import SearchkitSampler, suggest
space = Space([Choice("a", range(6)), Choice("b", range(6))])
sampler = SearchkitSampler("evolution", seed=0, space=space)
study = optuna.load_study(study_name="s", storage=sys.argv[1], sampler=sampler)
study.optimize(lambda trial: sum(suggest(trial, space).values()), n_trials=15)
"""


@pytest.mark.slow
def test_processes_on_one_database_run_no_candidate_twice(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path}/s.db"
    study_of(None, storage=storage, study_name="s")
    workers = [subprocess.Popen([sys.executable, "-W", "ignore", "-c", WORKER, storage]) for _ in range(2)]
    assert [worker.wait() for worker in workers] == [0, 0]
    study = optuna.load_study(study_name="s", storage=storage)
    assert len(study.trials) == 30
    assert len({tuple(p.items()) for p in params(study)}) == 30


def test_what_is_suggested_counts_as_running_before_the_objective_asks_for_it() -> None:
    study = study_of(SearchkitSampler("random", seed=0, space=GRID))
    suggested = [study.ask().relative_params for _ in range(36)]
    assert len({tuple(p.items()) for p in suggested}) == 36


@pytest.mark.parametrize("ends", [False, True], ids=["and runs", "and has ended"])
def test_a_candidate_that_another_process_took_meanwhile_is_given_up(ends: bool) -> None:
    rivals: list[Trial] = []

    class Slow:
        """It thinks for so long that another process begins a trial, and comes to the same candidate."""

        def __init__(self, problem: Any) -> None:
            self.everything = problem.everything()

        def ask(self, n: int, rng: np.random.Generator, pending: Any) -> Any:
            code = next(c for c in self.everything if not (c == pending).all(axis=1).any())
            if not rivals:
                rivals.append(study.ask())
                chosen = {"a": float(code[0]), "b": float(code[1])}
                study._storage.set_trial_system_attr(rivals[0]._trial_id, "searchkit:asked", chosen)
                if ends:
                    suggest(rivals[0], GRID)
                    study.tell(rivals[0], 1.0)
            return code[None]

        def tell(self, told: Any) -> None: ...

    study = study_of(SearchkitSampler(Slow, seed=0, space=GRID))
    taken = study.ask().relative_params
    assert len(rivals) == 1
    assert taken != {"a": 0, "b": 0}
    assert ends or taken == {"a": 0, "b": 1}


def test_a_sampler_can_be_sent_to_another_process() -> None:
    sampler = SearchkitSampler("evolution", seed=0)
    study = study_of(sampler)
    study.optimize(bowl, n_trials=4)
    copy = pickle.loads(pickle.dumps(sampler))
    again = study_of(copy)
    again.optimize(bowl, n_trials=4)
    assert params(again) == params(study)


# -- parameters ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "distribution",
    [
        FloatDistribution(-1.5, 7.0),
        FloatDistribution(1e-7, 10.0, log=True),
        FloatDistribution(0.0, 1.0, step=0.1),
        FloatDistribution(-3.0, 300.0, step=0.25),
        IntDistribution(0, 10),
        IntDistribution(1, 1000, log=True),
        IntDistribution(3, 8_998, step=7),
        CategoricalDistribution((1, "1", None, 1.5)),
    ],
    ids=str,
)
def test_values_of_a_distribution_are_codes_and_back(distribution: Any) -> None:
    one = searched_parameter("x", distribution)
    assert one is not None
    sampler = optuna.samplers.RandomSampler(seed=0)
    study = optuna.create_study()
    for _ in range(100):
        drawn = sampler.sample_independent(study, None, "x", distribution)  # type: ignore[arg-type]
        code = one.code(drawn)
        assert code is not None
        value = one.value(code)
        assert distribution._contains(distribution.to_internal_repr(value))
        assert one.code(value) == code
        if isinstance(distribution, CategoricalDistribution):
            assert value is drawn
        else:
            assert type(value) is type(distribution.low)
            assert value == pytest.approx(drawn, rel=1e-12)


def test_a_value_outside_its_distribution_is_no_candidate() -> None:
    one = searched_parameter("x", FloatDistribution(0, 1))
    assert one is not None
    assert one.code(1.5) is None
    assert one.code("high") is None


def test_conditions_are_read_off_trials() -> None:
    choices = [Choice("kind", ["a", "b", "c"]), Choice("depth", range(4), ordered=True), Choice("x", (0, 1))] * 2
    codes = np.array(
        [[0, 3, 1, -1, -1, 0], [1, 0, -1, 1, -1, 0], [2, 2, 1, 0, 0, 0], [0, 1, -1, -1, -1, 1], [2, 0, -1, 0, 1, 1]]
    )
    found = conditions_of(codes, choices)
    assert set(found) == {2, 3, 4}
    assert found[2] == When("depth", (2, 3))
    assert found[3] == When("kind", ("b", "c"))
    assert found[4] == When("kind", ("c",))


def test_thresholds_of_numbers_are_read_off_trials() -> None:
    numbers = [Float("rate", 0, 1), Int("units", 1, 10**9), Choice("x", (0, 1))]
    rates = [numbers[0].index(value) for value in (0.1, 0.4, 0.6, 0.9)]
    found = conditions_of(np.array([[rates[i], 5, -1 if i < 2 else 1] for i in range(4)]), numbers)
    assert found[2] == When("rate", (), ">=", numbers[0].option(rates[1] + 1))
    assert conditions_of(np.array([[rates[i], 5, 1 if i < 2 else -1] for i in range(4)]), numbers)[2].sign == "<="


@pytest.mark.slow
def test_conditional_parameters_are_searched_with_the_others() -> None:
    def objective(trial: Trial) -> float:
        if trial.suggest_categorical("model", ["line", "tree"]) == "line":
            return 1 + abs(math.log10(trial.suggest_float("slope", 1e-4, 1e2, log=True)))
        depth = trial.suggest_int("depth", 1, 5)
        return sum(abs(trial.suggest_int(f"leaf{i}", 0, 20) - 13) for i in range(depth)) / 13 - 0.2 * depth

    study = study_of(SearchkitSampler("bo", seed=0))
    study.optimize(objective, n_trials=40)
    assert study.best_value < -0.3  # median of eight seeds: -0.52; TPE: -0.22
    late = study.trials[30:]
    assert np.median([trial.value for trial in late]) < np.median([trial.value for trial in study.trials[:10]])


def test_parameters_without_a_visible_condition_are_drawn_at_random() -> None:
    def objective(trial: Trial) -> float:
        x = trial.suggest_float("x", 0, 1)
        y = trial.suggest_float("y", 0, 1) if trial.number % 3 else 0.0
        return x + y

    study = study_of(SearchkitSampler("bo", seed=0))
    study.optimize(objective, n_trials=20)
    assert "y" not in study.sampler.infer_relative_search_space(study, study.trials[0])
    assert min(trial.params["x"] for trial in study.trials) < 0.02
    assert np.std([trial.params["y"] for trial in study.trials if "y" in trial.params]) > 0.15


def test_a_widened_range_is_searched_and_one_that_always_changes_is_left_to_chance() -> None:
    study = study_of(SearchkitSampler("bo", seed=0))
    study.optimize(lambda t: (t.suggest_float("x", 0, 1) - 4) ** 2 + t.suggest_float("y", 0, 1), n_trials=8)
    study.optimize(lambda t: (t.suggest_float("x", 0, 5) - 4) ** 2 + t.suggest_float("y", 0, 1), n_trials=14)
    assert abs(study.best_params["x"] - 4) < 0.3
    moving = study_of(SearchkitSampler("evolution", seed=0))
    moving.optimize(lambda t: t.suggest_int("b", 0, 5 + t.number) + t.suggest_int("a", 0, 9), n_trials=10)
    assert set(moving.sampler.infer_relative_search_space(moving, moving.trials[0])) == {"a"}


def test_enqueued_trials_are_learned_and_fixed_parameters_stay_fixed() -> None:
    sampler = SearchkitSampler("evolution", seed=0)
    study = study_of(optuna.samplers.PartialFixedSampler({"kind": "a"}, sampler))
    study.enqueue_trial({"x0": 1.0, "x1": 1.0, "x2": 1.0})
    study.optimize(bowl, n_trials=8)
    assert study.trials[0].params == {"x0": 1.0, "x1": 1.0, "x2": 1.0, "kind": "a"}
    assert {trial.params["kind"] for trial in study.trials} == {"a"}


# -- outcomes --------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["raises", "nan", "constraint", "constraints_func", "pruned"])
def test_what_fails_or_breaks_a_constraint_is_avoided(kind: str) -> None:
    def objective(trial: Trial) -> float:
        x, op = trial.suggest_int("x", 0, 30), trial.suggest_categorical("op", ["good", "bad", "ugly"])
        trial.suggest_int("y", 0, 30)
        if op != "good":
            if kind == "raises":
                raise RuntimeError("out of memory")
            if kind == "pruned":
                raise optuna.TrialPruned
            if kind == "nan":
                return float("nan")
        if kind == "constraint":
            trial.set_constraint("op", 1.0 if op != "good" else -1.0)
        return x if op == "good" else x - 100

    given = (lambda trial: [0.0 if trial.params["op"] == "good" else 2.0]) if kind == "constraints_func" else None
    study = study_of(SearchkitSampler("bo", seed=1, constraints_func=given))
    study.optimize(objective, n_trials=36, catch=RuntimeError)
    good = [trial.params["op"] == "good" for trial in study.trials]
    assert sum(good[18:]) >= 12  # 6 by chance
    assert sum(good[18:]) >= sum(good[:18])


def test_a_pruned_trial_is_told_with_what_its_last_value_lets_expect() -> None:
    told = []

    class Ear:
        def __init__(self, problem: Any) -> None:
            self.problem = problem

        def ask(self, n: int, rng: np.random.Generator, pending: Any) -> Any:
            return self.problem.sample(n, rng)

        def tell(self, observations: Any) -> None:
            told.append(observations)

    def objective(trial: Trial) -> float:
        x = trial.suggest_float("x", 0, 1)
        trial.report(x, 1)  # in the end 10 x + 1
        if trial.number == 7:
            raise optuna.TrialPruned
        return 10 * x + 1

    study = study_of(SearchkitSampler(Ear, seed=0), direction="maximize")
    study.optimize(objective, n_trials=9)
    pruned = told[7]
    assert pruned.hinted.all()
    assert not pruned.scored.any()
    assert pruned.hints[0, 0] == pytest.approx(-(10 * study.trials[7].params["x"] + 1))
    assert told[0].losses[0, 0] == -study.trials[0].value


@pytest.mark.slow
@pytest.mark.parametrize("pruner", [optuna.pruners.HyperbandPruner(), optuna.pruners.MedianPruner(n_startup_trials=3)])
def test_under_a_pruner_all_trials_are_learned(pruner: optuna.pruners.BasePruner) -> None:
    """Hyperband shows a sampler one bracket; and a pruned trial has not come to its last parameter."""

    def objective(trial: Trial) -> float:
        x, kind = trial.suggest_float("x", 0, 1), trial.suggest_categorical("kind", ["a", "b"])
        for step in range(9):
            trial.report((x - 0.3) ** 2 + (kind == "a") + 1 / (step + 1), step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return (x - 0.3) ** 2 + (kind == "a") + 0.1 * trial.suggest_float("late", 0, 1)

    study = study_of(SearchkitSampler("bo", seed=0), pruner=pruner)
    study.optimize(objective, n_trials=24)  # when the best is found, some look at the other kind
    assert {trial.state for trial in study.trials} == {TrialState.COMPLETE, TrialState.PRUNED}
    assert set(study.sampler.infer_relative_search_space(study, study.trials[0])) == {"x", "kind", "late"}
    late = study.trials[12:]
    assert sum(trial.params["kind"] == "b" for trial in late) >= 7
    assert np.median([abs(trial.params["x"] - 0.3) for trial in late]) < 0.1


# -- signals and proxies ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_signals_guide_the_search_from_the_first_trials_on_and_their_worth_is_told() -> None:
    def objective(trial: Trial) -> float:
        return sum((trial.suggest_float(f"x{i}", -5, 5) - 2) ** 2 for i in range(6))

    def near(params: dict[str, Any]) -> float:
        return -sum(abs(params[f"x{i}"] - 2) for i in range(6))

    found = {}
    for signals in (None, {"near": near, "noise": lambda params: math.sin(1e4 * params["x0"])}):
        sampler = SearchkitSampler("random", seed=0, signals=signals)
        study = study_of(sampler)
        study.optimize(objective, n_trials=25)
        found[bool(signals)] = np.mean([trial.value for trial in study.trials[5:]])
    assert found[True] < 0.6 * found[False]
    worth = sampler.signals.set_index("proxy")
    assert worth.rho["near"] > 0.6
    assert worth.weight["near"] > 0.7


def test_a_signal_that_fails_for_some_candidates_is_warned_of_once_and_one_that_always_fails_is_an_error() -> None:
    def objective(trial: Trial) -> float:
        x = trial.suggest_float("x", 0, 1) if trial.suggest_categorical("with_x", [True, False]) else 2.0
        return x + trial.suggest_int("k", 0, 50)

    study = study_of(SearchkitSampler("random", seed=0, signals={"x": lambda params: -params["x"]}))
    with pytest.warns(UserWarning, match="signal 'x' cannot judge some candidates: KeyError: 'x', for {") as seen:
        study.optimize(objective, n_trials=8)
    assert len([w for w in seen if issubclass(w.category, UserWarning) and "signal" in str(w.message)]) < 4
    for broken in (lambda params: params["no such"], lambda params: float("nan"), lambda params: "0.5"):
        study = study_of(SearchkitSampler("random", seed=0, signals={"broken": broken}))
        with pytest.raises(ProxyError, match=r"signal 'broken' judged none of \d+ candidates: .*, for {"):
            study.optimize(objective, n_trials=25)


def build(choices: dict[str, Any], input_shape: tuple[int, ...], n_classes: int) -> Any:
    from torch import nn

    layers = [nn.Flatten(), nn.Linear(math.prod(input_shape), choices["width"]), nn.ReLU()]
    for _ in range(choices["depth"]):
        layers += [nn.Linear(choices["width"], choices["width"]), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(choices["width"], n_classes))


def test_an_objective_and_a_signal_that_change_an_option_change_no_other_trials() -> None:
    space = Space([Choice("opt", ({"name": "sgd"}, {"name": "adam"})), Choice("n", range(4))])

    def objective(trial: Trial) -> float:
        chosen = suggest(trial, space)
        return len(chosen["opt"].pop("name")) + chosen["n"]

    def signal(params: dict[str, Any]) -> float:
        params.clear()
        return 1.0

    study = study_of(SearchkitSampler("random", seed=0, space=space, signals={"broken": signal}))
    study.optimize(objective, n_trials=8)
    assert {trial.state for trial in study.trials} == {TrialState.COMPLETE}


@pytest.mark.slow
def test_proxies_judge_the_networks_of_a_space_beside_other_parameters() -> None:
    space = NetworkSpace(
        [Choice("width", (4, 8, 16, 32), ordered=True), Choice("depth", (1, 2, 3), ordered=True)],
        build,
        input_shape=(1, 8, 8),
    )

    def objective(trial: Trial) -> float:
        choices, rate = suggest(trial, space), trial.suggest_float("rate", 1e-4, 1e-1, log=True)
        n_params = sum(p.numel() for p in space.build(space.encode(choices)).parameters())
        return -n_params + (math.log10(rate) + 2) ** 2

    sampler = SearchkitSampler("random", seed=0, space=space, proxies=("params", "synflow"))
    study = study_of(sampler)
    study.optimize(objective, n_trials=12)
    assert np.mean([trial.params["width"] for trial in study.trials[2:]]) > 20  # 15 by chance
    assert set(sampler.signals.proxy) == {"params", "synflow"}
    assert sampler.signals.set_index("proxy").rho["params"] > 0.7


# -- what is refused -------------------------------------------------------------------------------------------


def test_mistakes_are_said_before_the_first_trial() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown strategy 'nsga_2': choose from .* Did you mean 'nsga2'\?"):
        SearchkitSampler("nsga_2")
    with pytest.raises(SearchkitError, match=r"signals are functions of a trial's parameters by name"):
        SearchkitSampler(signals=[len])  # type: ignore[arg-type]
    with pytest.raises(SearchkitError, match=r"builds no networks, which 'naswot' would need"):
        SearchkitSampler(proxies="naswot")
    with pytest.raises(SearchkitError, match="seed must be a whole number from 0 to 4,294,967,295, not -1"):
        SearchkitSampler(seed=-1)
    with pytest.raises(SearchkitError, match="space is a searchkit.Space or the name of one"):
        SearchkitSampler(space=[Choice("a", (1, 2))])  # type: ignore[arg-type]


def test_a_choice_of_the_space_that_is_suggested_otherwise_is_explained() -> None:
    study = study_of(optuna.samplers.RandomSampler(seed=0))
    study.optimize(lambda trial: trial.suggest_int("a", 0, 5), n_trials=1)
    study.sampler = SearchkitSampler("random", space=GRID, seed=0)
    with pytest.raises(StudyMismatchError, match=r"suggest the space's choices with suggest\(trial, space\)"):
        study.ask().suggest_int("a", 0, 5)


# -- studies ---------------------------------------------------------------------------------------------------


def evaluated(choices: dict[str, Any]) -> dict[str, float]:
    if choices["a"] == 5:
        raise RuntimeError("5 is too much")
    return {"loss": (choices["a"] - 3) ** 2 + choices["b"], "size": 10.0 * choices["b"]}


def searched(**given: Any) -> searchkit.Result:
    return searchkit.run(
        "random", space=GRID, evaluate=evaluated, objectives={"loss": "min", "size": "max"}, budget=20, batch=4,
        constraints={"size": (None, 40)}, storage="memory", name="grid", progress=False, **given,
    )  # fmt: skip


def same(one: searchkit.Result, other: searchkit.Result) -> None:
    assert [(t.number, t.state, t.reason, t.values, t.code.tolist()) for t in one.trials] == [
        (t.number, t.state, t.reason, t.values, t.code.tolist()) for t in other.trials
    ]
    assert one.history.equals(other.history)
    assert one.front.equals(other.front)
    assert one.goals == other.goals


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["in memory", "journal", "sqlite"])
def test_a_result_comes_back_from_an_optuna_study_as_it_was(kind: str, tmp_path: Path) -> None:
    result = searched()
    assert {str(t.state) for t in result.trials} == {"scored", "failed"}
    storage = {"in memory": None, "journal": tmp_path / "a.journal", "sqlite": f"sqlite:///{tmp_path}/a.db"}[kind]
    study = write_study(result, storage)
    same(read_study(study), result)
    assert study.metric_names == ["loss", "size"]
    assert study.directions == [optuna.study.StudyDirection.MINIMIZE, optuna.study.StudyDirection.MAXIMIZE]
    best = {trial.number for trial in study.best_trials}
    assert best == set(result.front.trial)
    seconds = [t.duration.total_seconds() for t in study.trials]
    assert seconds == pytest.approx([t.seconds for t in result.trials], abs=1e-4)
    if storage is not None:
        same(searchkit.load("grid", storage), result)
        with pytest.raises(SearchkitError, match="there is a study 'grid' in .* already: give another name="):
            write_study(result, storage)
        write_study(result, storage, name="again")


def foreign() -> optuna.Study:
    study = study_of(optuna.samplers.RandomSampler(seed=0), study_name="theirs", pruner=optuna.pruners.NopPruner())

    def objective(trial: Trial) -> float:
        rate = trial.suggest_float("rate", 1e-4, 1e-1, log=True)
        if trial.suggest_categorical("kind", ["a", "b"]) == "b":
            trial.suggest_int("depth", 1, 4)
        trial.set_user_attr("params", 100 + trial.number)
        trial.set_constraint("memory", rate - 0.05)
        trial.report(rate, 3)
        if trial.number == 2:
            trial.set_user_attr("reason", "out of memory")
            raise RuntimeError
        if trial.number == 4:
            raise optuna.TrialPruned
        return rate

    study.optimize(objective, n_trials=12, catch=RuntimeError)
    return study


def test_any_study_is_read_with_its_values_states_reasons_and_order() -> None:
    study = foreign()
    result = read_study(study)
    history = result.history
    assert list(history.trial) == list(range(12))
    assert history.state[2] == "failed"
    assert history.reason[2] == "out of memory"
    assert history.state[4] == "dropped"
    assert history.reason[4].startswith("pruned at step 3, with")
    assert list(history.rate) == [trial.params["rate"] for trial in study.trials]  # exact, though it has no steps
    assert [v for v in history.value if not math.isnan(v)] == [
        t.value for t in study.trials if t.state is TrialState.COMPLETE
    ]
    lacking = [trial.number for trial in study.trials if "depth" not in trial.params]
    assert list(history.trial[history.depth.isna()]) == lacking != []
    assert list(history.params) == [100 + i for i in range(12)]
    assert result.front.trial[0] == study.best_trial.number
    same(read_study(write_study(result)), result)


def test_a_trial_without_a_finite_value_is_read_as_failed() -> None:
    study = study_of(optuna.samplers.RandomSampler(seed=0))
    study.optimize(lambda trial: trial.suggest_int("x", 1, 9) if trial.number else math.inf, n_trials=3)
    study.enqueue_trial({"x": 3})  # waits
    study.optimize(lambda trial: math.inf * trial.suggest_int("x", 1, 9), n_trials=1)
    result = read_study(study)
    assert [str(trial.state) for trial in result.trials] == ["failed", "scored", "scored", "failed"]
    assert result.trials[3].reason == "its values are inf"
    assert len(result.front) == 1


def test_a_study_over_a_spaces_choices_begins_a_search_and_informs_it() -> None:
    space = Space([Choice("rate", (1e-4, 1e-3, 1e-2, 1e-1), ordered=True), Choice("kind", ("a", "b"))])
    study = foreign()
    result = read_study(study, space)
    nearest = [space.choices[0].options[t.code[0]] for t in result.trials]
    assert nearest[0] == min(space.choices[0].options, key=lambda o: abs(math.log(o / study.trials[0].params["rate"])))
    more = searchkit.run(
        "random", space=space, evaluate=lambda c: {"value": c["rate"]}, objectives={"value": "min"}, budget=6,
        start=result, earlier=result, storage="memory", progress=False,
    )  # fmt: skip
    assert more.history.rate[0] == min(nearest[t.number] for t in result.trials if str(t.state) == "scored")
    assert list(more.signals.proxy) == ["earlier:theirs"]


def test_a_study_that_does_not_fit_is_refused() -> None:
    with pytest.raises(
        StudyMismatchError, match=r"trial 0 has '.' for choice 'kind' of space .*whose options are \['x'"
    ):
        read_study(foreign(), Space([Choice("kind", ("x", "y"))]))
    with pytest.raises(SearchkitError, match="a study is an optuna.Study"):
        read_study("theirs")  # type: ignore[arg-type]
    with pytest.raises(SearchkitError, match="no trial with parameters"):
        read_study(optuna.create_study())


def test_categories_of_one_text_come_back_as_they_were() -> None:
    study = study_of(optuna.samplers.RandomSampler(seed=0))
    study.optimize(lambda trial: float(trial.suggest_categorical("kind", [1, "1", None]) is None), n_trials=6)
    result = read_study(study)
    assert list(map(repr, result.history.kind)) == [repr(trial.params["kind"]) for trial in study.trials]


# -- where samplers go -----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_ask_and_tell_as_other_libraries_do_it() -> None:
    """Ray Tune and OptunaSearchCV ask with distributions, and tell failures as states."""
    space = {"C": FloatDistribution(1e-3, 1e2, log=True), "kind": CategoricalDistribution(["a", "b"])}
    study = study_of(SearchkitSampler("bo", seed=0), direction="maximize")
    for i in range(24):
        trial = study.ask(space)
        if i == 3:
            study.tell(trial, state=TrialState.FAIL)
        else:
            study.tell(trial, -abs(math.log10(trial.params["C"]) - 1) - (trial.params["kind"] == "a"))
    assert study.best_value > -0.1
    assert sum(trial.params["kind"] == "b" for trial in study.trials[14:]) >= 7  # a stalled search tries the other


@pytest.mark.parametrize("strategy", [*plugins.names("strategy"), "pymoo"])
def test_every_strategy_is_a_sampler(strategy: str) -> None:
    given = SMSEMOA(pop_size=6) if strategy == "pymoo" else strategy
    study = study_of(SearchkitSampler(given, seed=0), directions=["maximize", "minimize"])
    study.optimize(two, n_trials=12)
    assert len({tuple(p.items()) for p in params(study)}) == 12


@pytest.mark.parametrize(
    "screened",
    [{"proxies": ["structure"]}, {"signals": {"size": lambda params: params["a"]}}],
    ids=["proxies", "signals"],
)
def test_a_study_goes_on_when_every_candidate_was_tried(screened: dict[str, Any]) -> None:
    study = optuna.create_study(sampler=SearchkitSampler("random", seed=0, **screened))
    study.optimize(lambda trial: trial.suggest_int("a", 1, 3) * trial.suggest_categorical("b", [1, 2]), n_trials=12)
    assert len(study.trials) == 12
    assert len({tuple(trial.params.values()) for trial in study.trials}) == 6
