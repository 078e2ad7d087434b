"""The rules of early stopping, beside their definitions by brute force, and the files in which reports are shared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from searchkit.problem.objectives import Goals, Objective
from searchkit.storage.recorded_reports import LONGEST, read_reports, report_attributes
from searchkit.training import Halving, Median
from searchkit.training.reports import Curve, Reports

ONE = Goals((Objective("accuracy", "max"),))
TWO = Goals((Objective("accuracy", "max"), Objective("params", "min")))

epochs = st.lists(st.integers(1, 12), min_size=1, max_size=6, unique=True).map(sorted)
value = st.integers(0, 6).map(float)


@st.composite
def curves(draw: st.DrawFn) -> Curve:
    reports = tuple((float(epoch), {"accuracy": draw(value)}) for epoch in draw(epochs))
    return Curve(draw(st.integers(0, 9)), {"params": draw(value)}, reports)


def dominates(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return all(x <= y for x, y in zip(a, b, strict=True)) and a != b


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(curves(), st.lists(curves(), max_size=8), st.sampled_from([1, 2]), st.sampled_from([2, 3]))
def test_halving_of_one_objective_is_the_place_at_the_last_rung(
    own: Curve, others: list[Curve], first: int, eta: int
) -> None:
    rule = Halving(first=first, eta=eta)
    rungs = [first * eta**k for k in range(6)]
    reached = [rung for rung in rungs if rung <= own.reports[-1][0]]
    before = [rung for rung in rungs if len(own.reports) > 1 and rung <= own.reports[-2][0]]
    assert rule.due(own) == (len(reached) > len(before))
    if not rule.due(own):
        return
    there = [curve.at(reached[-1])["accuracy"] for curve in others if curve.at(reached[-1])]
    mine, n = own.reports[-1][1]["accuracy"], len(there) + 1
    ahead = sum(one > mine for one in there)
    goes_on = n < eta or ahead < -(-n // eta) or ahead == 0
    assert (rule.why(own, others, ONE) == "") == goes_on


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(curves(), st.lists(curves(), max_size=9), st.integers(1, 4))
def test_the_median_is_that_of_averages_of_those_who_got_as_far(own: Curve, others: list[Curve], least: int) -> None:
    epoch = own.reports[-1][0]
    averages = [
        np.mean([v["accuracy"] for e, v in one.reports if e <= epoch])
        for one in others
        if one.reports[-1][0] >= epoch >= one.reports[0][0]
    ]
    best = max(values["accuracy"] for _, values in own.reports)
    stops = len(averages) >= least and best < np.median(averages)
    assert bool(Median(least=least).why(own, others, ONE)) == stops


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(curves(), st.lists(curves(), max_size=9), st.sampled_from([Halving(), Median(least=1)]))
def test_what_no_other_dominates_is_never_stopped(own: Curve, others: list[Curve], rule: Halving | Median) -> None:
    if not rule.why(own, others, TWO):
        return
    epoch = own.reports[-1][0]
    best = max(values["accuracy"] for _, values in own.reports)
    mine = (-(best if isinstance(rule, Median) else own.reports[-1][1]["accuracy"]), own.costs["params"])
    theirs = [
        (-max(values["accuracy"] for _, values in one.reports), one.costs["params"])
        for one in others
        if one.reports[-1][0] >= 1
    ]
    assert any(dominates(one, mine) for one in theirs), epoch


def test_objectives_that_not_all_have_are_left_out() -> None:
    own = Curve(0, {}, ((1.0, {"accuracy": 0.5}),))
    others = [Curve(1, {"params": 1.0}, ((1.0, {"accuracy": 0.5 + i / 10}),)) for i in range(1, 5)]
    assert "5th of 5" in Halving().why(own, others, TWO)


def test_a_report_between_rungs_counts_for_the_last_one_that_it_passed() -> None:
    rule = Halving(epochs=(3, 10))
    assert [rule.due(Curve(0, {}, tuple((float(e), {"accuracy": 1.0}) for e in seen))) for seen in (
        (2,), (2, 4), (2, 4, 9), (2, 12), (12,),
    )] == [False, True, False, True, True]  # fmt: skip


# Sharing


def test_what_one_process_reports_others_read_line_by_line(tmp_path: Path) -> None:
    mine, theirs = Reports(tmp_path), Reports(tmp_path)
    one, two, three = (np.array([i]) for i in range(3))
    assert mine.begin(one) is None  # nobody announced it
    mine.announce(one, Curve(4, {"params": 7.0}))
    mine.announce(two, Curve(5))
    assert theirs.others(two, batch=5) == []  # it has reported nothing yet
    mine.add(one, (1.0, {"accuracy": 0.1 + 0.2}))
    assert theirs.others(two, batch=5) == [Curve(4, {"params": 7.0}, ((1.0, {"accuracy": 0.1 + 0.2}),))]
    assert theirs.others(two, batch=4) == []  # of the same batch
    assert theirs.others(one, batch=9) == []
    path = next(path for path in tmp_path.rglob("*.jsonl") if path.read_text().count("\n") == 2)
    with path.open("a") as file:
        file.write('[2.0, {"accur')  # half of a line, of a process that is writing or was killed
    assert len(theirs.others(three, batch=9)[0].reports) == 1
    begun = theirs.begin(one)
    assert begun == Curve(4, {"params": 7.0})
    assert mine.others(two, batch=5) == []  # the attempt begins anew


def test_what_is_on_record_replaces_what_is_there(tmp_path: Path) -> None:
    shared = Reports(tmp_path)
    shared.announce(np.array([1]), Curve(0, {}, ((1.0, {"a": 1.0}),)))
    kept = Curve(3, {"params": 2.0}, ((1.0, {"a": 1.0}), (2.5, {"a": 2.0, "b": 3.0})))
    shared.renew([(np.array([2]), kept)])
    assert shared.others(np.array([1]), batch=9) == [kept]
    shared.clear()
    assert shared.others(np.array([1]), batch=9) == []


# In the record


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(st.integers(0, 3), st.floats(allow_nan=False, allow_infinity=False))
def test_reports_of_any_length_are_read_back_exactly(thousands: int, number: float) -> None:
    reports = [(float(i), {"accuracy": number, "loss": i / 7}) for i in range(1000 * thousands + 1)]
    attributes = report_attributes(reports)
    assert read_reports(attributes) == reports
    assert all(len(str(part)) < 2 * LONGEST for part in attributes.values())
    assert report_attributes([]) == {}


@pytest.mark.parametrize("damaged", [3, [[1.0]], [[1.0, {"a": "x"}]], [["x", {}]]])
def test_damaged_reports_are_no_reports(damaged: object) -> None:
    with pytest.raises((TypeError, ValueError, AttributeError)):
        read_reports({"reports": damaged})
