"""Latencies near a bound are measured again before a search ends, and what is delivered keeps the bound."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import searchkit
from searchkit.costs.latency import Latency
from searchkit.costs.one_method import OneMethod
from searchkit.problem.objectives import Bound, Goals, Objective
from searchkit.problem.trial import State, Trial, pareto_front
from searchkit.search.confirmation import AGAIN, LONGER, confirmed
from searchkit.search.target_columns import may_win
from searchkit.training.normalised import Normalised

TINY = searchkit.load_space("nas-bench-201", width=[4, 6, 8], cells=1)


class Clock:
    """Latencies by the number of parameters; the first look of a network is by a share too quick."""

    def __init__(self, too_quick: float) -> None:
        self.too_quick = too_quick
        self.longer: list[int] = []

    def __call__(self, network: nn.Module, *given: Any, seconds: float, **more: Any) -> Latency:
        n = sum(p.numel() for p in network.parameters())
        if seconds == LONGER:
            self.longer.append(n)
        true = 1e-3 * n
        return Latency(true * (1 if seconds == LONGER else 1 - self.too_quick), 0.01, 9, "a clock", "here", 1, 1)


def search(clock: Clock, monkeypatch: pytest.MonkeyPatch, **given: Any) -> Any:
    monkeypatch.setattr("searchkit.costs.one_method.latency", clock)
    given = {"strategy": "random", "space": TINY, "budget": 30, "storage": "memory", "seed": 1} | given
    return searchkit.run(**given)


@pytest.mark.slow
def test_what_breaks_the_bound_when_it_is_measured_again_is_not_delivered(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    goals = {"params": "max", "latency_ms": "min"}
    first = search(Clock(0.0), monkeypatch, objectives=goals)
    bound = float(np.median(first.history.latency_ms))
    clock = Clock(0.08)
    result = search(clock, monkeypatch, objectives=goals, constraints={"latency_ms": bound}, storage=tmp_path, name="s")
    true = 1e-3 * result.front.params
    assert len(result.front)
    assert (true <= bound * 0.985).all()
    near = result.front[true > 0.85 * bound]
    assert all(result.methods["latency_ms"] for _ in near.index)
    assert set(near.params.astype(int)) <= set(clock.longer)
    again = searchkit.load("s", tmp_path)
    assert again.front.trial.tolist() == result.front.trial.tolist()
    excluded = [t for t in again.trials if t.state is State.SCORED and t.values["latency_ms"] > bound * 0.985]
    assert excluded
    assert all(trial.methods["latency_ms"].endswith(AGAIN) for trial in excluded)
    looked = len(clock.longer)
    search(clock, monkeypatch, objectives=goals, constraints={"latency_ms": bound}, storage=tmp_path, name="s")
    assert len(clock.longer) == looked, "a network was measured again once more"


@pytest.mark.slow
def test_a_candidate_within_the_margin_is_told_as_breaking_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    first = search(Clock(0.0), monkeypatch, objectives=("params", "latency_ms"))
    bound = float(first.history.latency_ms.max()) * 1.005
    result = search(Clock(0.0), monkeypatch, objectives=("params", "latency_ms"), constraints={"latency_ms": bound})
    reasons = [trial.reason for trial in result.trials if trial.state is State.INFEASIBLE]
    assert reasons
    assert all("and measurements differ by 1.5%" in str(reason) for reason in reasons)


@pytest.mark.slow
def test_weights_of_candidates_that_come_back_are_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Those on the front are too slow when they are measured again; others take their place, and can be built."""
    clock = Clock(0.10)
    every = search(Clock(0.0), monkeypatch, objectives=("params", "latency_ms"))
    bound = float(np.median(every.history.latency_ms))
    result = search(
        clock, monkeypatch, objectives={"accuracy": "max", "params": "max"}, constraints={"latency_ms": bound},
        budget=12, epochs=1, data=searchkit.load_data("digits", limit=200), storage=tmp_path,
    )  # fmt: skip
    assert clock.longer
    for row in range(len(result.front)):
        assert result.build(row) is not None
    kept = len(list(Path(result.folder).glob("*.safetensors")))
    assert kept == len(result.front), "weights that nothing needs are left"


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.floats(0.5, 1.2), st.floats(0.0, 0.3)), min_size=1))
def test_the_front_after_it_was_among_those_that_might_win(rows: list[tuple[int, int, float, float]]) -> None:
    goals = Goals((Objective("a", "min"), Objective("b", "min")), (Bound("latency_ms", high=1.0, margin=0.015),))
    trials = [
        Trial(i, 0, 1, np.array([i]), State.SCORED, {"a": float(a), "b": float(b), "latency_ms": first})
        for i, (a, b, first, _) in enumerate(rows)
    ]
    might = {trial.number for trial in may_win(trials, goals)}

    def timed(code: Any) -> tuple[dict[str, float], str]:
        _, _, first, more = rows[int(code[0])]
        return {"latency_ms": first + more}, "a clock"

    for trial, values, methods in confirmed(trials, goals, timed):
        trial.values |= values
        trial.methods |= methods
    front = pareto_front(trials, goals)
    assert {trial.number for trial in front} <= might
    for trial in front:
        _, _, first, more = rows[trial.number]
        assert first <= 0.85 or first + more <= 0.985


