"""What counts as a number where a user's function returns one; the same at every door."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from searchkit import Metric
from searchkit.errors import CandidateError
from searchkit.execution.outcome import Job, attempt
from searchkit.problem.numbers import number_of, numbers_of
from searchkit.training.evaluator import metric_value

NUMBERS: list[tuple[Any, float]] = [
    (0.5, 0.5),
    (3, 3.0),
    (True, 1.0),
    (np.False_, 0.0),
    (Decimal("0.5"), 0.5),
    (Fraction(1, 4), 0.25),
    (np.float32(0.5), 0.5),
    (np.longdouble(0.5), 0.5),
    (np.int8(-3), -3.0),
    (np.array(0.5), 0.5),
    (np.array([0.5]), 0.5),
    (np.array([[0.5]]), 0.5),
    (np.array([Fraction(1, 4)], dtype=object), 0.25),
    (torch.tensor(0.5), 0.5),
    (torch.tensor([[0.5]], dtype=torch.bfloat16, requires_grad=True), 0.5),
    (torch.tensor([True]), 1.0),
]
OTHERS: list[Any] = [
    None,
    "0.5",
    b"1",
    1 + 2j,
    1 + 0j,
    [0.5],
    {"loss": 1},
    len,
    10**400,
    10**5000,
    Decimal("sNaN"),
    np.str_("0.5"),
    np.array(["0.5"]),
    np.array(["0.5"], dtype=object),
    np.complex128(1),
    np.array([0.5, 0.6]),
    np.array([]),
    np.timedelta64(5, "ns"),
    np.datetime64("2020-01-01"),
    np.ma.masked,
    np.ma.masked_array([0.5], [True]),
    torch.tensor([0.5, 0.6]),
    torch.tensor(1 + 2j),
    torch.zeros(1, device="meta"),
]
JOB = Job(np.array([0]), 0)


def named(value: Any) -> str:
    return f"{type(value).__name__} {value!r:.40}" if type(value) is not int or value < 2**64 else f"{len(hex(value))}"


@pytest.mark.parametrize(("value", "number"), NUMBERS, ids=[named(value) for value, _ in NUMBERS])
def test_a_number_of_any_kind_is_taken_at_every_door(value: Any, number: float) -> None:
    assert number_of(value) == number
    assert attempt(lambda *_: {"loss": value, "extra": value}, JOB, ("loss",)).values == {
        "loss": number,
        "extra": number,
    }
    assert metric_value(Metric("mine", lambda network: value), nn.Identity()) == number


@pytest.mark.parametrize("value", OTHERS, ids=[named(value) for value in OTHERS])
def test_what_is_no_number_becomes_none_and_an_extra_value_is_no_fault(value: Any) -> None:
    failed = attempt(lambda *_: {"loss": value}, JOB, ("loss",))
    assert failed.values == {}
    assert (failed.reason or "").startswith("loss is ")
    assert "not a number" in failed.reason or "beyond the largest float" in failed.reason
    assert len(failed.reason) < 300
    beside = attempt(lambda *_: {"loss": 1.0, "extra": value}, JOB, ("loss",))
    assert (beside.reason, beside.values) == (None, {"loss": 1.0})
    with pytest.raises(CandidateError, match=r"metric 'mine' is .*(not a number|beyond the largest float)"):
        metric_value(Metric("mine", lambda network: value), nn.Identity())


def test_a_metric_that_is_not_finite_is_a_failure() -> None:
    with pytest.raises(CandidateError, match="metric 'mine' is nan"):
        metric_value(Metric("mine", lambda network: float("nan")), nn.Identity())


def test_arrays_of_text_and_complex_numbers_are_refused_and_others_keep_their_shape() -> None:
    assert numbers_of([[1, 2], [3, 4]]).tolist() == [[1, 2], [3, 4]]
    assert numbers_of([Fraction(1, 4), 2]).tolist() == [0.25, 2]
    assert numbers_of([]).dtype == np.float64
    for wrong in (["0.5"], [1 + 0j], [0.5, None]):
        with pytest.raises(ValueError, match="not"):
            numbers_of(wrong)
