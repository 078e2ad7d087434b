"""How the time of a search is planned and kept."""

from __future__ import annotations

import json
import logging
import math
import re
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import searchkit
from searchkit import Choice, Space
from searchkit.cli.commands import main
from searchkit.costs.counts import space_counts
from searchkit.costs.metrics import Metric
from searchkit.data.loading import load_data
from searchkit.errors import BudgetError, StudyMismatchError
from searchkit.execution.executors import InProcess
from searchkit.planned import begin_until, continued
from searchkit.problem.budget import Budget
from searchkit.problem.objectives import Goals, read_objectives
from searchkit.problem.problem import Problem
from searchkit.problem.trial import State, Trial
from searchkit.results.notes import NOTE
from searchkit.search.estimate import Estimate
from searchkit.search.finals import not_shorter, planned_finals, train_finals, winners_of
from searchkit.search.plan import LEAST_SECONDS, SHORTEST, Plan
from searchkit.search.planning import CROWDED, MANY_PASSES, plan_by, usual_seconds
from searchkit.storage.record import Memory
from searchkit.training.evaluator import Training
from searchkit.training.recipe import Recipe
from searchkit.training.speed import Speed, Within, sizes
from searchkit.training.weights import final_path, weights_path

DATA = load_data("digits")
TINY = searchkit.load_space("nas-bench-201", width=[4], cells=1)


def speeds(*steps: float) -> list[Speed]:
    return [Speed(np.zeros(1, np.int64), step, 32) for step in steps]


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(st.floats(5, 1e5), st.integers(1, 16), st.floats(1e-4, 0.05), st.floats(1, 10), st.floats(1, 10))
def test_what_is_planned_fits_into_the_time(
    seconds: float, workers: int, small: float, middle: float, large: float
) -> None:
    known = speeds(small, small * middle, small * middle * large)
    try:
        plan = plan_by(known, DATA, seconds, workers)
    except BudgetError:
        assert SHORTEST * small > 0.3 * seconds
        return
    assert 0 < plan.begin_until < plan.search_until < plan.final_until < plan.seconds
    assert plan.candidates * plan.slot <= 1.001 * plan.search_until * workers
    assert plan.recipe.steps is not None
    assert plan.recipe.steps >= SHORTEST
    assert plan.passes <= MANY_PASSES
    assert 0 < plan.job_seconds(plan.begin_until) <= max(2 * plan.slot, SHORTEST * small, LEAST_SECONDS)
    assert Plan.from_record(plan.described()) == plan


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_more_time_is_more_candidates_that_train_no_shorter(workers: int) -> None:
    plans = [plan_by(speeds(0.005, 0.01, 0.04), DATA, seconds, workers) for seconds in (30, 120, 600, 3600)]
    assert [p.candidates for p in plans] == sorted(p.candidates for p in plans)
    assert [p.passes for p in plans] == sorted(p.passes for p in plans)
    assert plans[0].candidates < plans[-1].candidates


@pytest.mark.slow
@pytest.mark.parametrize("metric", ["macs", pytest.param("flash_int8", marks=pytest.mark.thorough)])
def test_a_plan_is_made_for_networks_within_the_bounds(metric: str) -> None:
    """Both of what is counted for many at once, and of what is measured for each."""
    budget, data = {"seconds": 60}, searchkit.load_data("digits", limit=300)
    free = searchkit.plan(data=data, budget=budget)
    bounded = searchkit.plan(data=data, budget=budget, constraints={metric: {"macs": 3e5, "flash_int8": 3e4}[metric]})
    assert isinstance(free, Plan)
    assert isinstance(bounded, Plan)
    assert bounded.speeds[2] < 0.6 * free.speeds[2]


def number_of_weights(network: torch.nn.Module) -> float:
    return float(sum(weights.numel() for weights in network.parameters()))