@pytest.mark.slow
@pytest.mark.parametrize("name", ["latency_ms", pytest.param("latency_ms@me", marks=pytest.mark.thorough)])
def test_the_network_that_is_timed_is_the_one_that_is_delivered(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the normalisation of its inputs, which took half of the time of small networks and was left out."""
    timed, call = [], OneMethod.__call__

    def remembered(self: OneMethod, network: nn.Module, *given: Any) -> Any:
        timed.append(network)
        return call(self, network, *given)

    monkeypatch.setattr(OneMethod, "__call__", remembered)
    result = searchkit.run(
        "random", data=searchkit.load_data("digits", limit=200), objectives=("params", name), budget=2,
        constraints={"latency_ms": 100}, targets={"me": "here"}, storage="memory",
    )  # fmt: skip
    assert len(timed) >= 2
    mean = result.context["data"]["mean"]
    for network in timed:
        assert isinstance(network, Normalised)
        assert network.mean.flatten().tolist() == pytest.approx(mean)


@pytest.mark.parametrize("spread", [0.0, 0.002, 0.05])
def test_what_is_delivered_keeps_the_bound_however_much_measurements_differ(spread: float) -> None:
    """Measured once more afterwards, 97 of 100 networks are within it; a steady clock is asked once a network."""
    goals = Goals(
        (Objective("size", "max"), Objective("latency_ms", "min")), (Bound("latency_ms", high=1.0, margin=0.015),)
    )
    kept, asked, delivered = 0, [0], 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        true = rng.uniform(0.6, 1.1, 40)

        def measured(i: int, rng: np.random.Generator = rng, true: Any = true) -> float:
            return float(true[i] * np.exp(spread * rng.normal()))

        def timed(code: Any, measured: Any = measured) -> tuple[dict[str, float], str]:
            asked[0] += 1
            return {"latency_ms": measured(int(code[0]))}, "a clock"

        trials = [
            Trial(i, 0, 1, np.array([i]), State.SCORED, {"size": true[i], "latency_ms": measured(i)}) for i in range(40)
        ]
        for trial, values, methods in confirmed(trials, goals, timed):
            trial.values |= values
            trial.methods |= methods
        front = [trial.number for trial in pareto_front(trials, goals)]
        delivered += len(front)
        kept += sum(measured(number) <= 1.0 for number in front)
    assert delivered > 100
    assert kept >= 0.97 * delivered
    if spread < 0.01:
        assert asked[0] <= 1.1 * delivered
