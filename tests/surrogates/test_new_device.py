"""Latencies on a new device: what known devices and a few measurements say, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from searchkit.errors import DataError, SearchkitError, UnknownNameError
from searchkit.problem.ranks import rank_correlation
from searchkit.surrogates.design import most_telling
from searchkit.surrogates.gaussian_process import covariances, fit, learned_prior, prior_of, setting_of
from searchkit.surrogates.kernels import NEAR, SUM
from searchkit.surrogates.known_devices import Inputs, standardised
from searchkit.surrogates.new_device import KnownDevices
from searchkit.types import Floats

N = 300


def made_up(seed: int, n_devices: int = 5, n: int = N) -> tuple[dict[str, Floats], Floats, Floats]:
    """Known devices, features, and a new device: each latency is a sum of four costs, in shares of the device's own."""
    rng = np.random.default_rng(seed)
    costs = rng.gamma(2.0, size=(n, 4))
    shares = rng.dirichlet(np.ones(4), size=n_devices + 1)
    latencies = (0.2 + costs @ shares.T) * rng.uniform(0.5, 50, n_devices + 1)
    latencies *= np.exp(0.01 * rng.normal(size=latencies.shape))
    return {f"device {i}": latencies[:, i] for i in range(n_devices)}, costs, latencies[:, n_devices]


@pytest.fixture(scope="module")
def devices() -> KnownDevices:
    known, features, _ = made_up(0)
    return KnownDevices(known, features=features)


@pytest.mark.parametrize("change", [lambda t: 3.5 * t, lambda t: 0.01 * t**1.7], ids=["in another unit", "a power"])
def test_a_copy_of_a_known_device_is_predicted_exactly(devices: KnownDevices, change: Any) -> None:
    known, _, _ = made_up(0)
    new = change(known["device 3"])
    rows = devices.choose(10)
    model = devices.fit(rows, new[rows])
    assert model.copied == "device 3"
    assert list(model.weights) == ["device 3"]
    np.testing.assert_allclose(model.predict()[0], new, rtol=1e-9)
    assert model.expected_rho == pytest.approx(1.0)
    assert model.expected_error < 1e-9


def test_a_device_with_the_order_of_a_known_one_is_ranked_exactly(devices: KnownDevices) -> None:
    known, _, _ = made_up(0)
    new = 5.0 + np.log1p(known["device 1"])
    rows = devices.choose(10)
    assert rank_correlation(devices.fit(rows, new[rows]).predict()[0], new) == pytest.approx(1.0)


@pytest.mark.slow
def test_a_new_device_is_ranked_as_well_as_by_the_best_known_one() -> None:
    for seed in range(1, 5):
        known, features, new = made_up(seed)
        devices = KnownDevices(known, features=features)
        rows = devices.choose(10)
        model = devices.fit(rows, new[rows])
        predicted, error = model.predict()
        best = max(rank_correlation(values, new) for values in known.values())
        assert rank_correlation(predicted, new) > best - 0.02
        assert rank_correlation(predicted, new) > 0.95
        assert np.mean(np.abs(predicted - new) < 1.96 * error) > 0.8
        assert model.expected_rho > 0.8


@pytest.mark.slow
def test_with_more_measurements_it_is_more_accurate_and_says_so() -> None:
    known, features, new = made_up(7)
    devices = KnownDevices(known, features=features)
    rows = devices.choose(60)
    few, many = (devices.fit(rows[:n], new[rows[:n]]) for n in (5, 60))
    off = [np.median(np.abs(model.predict()[0] / new - 1)) for model in (few, many)]
    assert off[1] < off[0]
    assert np.median(many.predict()[1]) < np.median(few.predict()[1])


def test_features_alone_are_enough_to_choose_and_to_fit() -> None:
    _, features, new = made_up(2)
    devices = KnownDevices({}, features=features)
    rows = devices.choose(20)
    model = devices.fit(rows, new[rows])
    assert rank_correlation(model.predict()[0], new) > 0.9
    assert model.weights == {}


