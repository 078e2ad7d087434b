"""What follows of costs that are predicted: which bounds are broken, and which candidates may still win."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchkit.costs.targets.prediction import NO_MODEL
from searchkit.problem.objectives import Bound, Goals, Objective
from searchkit.problem.trial import State, Trial, pareto_front
from searchkit.search.target_columns import may_win, next_to_measure, only_predicted, say_predicted
from searchkit.storage.measured_notes import PREDICTED

PHONE, PI = "latency_ms@phone", "latency_ms@pi"
GOALS = Goals((Objective("accuracy", "max"), Objective(PHONE)), (Bound("accuracy", 0.2), Bound(PI, high=3.0)))


def trial(number: int, accuracy: float, phone: float, pi: float, predicted: frozenset[str]) -> Trial:
    values = {"accuracy": accuracy, PHONE: phone, PI: pi} | {name + PREDICTED: 0.2 for name in predicted}
    return Trial(number, number, 1, np.array([number]), State.SCORED, values)


missing = st.frozensets(st.sampled_from([PHONE, PI]))
rows = st.tuples(st.integers(0, 5).map(lambda i: i / 5), st.integers(1, 5), st.integers(1, 5), missing)
late = st.lists(st.sampled_from([0.5, 1, 2, 3, 4, 9]), min_size=14, max_size=14)


@pytest.mark.slow
@given(
    st.lists(rows, min_size=1, max_size=7), st.lists(st.sampled_from([0.5, 1, 2, 3, 4, 9]), min_size=14, max_size=14)
)
def test_whatever_predicted_costs_turn_out_to_be_the_winners_were_kept(
    given_rows: list[tuple[float, int, int, frozenset[str]]], measured: list[float]
) -> None:
    trials = [trial(i, *row) for i, row in enumerate(given_rows)]
    kept = {one.number for one in may_win(trials, GOALS)}
    costs = iter(measured)
    later = [
        replace(one, values={"accuracy": one.values["accuracy"]} | {
            name: next(costs) if name + PREDICTED in one.values else one.values[name] for name in (PHONE, PI)
        })
        for one in trials
    ]  # fmt: skip
    assert {one.number for one in pareto_front(later, GOALS)} <= kept
    assert {one.number for one in pareto_front(trials, GOALS)} <= kept


@pytest.mark.slow
@given(
    st.lists(rows, min_size=1, max_size=7),
    st.lists(st.floats(-1, 1), min_size=14, max_size=14),
    st.sampled_from([0.0, 1.0, 2.0]),
)
def test_winners_are_kept_where_predictions_are_believed_within_their_errors(
    given_rows: list[tuple[float, int, int, frozenset[str]]], off: list[float], sure: float
) -> None:
    """Each predicted cost turns out to be up to so many standard errors, here 0.2, from its prediction."""
    trials = [trial(i, *row) for i, row in enumerate(given_rows)]
    believed = dict.fromkeys((PHONE, PI), sure)
    kept = {one.number for one in may_win(trials, GOALS, believed)}
    errors = iter(off)
    later = [
        replace(one, values={"accuracy": one.values["accuracy"]} | {
            name: one.values[name] * (np.exp(0.2 * sure * next(errors)) if name + PREDICTED in one.values else 1)
            for name in (PHONE, PI)
        })
        for one in trials
    ]  # fmt: skip
    assert {one.number for one in pareto_front(later, GOALS)} <= kept
    assert kept <= {one.number for one in may_win(trials, GOALS)}
    following = next_to_measure(trials, GOALS, [PHONE, PI], {one.number for one in trials})
    front = [one.number for one in pareto_front(trials, GOALS)]
    assert following == front[0] if front else following is None or following in {t.number for t in trials}


def test_what_a_measured_candidate_beats_in_any_case_is_not_kept() -> None:
    best = trial(0, 0.9, 1.0, 1.0, frozenset())
    only_bound_missing = trial(1, 0.5, 2.0, 1.0, frozenset({PI}))
    may_be_faster = trial(2, 0.5, 9.0, 1.0, frozenset({PHONE}))
    too_poor = trial(3, 0.1, 0.5, 1.0, frozenset({PHONE}))
    kept = may_win([best, only_bound_missing, may_be_faster, too_poor], GOALS)
    assert [one.number for one in kept] == [0, 2]


@pytest.mark.parametrize(
    ("value", "error", "broken"),
    [
        (3.0, None, False),
        (3.1, None, True),
        (3.1, 0.02, False),
        (3.6, 0.08, True),
        (3.5, 0.08, False),
        (2.0, 0.1, False),
    ],
)
def test_a_bound_is_broken_by_more_than_two_standard_errors(value: float, error: float | None, broken: bool) -> None:
    bound = GOALS.bounds[1]
    values = {PI: value} | ({} if error is None else {PI + PREDICTED: error})
    outside = bound.violation(np.array([value]))[0] > 0
    assert (outside and not only_predicted(bound, values)) == broken
    assert only_predicted(bound, {PI: 300.0, PI + PREDICTED: NO_MODEL})


def test_what_was_left_out_by_a_prediction_that_was_wrong_is_told(caplog: pytest.LogCaptureFixture) -> None:
    left_out = replace(trial(4, 0.5, 1.0, 2.0, frozenset()), state=State.INFEASIBLE, values={PHONE: 1.0, PI: 2.0})
    slow = replace(left_out, number=5, values={PHONE: 1.0, PI: 4.0})
    say_predicted([left_out, slow], GOALS)
    assert (
        "1 candidate was not trained, since a predicted cost broke a bound that the measured one keeps: 4"
        in caplog.text
    )