class Slow:
    """A cost of a network that takes a second."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, network: torch.nn.Module) -> float:
        self.calls += 1
        time.sleep(1.0)
        return number_of_weights(network)


@pytest.mark.thorough
def test_measuring_who_meets_the_bounds_takes_a_small_part_of_the_time(caplog: pytest.LogCaptureFixture) -> None:
    cost, data = Slow(), searchkit.load_data("digits", limit=300)
    arguments = {"data": data, "constraints": {Metric("weight_count", cost): 30_000}}
    searchkit.plan(budget={"seconds": 600}, data=data)  # libraries are loaded before the time that is looked at
    plan = searchkit.plan(budget={"seconds": 9}, **arguments)  # 0.9 s for measuring
    assert isinstance(plan, Plan)
    assert cost.calls == 1
    assert "measuring weight_count took" in caplog.text
    assert plan.candidates * plan.slot < 0.44 * (9 - 1.0 - 1.0)  # what it took is not there for candidates
    assert "in a large network within the bounds" in plan.lines[0]


@pytest.mark.thorough
def test_a_search_under_a_slow_measurement_delivers_a_network(tmp_path: Path) -> None:
    result = searchkit.run(
        "random", data=searchkit.load_data("digits", limit=300), budget={"seconds": 12}, storage=tmp_path,
        constraints={Metric("weight_count", Slow()): 200_000},
    )  # fmt: skip
    assert len(result.front)
    assert result.finals
    steps = result.finals[result.front.trial[0]]["steps"]  # of the training whose weights are delivered
    assert result.front.steps[0] == steps != result.trials[result.front.trial[0]].values["steps"]
    described = json.loads(result.export(0, tmp_path / "net")[-1].read_text())
    assert described["measured"]["steps"] == steps
    assert f">{steps:,.0f}<" in result.report(tmp_path / "page.html").read_text()


@pytest.mark.thorough
def test_a_search_begins_with_designs_that_were_found_to_meet_what_is_measured(tmp_path: Path) -> None:
    """The first of the space's designs, of 77,754 parameters, breaks this bound."""
    result = searchkit.run(
        "random", data=searchkit.load_data("digits", limit=300), storage=tmp_path,
        budget={"evaluations": 2, "seconds": 15}, constraints={Metric("weight_count", number_of_weights): 25_000},
    )  # fmt: skip
    assert result.trials[0].state is State.SCORED
    assert len(result.front)