@pytest.mark.slow
def test_devices_alone_are_enough_and_one_is_too() -> None:
    known, _, new = made_up(3)
    several = KnownDevices(known)
    rows = several.choose(10)
    assert rank_correlation(several.fit(rows, new[rows]).predict()[0], new) > 0.9
    one = KnownDevices({"only": known["device 0"]})
    rows = one.choose(10)
    assert rank_correlation(one.fit(rows, new[rows]).predict()[0], new) > 0.9 * rank_correlation(known["device 0"], new)


@pytest.mark.slow
def test_a_gap_in_a_table_is_no_gap_in_the_prediction() -> None:
    known, features, new = made_up(4)
    known["device 2"][::3] = np.nan
    devices = KnownDevices(known, features=features)
    rows = devices.choose(10)
    predicted, error = devices.fit(rows, new[rows]).predict()
    assert np.isfinite(predicted).all()
    assert (error > 0).all()
    assert rank_correlation(predicted, new) > 0.95


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 30), st.integers(0, 5))
def test_chosen_rows_are_distinct_allowed_new_and_the_same_again(
    devices: KnownDevices, seed: int, n: int, done: int
) -> None:
    rng = np.random.default_rng(seed)
    allowed = rng.permutation(N)[: n + done]
    measured = allowed[:done]
    rows = devices.choose(n, seed=seed, among=allowed, measured=measured)
    assert len(set(rows.tolist())) == n
    assert set(rows.tolist()) == set(allowed.tolist()) - set(measured.tolist())
    assert (rows == devices.choose(n, seed=seed, among=allowed, measured=measured)).all()


def test_fewer_rows_are_the_first_of_more_rows(devices: KnownDevices) -> None:
    assert (devices.choose(5) == devices.choose(12)[:5]).all()
    mask = np.arange(N) % 2 == 0
    assert (devices.choose(8, among=mask) % 2 == 0).all()


def test_what_is_measured_already_counts_as_in_one_choice(devices: KnownDevices) -> None:
    known, features, _ = made_up(0)
    rows = devices.choose(12)
    rest = devices.choose(6, measured=rows[:6])
    inputs = Inputs.of(standardised(np.stack(list(known.values()), axis=1)), standardised(features))
    setting = setting_of(prior_of(inputs.kernels)[:, 0], inputs.kernels)
    again = most_telling(inputs, setting, 3, np.arange(N), np.ones(N, dtype=np.bool_))
    assert len(set(again)) == 3
    assert not set(rest.tolist()) & set(rows[:6].tolist())


def test_the_choice_is_the_one_that_leaves_the_least_variance() -> None:
    """Beside brute force: the posterior variance of all candidates after each possible measurement."""
    known, features, _ = made_up(5, n=30)
    inputs = Inputs.of(standardised(np.stack(list(known.values()), axis=1)), standardised(features))
    setting = setting_of(prior_of(inputs.kernels)[:, 0], inputs.kernels)
    everything = np.arange(30)
    prior = covariances(inputs.groups, inputs.groups, inputs.kernels, setting) + 0.3**2 * np.outer(
        inputs.mean, inputs.mean
    )

    def left(rows: list[int]) -> float:
        corner = prior[np.ix_(rows, rows)] + setting.noise * np.eye(len(rows))
        return float(np.trace(prior - prior[:, rows] @ np.linalg.solve(corner, prior[rows])))

    found = most_telling(inputs, setting, 4, everything, np.ones(30, dtype=np.bool_))
    for step in range(4):
        before = found[:step]
        assert found[step] == min(set(range(30)) - set(before), key=lambda row, b=before: left([*b, row]))


@pytest.mark.slow
def test_devices_of_one_family_do_not_vouch_for_each_other() -> None:
    known, features, new = made_up(6)
    known["twin"] = 2 * known["device 0"]
    rows = np.arange(0, N, 30)
    weights = [
        KnownDevices(known, features=features, families=families).fit(rows, new[rows]).weights
        for families in (None, {"twin": "device 0"})
    ]
    assert weights[0] != weights[1]


