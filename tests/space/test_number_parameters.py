"""Float and Int: values, codes and scales, and what is refused."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import searchkit
from searchkit import Choice, Float, Int, Space
from searchkit.errors import SpaceError

ENDS = st.floats(-1e6, 1e6, allow_nan=False).map(lambda value: round(value, 6))


@settings(max_examples=100)
@given(ends=st.tuples(ENDS, ENDS), share=st.floats(0, 1))
def test_a_value_of_a_float_is_its_own_code_again(ends, share):
    number = Float("x", min(ends), max(ends))
    code = min(int(share * number.n_values), number.n_values - 1)
    value = number.option(code)
    assert number.low <= value <= number.high
    assert number.index(value) == code
    assert math.isclose(number.values(np.array([code]))[0], value, rel_tol=1e-12, abs_tol=1e-12 * abs(number.high))


@settings(max_examples=100)
@given(low=st.floats(1e-12, 1.0), decades=st.floats(0.01, 20), share=st.floats(0, 1))
def test_a_value_on_a_logarithmic_scale_is_its_own_code_again(low, decades, share):
    number = Float("x", low, low * 10**decades, log=True)
    code = int(number.at(np.array([share]))[0])
    assert number.index(number.option(code)) == code
    assert abs(number.positions(np.array([code]))[0] - share) < 1e-9


@pytest.mark.parametrize("value", [0.01, 1e-5, 0.1, 0.3, 0.000123])
def test_a_value_that_somebody_writes_is_met_exactly(value):
    for number in (Float("x", 1e-5, 1, log=True), Float("x", 0, 1), Float("x", 1e-5, 0.9)):
        assert number.option(number.index(value)) == value
    assert number.option(0) == 1e-5
    assert number.option(number.n_values - 1) == 0.9


def test_ends_with_all_digits_are_values():
    number = Float("x", 1 / 3, 2 / 3)
    assert (number.option(0), number.option(number.n_values - 1)) == (1 / 3, 2 / 3)
    logarithmic = Float("x", 1 / 3, 20 / 3, log=True)
    assert (logarithmic.option(0), logarithmic.option(logarithmic.n_values - 1)) == (1 / 3, 20 / 3)


def test_codes_ascend_with_values():
    for number in (Float("x", -2.5, 1e3), Float("x", 1e-9, 3, log=True), Int("x", 5000, 10**12, log=True)):
        codes = number.at(np.linspace(0, 1, 200))
        assert (np.diff(codes) > 0).all()
        assert (np.diff(number.values(codes)) > 0).all()
        assert np.allclose(
            number.positions(codes), np.linspace(0, 1, 200), atol=1e-9 if number.n_values > 1e13 else 0.2
        )


def test_steps_are_taken_exactly():
    number = Float("x", 0.1, 0.7, step=0.1)
    assert list(number.options) == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]
    assert number.index(0.3) == 2
    assert list(Int("n", 2, 11, step=3).options) == [2, 5, 8, 11]
    assert Int("n", 2, 11, step=3).index(8) == 2
    assert number.index(0.1 + 0.2) == 2, "floats are computed with"
    assert Int("n", 2, 11, step=3).nearest(6) == 1
    for value in (6, 5.5):
        with pytest.raises(SpaceError, match=f"has no value {value}; the nearest is 5"):
            Int("n", 2, 11, step=3).index(value)


def test_integers_of_any_range_are_exact():
    number = Int("n", -(10**12), 10**15)
    for value in (-(10**12), 0, 123_456_789_012_345, 10**15):
        assert number.option(number.index(value)) == value
    assert type(number.option(3)) is int


def test_random_values_are_uniform_on_the_scale():
    rng = np.random.default_rng(0)
    space = Space([Float("rate", 1e-6, 1, log=True), Float("x", -1, 3), Int("n", 1, 3), Int("w", 1, 1000, log=True)])
    rows = space.decode(space.sample(4000, rng))
    rates = np.log10([row["rate"] for row in rows])
    assert abs(np.mean(rates) + 3) < 0.15
    assert abs(np.mean([row["x"] for row in rows]) - 1) < 0.1
    counts = np.bincount([row["n"] for row in rows], minlength=4)[1:] / 4000
    assert np.abs(counts - 1 / 3).max() < 0.04
    ones = np.mean([row["w"] == 1 for row in rows])  # its share of the scale from 0.5 to 1000.5
    assert abs(ones - math.log(3) / math.log(2001)) < 0.03


def test_a_range_of_a_million_of_millions_costs_what_ten_values_do():
    space = Space([Int("n", 0, 10**12), Float("x", 0, 1), Int("few", 0, 9)])
    code = space.sample(1, np.random.default_rng(0))[0]
    assert len(space.neighbours(code)) < 50
    assert space.features(space.sample(5, np.random.default_rng(1))).shape == (5, 3)
    assert len(pickle.dumps(space)) < 5000
    assert "e+" in repr(space)
    with pytest.raises(SpaceError, match="more than the limit"):
        space.enumerate()


def test_positions_lead_back_to_the_candidates():
    space = Space(
        [Choice("a", list("xyz")), Choice("o", (1, 2, 4), ordered=True), Float("x", 1e-4, 1, log=True), Int("n", 3, 9)]
    )
    codes = space.sample(50, np.random.default_rng(2))
    again = space.from_positions(space.positions(codes))
    assert np.abs(space.positions(again) - space.positions(codes)).max() < 1e-12
    assert np.array_equal(again[:, [0, 1, 3]], codes[:, [0, 1, 3]])


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Float("lr", 0.1, 0.001), r"Float 'lr' has low=0.1 above high=0.001: give low=0.001, high=0.1"),
        (lambda: Float("lr", 0, 1, log=True), "begins at 0.0: a logarithmic scale needs .* such as 0.0001"),
        (lambda: Int("n", -3, 5, log=True), r"Int 'n' has log=True and begins at -3"),
        (lambda: Float("x", 0, 1, step=0.3), r"cannot be cut into steps of 0.3: give high=0.9 or 1.2"),
        (lambda: Int("n", 1, 10, step=4), r"cannot be cut into steps of 4: give high=9 or 13"),
        (lambda: Float("x", 0, 1, step=0), r"step of Float 'x' is above 0, not 0"),
        (lambda: Float("x", 1, 9, log=True, step=2), "a logarithmic scale has no steps"),
        (lambda: Float("x", 0, math.inf), "high of Float 'x' is a finite number, not inf"),
        (lambda: Float("x", "0", 1), "low of Float 'x' is a finite number, not '0'"),
        (lambda: Float("x", 0, 1e300), "numbers between"),
        (lambda: Int("n", 0.5, 3), "low of Int 'n' is a whole number, not 0.5"),
        (lambda: Int("n", True, 3), "low of Int 'n' is a whole number, not True"),
        (lambda: Int("n", 0, 2**60), "numbers up to 2"),
        (lambda: Float("", 0, 1), "a Float's name is a non-empty string"),
        (lambda: Float("x", 0, 1, prior=2), r"prior of 'x': Float 'x' from 0.0 to 1.0 has no value 2"),
        (lambda: Float("x", 0, 1, prior=(0.5, 1.5)), "the confidence in the prior of 'x' is above 0 and below 1"),
        (lambda: Choice("c", list("ab"), prior="z"), "prior of 'c': choice 'c' has no option 'z'"),
    ],
)  # fmt: skip
def test_what_is_no_range_is_refused_with_what_to_give(make, said):
    with pytest.raises(SpaceError, match=said):
        make()


def test_a_value_outside_of_the_range_is_refused():
    space = Space([Float("lr", 1e-4, 0.1, log=True)])
    with pytest.raises(SpaceError, match=r"Float 'lr' from 0.0001 to 0.1, on a logarithmic scale has no value 0.5"):
        space.encode({"lr": 0.5})
    with pytest.raises(SpaceError, match="has no value 'fast'"):
        space.encode({"lr": "fast"})


def _rosenbrock(x):
    return {"loss": (1 - x["x"]) ** 2 + 100 * (x["y"] - x["x"] ** 2) ** 2}


def test_a_search_over_numbers_is_recorded_read_and_continued(tmp_path):
    space = Space([Float("x", -2, 2), Float("y", -1, 3), Int("n", 1, 10**9, log=True)])
    call = {"evaluate": _rosenbrock, "space": space, "objectives": {"loss": "min"}, "seed": 3, "storage": tmp_path}
    begun = searchkit.run("evolution", budget=7, name="s", **call)
    both = searchkit.run("evolution", budget=15, name="s", **call)
    whole = searchkit.run("evolution", budget=15, name="t", **call)
    assert [t.code.tolist() for t in both.trials] == [t.code.tolist() for t in whole.trials]
    assert [t.code.tolist() for t in both.trials[:7]] == [t.code.tolist() for t in begun.trials]
    loaded = searchkit.load("s", storage=tmp_path)
    assert loaded.space.choices == space.choices
    assert loaded.history[["x", "y", "n"]].equals(both.history[["x", "y", "n"]])
    other = Space([Float("x", -2, 2), Float("y", -1, 4), Int("n", 1, 10**9, log=True)])
    with pytest.raises(searchkit.SearchkitError, match="choice 'y'.high"):
        searchkit.run("evolution", budget=15, name="s", **(call | {"space": other}))


def test_what_lists_options_says_that_a_number_cannot_be_listed():
    space = searchkit.NetworkSpace([Float("drop", 0, 0.5), Int("width", 4, 8)], lambda *given: None, name="own")
    with pytest.raises(SpaceError, match=r"shared weights need options that can be listed, and Float 'drop' from 0.0"):
        searchkit.SharedWeights(space)


@pytest.mark.slow
@given(st.integers(0, 2**31), st.sampled_from([(0.0, 1.0), (-3.0, 5.0), (-1e250, 1e250), (-7.5, -2.0), (0.1, 1e9)]))
def test_values_one_by_one_are_those_of_an_array(seed: int, ends: tuple[float, float]) -> None:
    for log in (False, True)[: 1 + (ends[0] > 0)]:
        number = Float("x", *ends, log=log)
        codes = np.random.default_rng(seed).integers(0, number.n_values, 50)
        values = [number.option(int(code)) for code in codes]
        assert values == number.values(codes).tolist()
        assert number.nearest_codes(np.array(values)).tolist() == [number.nearest(value) for value in values]