@pytest.mark.slow
@pytest.mark.parametrize("ask", [searchkit.run, searchkit.plan])
def test_bounds_that_nothing_meets_are_refused_before_the_time_is_planned(
    ask: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[Any] = []
    monkeypatch.setattr("searchkit.search.planning.measure", lambda *given: measured.append(given))
    for bound in ({"params": 10}, {"macs": 5}):
        with pytest.raises(searchkit.SearchkitError, match="no candidate of space 'residual' can meet"):
            ask(constraints=bound, budget={"seconds": 8}, storage=tmp_path)
    assert not measured
    assert not list(tmp_path.iterdir())


@pytest.mark.thorough
def test_sizes_are_of_networks_within_the_bounds_where_there_are_any() -> None:
    space = searchkit.load_space("residual", input_shape=(1, 8, 8), n_classes=10)
    least = space_counts(space, space.reference)["params"].min()

    def problem(most: float) -> Problem:
        return Problem(
            space, known=lambda codes: np.maximum(0.0, space_counts(space, codes)["params"] / most - 1)[:, None]
        )

    for most in (2 * least, 0.9 * least):  # met by a few designs; by none, but by other networks
        assert (space_counts(space, sizes(space, Within(problem(most))))["params"] <= most).all()
    assert len(sizes(space, Within(problem(1.0)))) == 3
    assert len(np.unique(sizes(space, Within(problem(1e9), lambda code: False)), axis=0)) == 1


@pytest.mark.parametrize("workers", [1, 2])
def test_a_slower_device_trains_fewer_candidates_and_not_suddenly_so(workers: int) -> None:
    """The number falls with the speed, so that a busy moment when it is measured does not decide the search."""
    plans = [plan_by(speeds(*(f * step for step in (0.005, 0.01, 0.04))), DATA, 120, workers) for f in (1, 2, 3, 4, 5)]
    numbers = [plan.candidates for plan in plans]
    assert numbers == sorted(numbers, reverse=True)
    assert len(set(numbers)) >= 3
    for plan in plans:
        assert plan.recipe.steps is not None
        assert plan.recipe.steps >= 150


def test_no_more_candidates_are_planned_than_may_be_evaluated() -> None:
    assert plan_by(speeds(0.001, 0.001, 0.001), DATA, 3600, 2, most=7).candidates == 7


def test_a_time_too_short_for_one_training_is_refused_with_the_least() -> None:
    with pytest.raises(BudgetError, match=r"a budget of 3 s is too short.*a search at least \d+ s") as refused:
        plan_by(speeds(0.1, 0.2, 0.3), DATA, 3.0, 2)
    least = float(str(refused.value).split("at least ")[1].split(" s")[0])
    assert plan_by(speeds(0.1, 0.2, 0.3), DATA, least, 2).candidates >= 1


@pytest.mark.slow
def test_the_usual_time_is_minutes_and_grows_with_the_data() -> None:
    assert usual_seconds(DATA) == 150
    many = np.zeros((20_000, 28, 28), np.uint8), np.arange(20_000) % 10
    assert 150 < usual_seconds(load_data(many)) <= 1200


def test_a_continued_plan_has_the_candidates_of_the_first_one_in_the_time_that_is_left() -> None:
    first = plan_by(speeds(0.005, 0.01, 0.04), DATA, 100, 2)
    then = first.continued(400, 1, spent=100)
    assert then.recipe == first.recipe
    assert 100 < then.search_until < then.final_until < 400
    assert then.candidates == int((then.search_until - 100) / first.slot)


def test_a_run_that_trains_no_candidate_says_why_and_what_would_be_enough() -> None:
    first = plan_by(speeds(0.005, 0.01, 0.04), DATA, 100, 1)
    (said,) = first.continued(100, 1, spent=102, prepared=2.0, done=5).lines
    assert "trains no candidate: 102 s are spent, of a budget of 100 s in all" in said
    found = re.search(r"--seconds \+(\d+) or budget=\{'more_seconds': (\d+)\}", said)
    assert found is not None
    assert found[1] == found[2]
    enough = 100 + int(found[1])
    later = first.continued(enough, 1, spent=102.5, prepared=2.5, done=5)
    assert later.lines[0].startswith(f"plan: {enough} s in all, of which 102 s are spent; a training step")
    (said,) = first.continued(200, 1, spent=102, prepared=2.0, done=5, most=5).lines
    assert "trains no candidate: it has 5 candidates on record, of a budget of 5; give more, such as --budget" in said
    assert first.continued(100, 1, spent=99.0).lines[0] == first.lines[0]  # the first candidate is begun in any case


def test_a_number_of_one_has_its_noun() -> None:
    one = plan_by(speeds(0.005, 0.01, 0.04), DATA, 100, 1, most=1)
    assert "about 1 candidate, 1 after another" in one.lines[1]
    assert "(1 pass)" in replace(one, passes=1.0).lines[1]
    assert "(1.1 passes)" in replace(one, passes=1.1).lines[1]
    assert one.continued(1000, 1, 0.0, done=2, most=3).candidates == 1
    estimate = Estimate(1, 1, Recipe(epochs=1), 3.0)
    assert estimate.lines[0].startswith("plan: 1 candidate, 1 at a time, each 1 epoch with batches of ")
    assert replace(estimate, options={"epochs": [1, 2]}).lines[0].count("each 1 or 2 epochs with") == 1
    assert repr(Space([Choice("a", (1,))])) == "Space('custom', 1 choice, 1 candidate)"


def scored(number: int, seconds: float, steps: float = 100) -> Trial:
    return Trial(number, 0, 1, np.array([number]), State.SCORED, {"accuracy": 0.9, "steps": steps}, seconds=seconds)


def training() -> Training:
    return Training(TINY, DATA, Recipe(steps=100, batch_size=32), "cpu", (), Path())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0.5, 50), min_size=1, max_size=9), st.floats(1, 5000), st.integers(1, 4))
def test_final_trainings_fit_into_the_time(seconds: list[float], time: float, workers: int) -> None:
    winners = [scored(i, took) for i, took in enumerate(seconds)]
    finals = planned_finals(winners, training(), time, workers, passes=3.0)
    assert finals[0].trial is winners[0]
    assert all(final.within <= 1.0001 * time for final in finals)
    assert sum(final.within for final in finals) <= 1.0001 * workers * time
    assert len({final.trial.number for final in finals}) == len(finals)


def test_a_winner_whose_training_time_is_not_known_is_left_out() -> None:
    unknown = Trial(0, 0, 1, np.array([0]), State.SCORED, {"accuracy": 0.9}, seconds=3.0)
    assert planned_finals([unknown], training(), 100, 1, 3.0) == []
    assert math.isclose(planned_finals([unknown, scored(1, 2.0)], training(), 100, 1, 3.0)[0].within, 100)


