"""Bounds: how far outside a value is, and what a candidate that was not measured in full is told as."""

from __future__ import annotations

import numpy as np

from searchkit.problem.objectives import Bound, Goals, read_objectives
from searchkit.problem.trial import State, Trial, observe


def test_a_violation_is_relative_to_the_bound() -> None:
    values = np.array([150.0, 100.0, 50.0, np.nan])
    np.testing.assert_array_equal(Bound("m", high=100).violation(values), [0.5, 0, 0, np.nan])
    np.testing.assert_array_equal(Bound("m", low=200).violation(values), [0.25, 0.5, 0.75, np.nan])
    np.testing.assert_array_equal(Bound("m", low=-50, high=-10).violation(-values), [2, 1, 0, np.nan])
    np.testing.assert_array_equal(Bound("m", high=0).violation(values), [150, 100, 50, np.nan])


def test_what_was_not_measured_breaks_no_bound_of_an_infeasible_candidate() -> None:
    goals = Goals(read_objectives({"loss": "min"}), (Bound("params", high=10), Bound("seconds", high=1)))
    trials = [
        Trial(0, 0, 3, np.array([0]), State.INFEASIBLE, {"params": 15.0}),
        Trial(1, 0, 3, np.array([1]), State.FAILED, {"params": 15.0}),
        Trial(2, 0, 3, np.array([2]), State.SCORED, {"params": 5.0, "seconds": 3.0, "loss": 1.0}),
    ]
    told = observe(trials, goals)
    np.testing.assert_array_equal(told.violations, [[0.5, 0], [np.nan, np.nan], [0, 2]])
    np.testing.assert_array_equal(told.losses, [[np.nan], [np.nan], [1]])
