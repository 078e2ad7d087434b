"""searchkit's strategies in Ray Tune: several objectives, failures, every kind of parameter, saved and restored."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import pytest

from searchkit import Choice, SearchkitError, Space
from searchkit.errors import UnknownNameError

tune = pytest.importorskip("ray.tune", reason="ray is not installed")

import ray  # noqa: E402
from ray.tune.search import Searcher  # noqa: E402

from searchkit.integrations.optuna import read_study  # noqa: E402
from searchkit.integrations.ray import SearchkitSearcher  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own

SPACE = {"width": tune.choice([8, 16, 32]), "inner": {"lr": tune.loguniform(1e-4, 1e-1), "depth": tune.randint(1, 5)}}


def outcome(config: dict) -> dict[str, float]:
    return {"loss": abs(math.log10(config["inner"]["lr"]) + 2) + 8 / config["width"], "size": float(config["width"])}


def begun(searcher: SearchkitSearcher, space: dict | None = None) -> SearchkitSearcher:
    assert searcher.set_search_properties(None, None, SPACE if space is None else space)
    return searcher


def told(searcher: SearchkitSearcher, first: int, last: int, fails: int = 7) -> list[dict]:
    """Trials first to last - 1, two at a time, every seventh in an error."""
    configs: list[dict] = []
    for i in range(first, last, 2):
        both = [searcher.suggest(str(j)) for j in (i, i + 1)]
        for j, config in enumerate(both, start=i):
            if j % fails == fails - 1:
                searcher.on_trial_complete(str(j), error=True)
            else:
                searcher.on_trial_complete(str(j), outcome(config))
        configs += both
    return configs


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["nsga2", "bo", "auto"])
def test_two_objectives_and_failures_are_learned_from(strategy: str) -> None:
    searcher = begun(SearchkitSearcher(strategy, metric=["loss", "size"], mode=["min", "min"], seed=0))
    configs = told(searcher, 0, 30)
    assert all(config["width"] in (8, 16, 32) for config in configs)
    assert all(1e-4 <= config["inner"]["lr"] <= 1e-1 and 1 <= config["inner"]["depth"] <= 4 for config in configs)
    assert len({str(config) for config in configs}) == 30
    states = [trial.state.name for trial in searcher.study.trials]
    assert [i for i, state in enumerate(states) if state == "FAIL"] == [6, 13, 20, 27]
    assert states.count("COMPLETE") == 26
    result = read_study(searcher.study)
    assert len(result.history) == 30
    assert not result.front.empty


def test_it_goes_on_where_it_was_saved(tmp_path: Path) -> None:
    whole = told(begun(SearchkitSearcher("nsga2", metric="loss", mode="min", seed=3)), 0, 24)
    first = begun(SearchkitSearcher("nsga2", metric="loss", mode="min", seed=3))
    before = told(first, 0, 12)
    first.save(str(tmp_path / "state"))
    again = SearchkitSearcher("random", metric="loss", mode="min", seed=9)
    again.restore(str(tmp_path / "state"))
    assert before + told(again, 12, 24) == whole


def test_a_finite_space_is_finished_when_all_of_it_was_suggested() -> None:
    searcher = SearchkitSearcher("random", metric="loss", mode="min", seed=0)
    begun(searcher, {"a": tune.choice(["x", "y", "z"]), "b": tune.quniform(0, 1, 0.5)})
    seen = []
    while (config := searcher.suggest(str(len(seen)))) != Searcher.FINISHED:
        searcher.on_trial_complete(str(len(seen)), {"loss": 1.0})
        seen.append(tuple(config.values()))
        assert len(seen) <= 9
    assert len(set(seen)) == 9


def test_a_space_of_searchkits_gives_its_options_and_takes_signals() -> None:
    space = Space([Choice("a", (1.5, 2.5, 4.0), ordered=True), Choice("b", ((3, 3), (5, 5))), Choice("c", range(6))])
    searcher = SearchkitSearcher(
        "random", space=space, metric="loss", mode="min", seed=0, signals={"sum": lambda p: -p["a"] - p["c"]},
        points_to_evaluate=[{"a": 4.0, "b": (5, 5), "c": 5}],
    )  # fmt: skip
    configs = []
    for i in range(20):
        configs.append(searcher.suggest(str(i)))
        searcher.on_trial_complete(str(i), {"loss": configs[-1]["a"] + configs[-1]["c"] + configs[-1]["b"][0]})
    assert configs[0] == {"a": 4.0, "b": (5, 5), "c": 5}
    assert {type(config["b"]) for config in configs} == {tuple}
    first = [config["a"] + config["c"] for config in configs[1:11]]
    assert sum(first) / 10 < 4, "a good signal leads from the start: all of them have 5.2 on average"


@pytest.mark.parametrize("result", [None, {}, {"loss": math.nan}, {"loss": "many"}, {"size": 1.0}])
def test_a_trial_without_its_metric_has_failed(result: Any) -> None:
    searcher = begun(SearchkitSearcher("random", metric="loss", mode="min", seed=0))
    searcher.suggest("a")
    searcher.on_trial_result("a", {"training_iteration": 1})
    searcher.on_trial_complete("a", result)
    searcher.on_trial_complete("a", {"loss": 1.0})
    assert [trial.state.name for trial in searcher.study.trials] == ["FAIL"]


def test_what_cannot_be_used_is_said_at_once() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown strategy 'randon': .*Did you mean 'random'"):
        SearchkitSearcher("randon")
    with pytest.raises(SearchkitError, match="metric and mode go together"):
        SearchkitSearcher(metric=["loss", "size"], mode="min")
    with pytest.raises(UnknownNameError, match=r"unknown mode 'minimise': choose from max, min. Did you mean 'min'"):
        SearchkitSearcher(metric="loss", mode="minimise")
    with pytest.raises(UnknownNameError, match="unknown space 'makro'"):
        SearchkitSearcher(space="makro")


def test_without_ray_the_install_line_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray.tune.search", None)
    monkeypatch.delitem(sys.modules, "searchkit.integrations.ray.searcher")
    with pytest.raises(SearchkitError, match=r'pip install "searchkit-nas\[ray\]"'):
        import searchkit.integrations.ray.searcher  # noqa: F401


@pytest.mark.slow
def test_tune_runs_it(tmp_path: Path) -> None:
    def trainable(config: dict) -> dict:
        if config["width"] == 16:
            raise ValueError("hidden")
        return {"loss": config["lr"] * config["width"], "size": float(config["width"])}

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    try:
        searcher = SearchkitSearcher("nsga2", metric=["loss", "size"], mode=["min", "min"], seed=0)
        tuner = tune.Tuner(
            trainable,
            param_space={"lr": tune.loguniform(1e-4, 1e-1), "width": tune.choice([8, 16, 32])},
            tune_config=tune.TuneConfig(search_alg=searcher, num_samples=4, max_concurrent_trials=2),
            run_config=tune.RunConfig(storage_path=str(tmp_path), name="s", verbose=0),
        )
        results = tuner.fit()
    finally:
        ray.shutdown()
    assert len(results) == 4
    states = [trial.state.name for trial in searcher.study.trials]
    assert states.count("COMPLETE") == len(results) - results.num_errors
    assert states.count("FAIL") == results.num_errors