def test_the_best_and_five_others_are_trained_longer_and_of_those_the_slowest_begin() -> None:
    took = [2.0, 1.0, 5.0, 3.0, 4.0, 6.0, 9.0, 8.0]
    finals = planned_finals([scored(i, seconds) for i, seconds in enumerate(took)], training(), 1e6, 1, passes=1.0)
    assert [final.trial.number for final in finals] == [0, 5, 2, 4, 3, 1]


@pytest.mark.parametrize(("after", "works"), [(0.88, True), (0.95, True), (0.86, False)])
def test_a_final_training_that_lost_much_of_its_accuracy_has_not_worked(
    after: float, works: bool, tmp_path: Path
) -> None:
    """Three points of a hundred, on a part that it has seen; its weights are then those of the search."""
    winner = scored(0, 2.0)  # with an accuracy of 0.9
    path = final_path(tmp_path, winner.code)

    def evaluate(code: Any, seed: int, rung: Any, within: float, recipe: Recipe) -> dict[str, float]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        return {"accuracy": after, "steps": 500.0}

    record = Memory()
    made = train_finals(
        planned_finals([winner], training(), 60, 1, passes=1.0), replace(training(), folder=tmp_path), record,
        InProcess(evaluate, ("accuracy",), None), 0, "accuracy",
    )  # fmt: skip
    assert path.exists() is works
    assert made[0].get("steps") == (500 if works else None)
    assert ("below 0.9" in made[0].get("reason", "")) is not works
    assert record.notes(NOTE) == {"0": made[0]}


def test_a_longer_final_training_is_kept(tmp_path: Path) -> None:
    winners = [scored(i, 2.0) for i in range(3)]
    finals = planned_finals(winners, training(), 60, 2, passes=1.0)
    assert len(finals) == 3
    for number in (0, 1):
        path = final_path(tmp_path, winners[number].code)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    earlier = {"0": {"steps": 10**7}, "1": {"steps": 1}, "2": {"steps": 10**7}}  # the weights of 2 are not there
    assert {one.trial.number for one in not_shorter(finals, earlier, tmp_path)} == {1, 2}


@pytest.mark.parametrize(("steps", "fails"), [(100, False), (500, False), (500, True)])
def test_an_earlier_final_training_stays_where_the_new_one_turned_out_shorter_or_failed(
    steps: int, fails: bool, tmp_path: Path
) -> None:
    winner = scored(0, 2.0)
    path = final_path(tmp_path, winner.code)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("earlier")

    def evaluate(code: Any, seed: int, rung: Any, within: float, recipe: Recipe) -> dict[str, float]:
        path.write_text("new")
        if fails:
            raise ValueError("out of luck")
        return {"accuracy": 0.9, "steps": float(steps)}

    record = Memory()
    record.note(NOTE, {"0": {"seconds": 1.0, "steps": 158.0}})
    made = train_finals(
        planned_finals([winner], training(), 60, 1, passes=1.0), replace(training(), folder=tmp_path), record,
        InProcess(evaluate, ("accuracy",), None), 0, "accuracy",
    )  # fmt: skip
    better = steps > 158 and not fails
    assert path.read_text() == ("new" if better else "earlier")
    assert made[0]["steps"] == (steps if better else 158)
    assert record.notes(NOTE) == {"0": made[0]}
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(("name", "direction", "first"), [("accuracy", "max", 1), ("log_loss", "min", 0)])
def test_the_best_of_the_front_is_the_first_winner(name: str, direction: Any, first: int, tmp_path: Path) -> None:
    goals = Goals(read_objectives({name: direction, "params": "min"}), ())
    sizes = (1, 2) if direction == "max" else (2, 1)  # so that none dominates the other
    trials = [
        Trial(i, 0, 1, np.array([i]), State.SCORED, {name: value, "params": size})
        for i, (value, size) in enumerate(zip((0.5, 0.9), sizes, strict=True))
    ]
    for trial in trials:
        weights_path(tmp_path, trial.code).parent.mkdir(parents=True, exist_ok=True)
        weights_path(tmp_path, trial.code).touch()
    winners = winners_of(trials, goals, tmp_path, Metric(name, direction=direction, stage="trained"))
    assert [trial.number for trial in winners] == [first, 1 - first]