def test_a_prior_is_what_earlier_fits_found_and_wide_after_few() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 2)) / 2
    kernels = (SUM, NEAR)
    default = prior_of(kernels)
    found = fit([x, x], np.zeros(40), standardised(x @ rng.normal(size=2)), kernels=kernels).setting
    np.testing.assert_allclose(learned_prior([], kernels), default)
    few, many = (learned_prior([found] * n, kernels) for n in (1, 200))
    assert np.exp(many[0, 0]) == pytest.approx(found.amplitudes[0], rel=0.05)
    assert setting_of(many[:, 0], kernels).lengths[1] == pytest.approx(found.lengths[1], rel=0.05)
    assert (few[:, 1] >= 0.7 * default[:, 1]).all()
    assert (many[:, 1] < few[:, 1]).all()


GOOD = np.arange(1.0, 21.0)


@pytest.mark.parametrize(
    ("known", "features", "said"),
    [
        ({"a": GOOD, "b": GOOD[:9]}, None, "'a' has latencies of 20 candidates and 'b' of 9"),
        ({"a": GOOD}, np.zeros((9, 2)), "but there are features of 9"),
        ({"a": GOOD - 1}, None, "the latency on 'a' of row 0 is 0.0: latencies are above 0"),
        ({"a": np.where(GOOD > 5, np.nan, GOOD)}, None, "'a' has 5 latencies, which is too few"),
        ({"a": GOOD[:, None]}, None, r"have shape \(20, 1\)"),
        ({"a": ["fast"]}, None, "not of numbers"),
        ({"a": GOOD}, np.full((20, 1), np.nan), "row 0 is not"),
        ({}, None, "there is nothing to predict from"),
        ({"a": np.ones(20)}, None, "'a' has the same latency of all candidates"),
        ({}, np.ones((20, 2)), "nothing tells them apart"),
        ([GOOD], None, "a mapping of a name to latencies"),
    ],
)
def test_tables_that_do_not_fit_are_refused_in_a_sentence(known: Any, features: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        KnownDevices(known, features=features)


def test_a_family_of_no_known_device_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'pixel3'"):
        KnownDevices({"pixel3": GOOD}, families={"pixel": "phones"})


@pytest.mark.parametrize(
    ("rows", "measured", "said"),
    [
        ([0, 1], [1.0, 2.0], "there are 2 measurements: a new device needs at least 3"),
        ([0, 1, 2], [1.0, 0.0, 2.0], "the measured latency of row 1 is 0.0: latencies are above 0"),
        ([0, 1, 2], [1.0, np.nan, 2.0], "the measured latency of row 1 is nan"),
        ([0, 1, N], [1.0, 2.0, 3.0], f"rows has row {N}: there are the rows 0 to {N - 1}"),
        ([0, 1, -1], [1.0, 2.0, 3.0], "rows has row -1"),
        ([0, 1, 1], [1.0, 2.0, 3.0], "rows has row 1 more than once"),
        ([0, 1, 2], [1.0, 2.0], "there are 3 rows, but"),
        ([0.5, 1, 2], [1.0, 2.0, 3.0], "rows are whole numbers"),
        ([0, 1, 2], ["1 ms", "2 ms", "3 ms"], "the measured latencies are"),
    ],
)
def test_measurements_that_do_not_fit_are_refused_in_a_sentence(
    devices: KnownDevices, rows: Any, measured: Any, said: str
) -> None:
    with pytest.raises(DataError, match=said):
        devices.fit(rows, measured)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"n": 0}, "a whole number from 1 on, not 0"),
        ({"n": 2.5}, "a whole number from 1 on, not 2.5"),
        ({"n": N + 1}, f"{N + 1} candidates are to be chosen, but only {N} may be"),
        ({"n": 2, "among": [True]}, f"{N} booleans are allowed"),
        ({"n": 2, "measured": [N]}, f"measured has row {N}"),
        ({"n": 2, "seed": -1}, "seed must be a whole number"),
    ],
)
def test_a_choice_that_cannot_be_is_refused_in_a_sentence(
    devices: KnownDevices, given: dict[str, Any], said: str
) -> None:
    with pytest.raises(SearchkitError, match=said):
        devices.choose(**given)
