"""SearchkitSearcher where OptunaSearch was: the same call on both, for arguments, domains and outcomes."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import FloatDistribution, IntDistribution

from searchkit import Choice, Float, Int, Space
from searchkit.errors import SearchkitError, SpaceError

tune = pytest.importorskip("ray.tune", reason="ray is not installed")

from ray.tune.search.optuna import OptunaSearch  # noqa: E402

from searchkit.integrations.optuna import SearchkitSampler, read_study  # noqa: E402
from searchkit.integrations.ray import SearchkitSearcher  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own

KNOWN = {"a": FloatDistribution(0, 1), "b": IntDistribution(1, 9)}
LOSS = {"metric": "loss", "mode": "min"}
TWO = {"metric": ["loss", "size"], "mode": ["min", "max"]}
FIRST = [{"a": 0.5, "b": 3}, {"a": 0.1, "b": 1}]
TOOLS: dict[str, Callable[..., Any]] = {
    "theirs": lambda space=None, **given: OptunaSearch(space, **given),
    "ours": lambda space=None, **given: SearchkitSearcher("auto", space=space, **given),
}


def by_run(trial: optuna.Trial) -> dict[str, Any]:
    if trial.suggest_categorical("k", ["x", "y"]) == "x":
        trial.suggest_float("a", 0, 1)
    return {"constant": 5}


def begun(tool: str, space: Any, given: dict[str, Any], config: Any = None, late: Any = (None, None)) -> Any:
    searcher = TOOLS[tool](space, **given)
    if config is not None:
        assert searcher.set_search_properties(*late, config)
    return searcher


def told(searcher: Any, outcome: Any, n: int = 4) -> list[dict[str, Any]]:
    configs = [searcher.suggest(str(i)) for i in range(n)]
    for i in range(n):
        searcher.on_trial_complete(str(i), *(outcome if isinstance(outcome, tuple) else (outcome,)))
    return configs


def ended(searcher: Any) -> list[tuple[str, Any]]:
    return [(trial.state.name, trial.values) for trial in searcher._ot_study.trials]


Case = tuple[Any, dict[str, Any], Any, Any]  # space, arguments, Tune's param_space, Tune's metric and mode
TAKEN: dict[str, Case] = {
    "distributions": (KNOWN, LOSS, None, None),
    "a function": (by_run, LOSS, None, None),
    "Tune's in the constructor": ({"a": tune.uniform(0, 1), "n": {"b": tune.choice([1, 2])}}, LOSS, None, None),
    "nested distributions": ({"n": {"a": FloatDistribution(0, 1)}}, LOSS, None, None),
    "all from Tune": (None, {}, {"a": tune.uniform(0, 1)}, ("loss", "min")),
    "mode from Tune": (None, {"metric": "loss"}, {"a": tune.uniform(0, 1)}, (None, "min")),
    "metric from Tune": (None, {"mode": "min"}, {"a": tune.uniform(0, 1)}, ("loss", None)),
    "two metrics": (KNOWN, TWO, None, None),
    "points": (KNOWN, LOSS | {"points_to_evaluate": FIRST}, None, None),
    "points out of range": (KNOWN, LOSS | {"points_to_evaluate": [{"a": 5.0, "b": 1}]}, None, None),
    "points of a function": (by_run, LOSS | {"points_to_evaluate": [{"k": "x", "a": 0.5}, {"k": "y"}]}, None, None),
    "points, nested": (
        None, LOSS | {"points_to_evaluate": [{"n/b": 2, "a": 0.5}]},
        {"a": tune.uniform(0, 1), "n": {"b": tune.choice([1, 2])}}, None,
    ),
    "rewards": (KNOWN, LOSS | {"points_to_evaluate": FIRST, "evaluated_rewards": [1.0, 2.0]}, None, None),
    "rewards later": (
        None, LOSS | {"points_to_evaluate": [{"a": 0.5}], "evaluated_rewards": [1.0]}, {"a": tune.uniform(0, 1)}, None,
    ),
    "rewards alone": (KNOWN, LOSS | {"evaluated_rewards": [1.0]}, None, None),
    "sampler": (KNOWN, LOSS | {"sampler": optuna.samplers.RandomSampler(seed=0)}, None, None),
    "our sampler": (KNOWN, LOSS | {"sampler": SearchkitSampler("random", seed=0)}, None, None),
    "seed": (KNOWN, LOSS | {"seed": 3}, None, None),
    "study_name": (KNOWN, LOSS | {"study_name": "mine"}, None, None),
    "storage": (KNOWN, LOSS | {"storage": optuna.storages.InMemoryStorage}, None, None),
}  # fmt: skip
DOMAINS = {
    "uniform": tune.uniform(0, 1), "quniform": tune.quniform(0, 1, 0.1), "loguniform": tune.loguniform(1e-4, 1),
    "qloguniform": tune.qloguniform(1e-4, 1, 1e-4), "randint": tune.randint(0, 10), "qrandint": tune.qrandint(0, 10, 2),
    "lograndint": tune.lograndint(1, 100), "choice": tune.choice([1, 2]), "choice of one": tune.choice([1]),
    "equal options": tune.choice([1, 1, 2]), "range": tune.choice(range(3)), "constant": 3,
    "lists": tune.choice([[1], [2]]),
    "nested": {"y": {"z": tune.uniform(0, 1)}}, "one value": tune.uniform(1, 1),
}  # fmt: skip
TAKEN |= {f"domain: {n}": (None, LOSS, {"x": domain, "u": tune.uniform(0, 1)}, None) for n, domain in DOMAINS.items()}


@pytest.mark.parametrize("name", TAKEN)
def test_what_optuna_search_takes_is_taken(name: str) -> None:
    space, given, config, late = TAKEN[name]
    found = []
    for tool in TOOLS:
        own = given | ({"storage": given["storage"]()} if "storage" in given else {})
        searcher = begun(tool, space, own, config, late or (None, None))
        configs = told(searcher, {"loss": 1.0, "size": 2.0})
        kinds = [{key: type(value).__name__ for key, value in one.items()} for one in configs]
        by_choice = space is by_run  # what it asks for differs by what is chosen
        names = sorted(kinds[0].keys() & {"constant", "k"}) if by_choice else kinds
        first = configs[:2] if "points_to_evaluate" in given and "evaluated_rewards" not in given else None
        n_points = len(given.get("points_to_evaluate", ()))
        found.append((names, first[:n_points] if first else None, ended(searcher), searcher._ot_study.study_name))
    assert found[0] == found[1]


REFUSED: dict[str, tuple[Case, str]] = {
    "a list": (([("a", 1)], LOSS, None, None), "space is a searchkit.Space or the name of one, a dictionary"),
    "no space": ((None, LOSS, {}, None), "no search space has been defined"),
    "metrics without modes": ((KNOWN, {"metric": ["a", "b"]}, None, None), "metric and mode go together"),
    "mode missing": ((KNOWN, {"metric": "loss"}, None, None), "metric and mode go together|have not been set"),
    "modes without metrics": ((KNOWN, {"mode": ["min", "max"]}, None, None), "metric and mode go together"),
    "mode": ((KNOWN, {"metric": "loss", "mode": "minimize"}, None, None), "Did you mean 'min'"),
    "points: dictionary": ((KNOWN, LOSS | {"points_to_evaluate": FIRST[0]}, None, None), "is a list of configurations"),
    "points: a part": ((KNOWN, LOSS | {"points_to_evaluate": [{"a": 0.5}]}, None, None), "do not match"),
    "points: too much": ((KNOWN, LOSS | {"points_to_evaluate": [FIRST[0] | {"z": 1}]}, None, None), "do not match"),
    "rewards: number": (
        (KNOWN, LOSS | {"points_to_evaluate": FIRST, "evaluated_rewards": [1.0]}, None, None), "do not match",
    ),
    "rewards of a function": (
        (by_run, LOSS | {"points_to_evaluate": [{"k": "y"}], "evaluated_rewards": [1.0]}, None, None),
        "not yet supported",
    ),
    "sampler": ((KNOWN, LOSS | {"sampler": "tpe"}, None, None), "sampler is one of Optuna's, not 'tpe'"),
    "storage": ((KNOWN, LOSS | {"storage": "sqlite:///x.db"}, None, None), "storage is one of Optuna's, such as"),
    "randn": ((None, LOSS, {"x": tune.randn(0, 1)}, None), "does not support parameters"),
    "grid_search": ((None, LOSS, {"x": tune.grid_search([1, 2])}, None), "Grid search parameters cannot be"),
    "sample_from": ((None, LOSS, {"x": tune.sample_from(lambda spec: 1)}, None), "does not support parameters"),
    "qlograndint": ((None, LOSS, {"x": tune.qlograndint(2, 100, 2)}, None), "step is 1 when `log`"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_optuna_search_refuses_is_refused_with_a_sentence(name: str) -> None:
    (space, given, config, late), sentence = REFUSED[name]

    def used(tool: str) -> None:
        searcher = TOOLS[tool](space, **given)
        if config is not None:
            searcher.set_search_properties(*(late or (None, None)), config)
        told(searcher, {"loss": 1.0})

    with pytest.raises((AssertionError, AttributeError, ValueError, RuntimeError, TypeError)):
        used("theirs")
    with pytest.raises((SearchkitError, ValueError, RuntimeError, TypeError), match=sentence):
        used("ours")


# outcome -> whether it is complete, and where OptunaSearch says otherwise (it leaves some running for ever), why
OUTCOMES: dict[str, tuple[Any, bool, str | None]] = {
    "a number": ({"loss": 1.5}, True, None),
    "a whole number": ({"loss": 1}, True, None),
    "numpy's": ({"loss": np.float32(1.5)}, True, None),
    "bool": ({"loss": True}, True, None),
    "decimal": ({"loss": Decimal("1.5")}, True, None),
    "an error": ((None, True), False, None),
    "array of one": ({"loss": np.array([1.0])}, True, "left running"),
    "nan": ({"loss": math.nan}, False, "left running"),
    "text": ({"loss": "1.5"}, False, "left running"),
    "complex": ({"loss": 1j}, False, "left running"),
    "huge": ({"loss": 10**400}, False, "left running"),
    "infinite": ({"loss": math.inf}, False, "complete with an infinite value, which no model can learn from"),
    "an error and a metric": (({"loss": 1.0}, True), False, "complete in spite of the error"),
    "nothing": (None, False, "pruned"),
    "no metric": ({"size": 1.0}, False, "pruned"),
    "list of one": ({"loss": [1.0]}, False, "complete, as if it were a number"),
}


@pytest.mark.parametrize("name", OUTCOMES)
def test_outcomes_are_told_as_by_optuna_search_or_as_documented(name: str) -> None:
    outcome, complete, different = OUTCOMES[name]
    states = []
    for tool in TOOLS:
        searcher = begun(tool, KNOWN, LOSS)
        told(searcher, outcome, 2)
        states.append({state for state, _ in ended(searcher)})
    assert states[1] == {"COMPLETE" if complete else "FAIL"}
    assert (states[0] == states[1]) == (different is None)


def test_intermediate_reports_of_any_number_are_kept() -> None:
    for value in (1.5, np.float64(1.5), Decimal("1.5"), np.array([1.5])):
        searcher = begun("ours", KNOWN, LOSS)
        searcher.suggest("a")
        searcher.on_trial_result("a", {"loss": value, "training_iteration": 2})
        assert searcher.study.trials[0].intermediate_values == {2: 1.5}


def test_rewards_of_several_metrics_are_known() -> None:
    given = TWO | {"points_to_evaluate": FIRST}
    searcher = begun("ours", KNOWN, given | {"evaluated_rewards": [[1.0, 2.0], (3, 4)]})
    assert ended(searcher) == [("COMPLETE", [1.0, 2.0]), ("COMPLETE", [3.0, 4.0])]
    for rewards in ([1.0, 2.0], [[1.0], [2.0]], [[1.0, math.nan], [1.0, 2.0]]):
        with pytest.raises(SearchkitError, match="one finite number for each of loss, size"):
            begun("ours", KNOWN, given | {"evaluated_rewards": rewards})
    single = begun("ours", KNOWN, LOSS | {"points_to_evaluate": FIRST, "evaluated_rewards": [math.nan, 2.0]})
    assert [state for state, _ in ended(single)] == ["FAIL", "COMPLETE"]


def test_a_function_and_a_storage_are_saved_and_restored(tmp_path: Path) -> None:
    storage = optuna.storages.InMemoryStorage()
    searcher = begun("ours", by_run, LOSS | {"storage": storage, "study_name": "mine", "seed": 1})
    told(searcher, {"loss": 1.0})
    assert [study.study_name for study in storage.get_all_studies()] == ["mine"]
    searcher.save(str(tmp_path / "state"))
    again = begun("ours", by_run, LOSS)
    again.restore(str(tmp_path / "state"))
    assert ended(again) == ended(searcher)
    assert again.suggest("new") == searcher.suggest("new")


def test_a_strategy_and_a_sampler_are_one_too_many() -> None:
    with pytest.raises(SearchkitError, match="sampler and strategy are two words for one thing"):
        SearchkitSearcher("bo", sampler=optuna.samplers.RandomSampler(), **LOSS)
    with pytest.raises(SpaceError, match="not 5"):
        SearchkitSearcher(space=5, **LOSS)  # type: ignore[arg-type]


def test_a_space_of_numbers_and_conditions_is_searched() -> None:
    space = Space(
        [
            Choice("model", ("a", "b")),
            Float("rate", 1e-4, 1.0, log=True, prior=0.01),
            Int("units", 8, 10**6, log=True, when=("model", "a")),
        ]
    )
    searcher = SearchkitSearcher("evolution", space=space, metric="loss", mode="min", seed=0)
    for i in range(12):
        config = searcher.suggest(str(i))
        assert ("units" in config) == (config["model"] == "a")
        assert space.decode(space.encode(config)) == [config]
        searcher.on_trial_complete(str(i), {"loss": abs(math.log10(config["rate"]) + 2)})
    assert searcher.suggest("12") is not None
    assert searcher.study.best_value < 0.2
    assert len(read_study(searcher.study, space).trials) >= 12