@pytest.mark.thorough
def test_a_search_with_a_time_trains_its_winners_and_delivers_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    arguments = {"strategy": "random", "space": TINY, "storage": tmp_path, "name": "timed", "seed": 1}
    result = searchkit.run(budget={"seconds": 25}, **arguments)
    assert len(result.front)
    assert result.finals, "no final training"
    best = int(result.front.trial[0])
    assert result.finals[best]["steps"] > 0  # that more are planned is tested above; a busy machine makes fewer
    assert result.front.test_accuracy.notna().all()
    assert result.front.steps[0] == result.finals[best]["steps"]
    network = result.build(0)
    x, y = DATA.test.x.float(), DATA.test.y
    assert float((network(x).argmax(1) == y).float().mean()) == pytest.approx(result.front.test_accuracy[0])
    again = searchkit.load("timed", tmp_path)
    assert again.finals == result.finals
    assert again.front.test_accuracy.tolist() == result.front.test_accuracy.tolist()

    spent = len(result.trials)
    more = searchkit.run(budget={"more_seconds": 8}, **arguments)
    assert len(more.trials) >= spent
    with caplog.at_level(logging.INFO, "searchkit"):
        nothing = searchkit.run(budget={"evaluations": 30, "seconds": 25}, **arguments)
    assert len(nothing.trials) == len(more.trials)
    assert "this run of the study trains no candidate" in caplog.text
    assert "search until" not in caplog.text
    assert more.context["plan"]["recipe"] == result.context["plan"]["recipe"]


@pytest.mark.slow
def test_a_search_without_a_time_trains_nothing_more(tmp_path: Path) -> None:
    result = searchkit.run("random", space=TINY, budget=2, epochs=1, storage=tmp_path)
    assert result.finals == {}


@pytest.mark.slow
def test_more_evaluations_are_counted_from_here(tmp_path: Path) -> None:
    arguments = {"strategy": "random", "space": TINY, "epochs": 1, "storage": tmp_path}
    assert len(searchkit.run(budget=2, **arguments).trials) == 2
    assert len(searchkit.run(budget="+1", **arguments).trials) == 3
    assert len(searchkit.run(budget={"more_evaluations": 2}, **arguments).trials) == 5


@pytest.mark.thorough
def test_a_planned_study_goes_on_by_a_number_of_candidates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its name or without; they are trained as planned, and the winners have their share of time."""
    monkeypatch.chdir(tmp_path)
    arguments: dict[str, Any] = {"strategy": "random", "space": TINY}
    first = searchkit.run(budget={"evaluations": 2, "seconds": 12}, **arguments)
    more = searchkit.run(budget="+2", **arguments)
    assert (more.name, len(more.trials)) == (first.name, len(first.trials) + 2)
    assert more.context["plan"] == first.context["plan"]
    recorded = len(more.trials)  # a busy machine may have begun one candidate in the time of the first run
    told = searchkit.plan(budget=recorded + 1, name=first.name, **arguments).lines
    assert "s are spent; a training step" in told[0]
    assert "about 1 candidate," in told[1]
    (said,) = searchkit.plan(budget=recorded, name=first.name, **arguments).lines
    assert f"it has {recorded} candidates on record, of a budget of {recorded}" in said
    again = searchkit.run(budget=recorded + 1, name=first.name, **arguments)
    assert (again.name, len(again.trials)) == (first.name, recorded + 1)
    other = searchkit.run(budget=1, epochs=1, **arguments)
    assert other.name != first.name


@pytest.mark.parametrize(("candidates", "workers"), [(1, 1), (2, 2), (7, 2), (40, 1)])
def test_the_time_for_a_number_of_candidates_is_enough_for_them(candidates: int, workers: int) -> None:
    plan = plan_by(speeds(0.005, 0.01, 0.04), DATA, 100, workers)
    seconds = plan.seconds_for(candidates, workers, 50.0)
    later = plan.continued(seconds, workers, 50.0, done=4, most=4 + candidates)
    assert later.candidates == candidates
    assert later.begin_until - 50.0 > (math.ceil(candidates / workers) - 1) * plan.slot


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        ("+x", "not the text"),
        ({"seconds": 5, "more_seconds": 5}, "leave one of them out"),
        ({"more_second": 5}, "more_seconds"),
        ({"more_evaluations": 0}, "positive number"),
    ],
)
def test_budgets_that_mean_nothing_are_refused(budget: object, said: str) -> None:
    with pytest.raises(searchkit.SearchkitError, match=said):
        searchkit.run("random", space=TINY, budget=budget, storage="memory")


@pytest.mark.slow
def test_a_plan_is_told_and_nothing_is_searched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plan = searchkit.plan(space=TINY, budget={"seconds": 60})
    assert len(plan.lines) == 4
    assert plan.lines[3].startswith("proxies: none, since")
    assert replace(plan, seconds=1) != plan
    assert "2 epochs" in "\n".join(searchkit.plan(space=TINY, budget=4, epochs=2).lines)
    assert main(["run", "--dry-run", "--space", "nas-bench-201", "--space-option", "width=4", "--seconds", "60"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("space nas-bench-201: 15,625 candidates of 6 choices, edge_0_to_1 (5)")
    assert said[1].startswith(
        "data digits: 1,079 examples to train on, 359 to compare by, 359 to test the front; each 1 x"
    )
    assert said[2] == "objectives accuracy (max, after training), params (min, counted)"
    assert said[3].endswith(": new")
    assert said[4].startswith("plan: 60 s")
    assert not list(tmp_path.iterdir())


def test_a_number_of_candidates_is_trained_as_long_as_planned_and_its_winners_have_their_share() -> None:
    first = plan_by(speeds(0.005, 0.01, 0.04), DATA, 100, 1)
    more = replace(first.continued(first.seconds_for(2, 1, 100.0), 1, 100.0, done=5, most=7), counted=True)
    assert more.job_seconds(100.0) == more.job_seconds(500.0) >= first.slot
    assert more.finals_until(0.0, 144.0) == pytest.approx(144.0 + 56.0)


def test_a_first_run_whose_preparation_took_the_time_names_the_least() -> None:
    plan = plan_by(speeds(0.01, 0.02, 0.04), DATA, 20, 2)
    with pytest.raises(BudgetError, match=r"of 20 s is too short: loading and measuring took 22 s"):
        continued(plan, Budget(None, 20.0), 2, 0, 0.0, 22.0)
    assert continued(plan, Budget(None, 60.0), 2, 0, 0.0, 22.0)[0].candidates >= 1


def test_the_crowded_factor_is_told_by_more_workers() -> None:
    alone = plan_by(speeds(0.01, 0.01, 0.01), DATA, 60, 1)
    beside = plan_by(speeds(0.01, 0.01, 0.01), DATA, 60, 2)
    assert beside.passes * CROWDED == pytest.approx(2 * alone.passes, rel=0.01)


def test_what_was_spent_before_planning_is_planned_no_more() -> None:
    early, late = (plan_by(speeds(0.005, 0.01, 0.04), DATA, 100, 1, spent=spent) for spent in (0.0, 60.0))
    assert late.search_until > 60
    assert late.candidates * late.slot <= 1.001 * (late.search_until - 60)
    assert late.slot < early.slot
    with pytest.raises(BudgetError, match="loading and measuring took 99 s of it") as refused:
        plan_by(speeds(0.01, 0.01, 0.04), DATA, 100, 1, spent=99.0)
    least = float(str(refused.value).split("at least ")[1].split(" s")[0])
    assert plan_by(speeds(0.01, 0.01, 0.04), DATA, least, 1, spent=99.0).candidates >= 1


@pytest.mark.slow
def test_data_that_take_their_time_to_be_read_leave_less_of_it(tmp_path: Path) -> None:
    class Slow(torch.utils.data.Dataset[Any]):
        def __len__(self) -> int:
            return 60

        def __getitem__(self, i: int) -> Any:
            time.sleep(0.05)
            return torch.full((6,), float(i % 2)) + 0.1 * torch.randn(6), i % 2

    with pytest.raises(BudgetError, match="loading and measuring took") as caught:
        searchkit.run(data=Slow(), budget={"seconds": 3}, storage=tmp_path)
    (seconds,) = re.findall(r"took ([\d.]+) s of it", str(caught.value))
    assert float(seconds) >= 3


def test_a_pause_of_the_machine_is_no_slow_network() -> None:
    """Where a whole training takes milliseconds, any may take half a second."""
    plan = plan_by(speeds(0.0001, 0.0001, 0.0002), DATA, 10, 1)
    assert plan.slot < 0.5
    assert plan.job_seconds(plan.begin_until) >= 0.5
    assert plan.candidates <= (plan.search_until / (plan.slot + 0.2)) + 1  # proposing takes time as well


def test_while_nothing_is_scored_candidates_begin_in_the_time_of_the_ending() -> None:
    plan = plan_by(speeds(0.005, 0.01, 0.04), DATA, 100, 1)
    budget = begin_until(plan, Budget(None, 100.0), Memory(), time.perf_counter() - 3.0)
    assert budget.limit(scored=True) == plan.begin_until
    assert budget.limit(scored=False) == plan.last_hope
    assert plan.begin_until < plan.last_hope < plan.final_until


@pytest.mark.thorough
def test_a_run_that_adds_nothing_takes_no_time_of_the_study(tmp_path: Path) -> None:
    arguments: dict[str, Any] = {"strategy": "random", "space": TINY, "storage": tmp_path, "name": "s"}
    searchkit.run(budget={"seconds": 10}, **arguments)
    spent = searchkit.list_studies(tmp_path).seconds.tolist()
    for _ in range(2):
        searchkit.run(budget={"seconds": 8}, **arguments)
    assert searchkit.list_studies(tmp_path).seconds.tolist() == spent


@pytest.mark.slow
def test_a_study_is_compared_with_the_call_before_its_time_is_planned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments: dict[str, Any] = {"strategy": "random", "space": TINY, "storage": tmp_path, "name": "s"}
    searchkit.run(budget=1, epochs=1, **arguments)
    monkeypatch.setattr("searchkit.search.planning.measure", lambda *given: pytest.fail("planned"))
    for ask in (searchkit.run, searchkit.plan):
        with pytest.raises(StudyMismatchError, match="recorded 1, asked planned"):
            ask(budget={"seconds": 30}, **arguments)
        with pytest.raises(StudyMismatchError, match=r"differs in data"):
            ask(budget=1, epochs=1, data=searchkit.load_data("digits", limit=200), **arguments)


@pytest.mark.slow
def test_an_estimate_has_as_many_candidates_as_begin_in_the_time() -> None:
    few = searchkit.plan(space=TINY, budget={"seconds": 0.01}, epochs=2)
    assert isinstance(few, Estimate)
    assert few.candidates == 1
    assert "none begun after 0.01 s" in few.lines[0]
    many = searchkit.plan(space=TINY, budget={"seconds": 1e6, "evaluations": 7}, epochs=2)
    assert isinstance(many, Estimate)
    assert many.candidates == 7


@pytest.mark.slow
def test_a_refit_is_no_step_back(tmp_path: Path) -> None:
    """Neither by too short a time, nor by fewer steps; and the network on record is the one that is built."""
    result = searchkit.run("random", space=TINY, budget=1, epochs=1, storage=tmp_path, name="s")
    with pytest.raises(searchkit.SearchkitError, match=r"seconds=0.001 is too short: a training of 60 steps takes"):
        result.refit(0, seconds=0.001)
    steps = result.refit(0, epochs=4)["steps"]
    tested = result.front.test_accuracy[0]
    with pytest.raises(searchkit.SearchkitError, match=f"final training of {steps:.0f} steps, and epochs=1 are"):
        result.refit(0, epochs=1)
    assert searchkit.load("s", tmp_path).front.test_accuracy[0] == tested
    assert result.refit(0, epochs=5)["steps"] > steps


@pytest.mark.slow
def test_a_refit_that_is_killed_before_it_is_on_record_leaves_the_network_that_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = searchkit.run("random", space=TINY, budget=1, epochs=1, storage=tmp_path, name="s")
    result.refit(0, epochs=2)
    before = {name: value.clone() for name, value in result.build(0).state_dict().items()}

    def killed(*given: Any) -> float:
        shutil.copytree(tmp_path, tmp_path / "then")  # the files as a killed process leaves them
        raise SystemExit

    monkeypatch.setattr("searchkit.results.refit.score_kept", killed)
    with pytest.raises(SystemExit):
        result.refit(0, epochs=3)
    for folder in (tmp_path / "then", tmp_path):
        again = searchkit.load("s", folder, space=TINY).build(0).state_dict()
        assert all(torch.equal(again[name], value) for name, value in before.items())
