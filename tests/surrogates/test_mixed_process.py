"""The Gaussian process on mixed positions: its gradients, and every shortcut against the long way round."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from searchkit.surrogates.log_improvement import log_chance, log_improvement
from searchkit.surrogates.mixed_fit import PRIOR, Objective, fit, setting_of
from searchkit.surrogates.mixed_kernel import APART, Columns, Setting, covariances, parts
from searchkit.surrogates.mixed_process import MixedProcess
from searchkit.surrogates.output_scales import SCALES, Scale
from searchkit.types import Floats

CATEGORY = np.array([False, False, True, False])
COLUMNS = Columns(CATEGORY, np.array([False, True, False, False]))  # the second number may be inactive
SETTING = Setting(np.array([0.4, 0.7, 1.3, 2.0]), 1.4, 0.02, 0.6, np.array([0.3]))


def positions(n: int, seed: int = 0) -> Floats:
    """Numbers, a category of three options, and a number that is inactive in a third; one row twice."""
    rng = np.random.default_rng(seed)
    found = rng.random((n, 4))
    found[:, 2] = rng.integers(0, 3, n)
    found[rng.random(n) < 0.3, 1] = np.nan
    found[-1] = found[0]
    return found


def observed(n: int, seed: int = 0) -> Floats:
    return np.random.default_rng([seed, 1]).normal(size=n)


def distance(a: Floats, b: Floats) -> float:
    """The squared distance of two candidates in numbers, written as it is told."""
    total = 0.0
    for j in np.flatnonzero(~CATEGORY):
        one, two = (0.5 if np.isnan(x[j]) else x[j] for x in (a, b))
        total += ((one - two) ** 2 + APART**2 * (np.isnan(a[j]) != np.isnan(b[j]))) / SETTING.lengths[j] ** 2
    return total


def covariance(a: Floats, b: Floats) -> Floats:
    """Of the functions of all columns and of numbers alone, and of the effect of the category."""
    squared = np.array([[distance(one, two) for two in b] for one in a])
    differ = a[:, None, 2] != b[:, 2]
    alike = SETTING.scale * np.exp(-0.5 * differ / SETTING.lengths[2] ** 2) + SETTING.shared
    root = np.sqrt(5 * squared)
    return alike * (1 + root + 5 * squared / 3) * np.exp(-root) + SETTING.effects[0] * ~differ


def test_covariances_of_mixed_candidates_are_those_of_their_definition() -> None:
    a, b = positions(9), positions(5, 1)
    assert np.allclose(covariances(COLUMNS, SETTING, COLUMNS.encoded(a), COLUMNS.encoded(b)), covariance(a, b))
    one, two = np.tril_indices(9, -1)
    apart = parts(COLUMNS, COLUMNS.encoded(a))
    expected = [distance(a[i], a[j]) for i, j in zip(one, two, strict=True)]
    assert np.allclose(SETTING.weights[~CATEGORY] @ apart[~CATEGORY], expected)
    assert np.array_equal(apart[2], a[one, 2] != a[two, 2])


def test_covariances_of_more_categories_than_are_looked_up_at_once_are_those_of_their_definition() -> None:
    codes = np.random.default_rng(0).integers(0, 3, (20, 11)).astype(float)
    columns = Columns(np.ones(11, dtype=bool), np.zeros(11, dtype=bool))
    setting = Setting(np.linspace(0.5, 3.0, 11), 1.4, 0.0, 0.0, np.linspace(0.1, 0.6, 11))
    same = codes[:, None] == codes
    expected = 1.4 * np.exp(-0.5 * ~same @ setting.weights) + same @ setting.effects
    assert np.allclose(covariances(columns, setting, columns.encoded(codes), columns.encoded(codes)), expected)


def test_the_covariance_of_candidates_with_inactive_numbers_is_positive_definite() -> None:
    some, wide = COLUMNS.encoded(positions(60, 3)[:-1]), replace(SETTING, lengths=10 * SETTING.lengths)
    values = np.linalg.eigvalsh(covariances(COLUMNS, wide, some, some))
    assert values.min() > -1e-10


def test_there_are_as_many_hyperparameters_as_columns_have_use_for() -> None:
    def of(*category: bool) -> Setting:
        columns = Columns(np.array(category), np.zeros(len(category), dtype=bool))
        return setting_of(columns, PRIOR.of(columns)[:, 0])

    assert of(False, False).variance == of(False, False).scale
    assert of(True).variance == of(True).scale
    assert (of(True, True).shared, len(of(True, True).effects)) == (0.0, 2)
    assert of(True, False, True).shared > 0
    assert len(of(True, False, True).effects) == 2


def test_a_posterior_on_mixed_positions_is_that_of_the_textbook() -> None:
    known, y, new = positions(15), observed(15), positions(5, 1)
    process = MixedProcess.of(COLUMNS, SETTING, known, y)
    inverse = np.linalg.inv(covariance(known, known) + SETTING.noise * np.eye(15))
    one = np.ones(15)
    mean = (one @ inverse @ y) / (one @ inverse @ one)
    across = covariance(new, known)
    predicted, std = process.predict(new)
    assert np.allclose(predicted, mean + across @ inverse @ (y - mean))
    assert np.allclose(std**2, SETTING.variance - np.einsum("ij,jk,ik->i", across, inverse, across))
    assert np.allclose(process.at_known(), process.predict(known)[0])


def test_gradients_of_a_mixed_posterior_are_those_of_finite_differences() -> None:
    process, new = MixedProcess.of(COLUMNS, SETTING, positions(15), observed(15)), positions(6, 2)
    mean, std, by_mean, by_std = process.gradients(new)
    assert np.allclose((mean, std), process.predict(new))
    for i, j in zip(*np.nonzero(~np.isnan(new)), strict=True):
        if CATEGORY[j]:
            continue
        step = np.zeros(4)
        step[j] = 1e-6
        higher, lower = process.predict(new[[i]] + step), process.predict(new[[i]] - step)
        assert by_mean[i, j] == pytest.approx((higher[0][0] - lower[0][0]) / 2e-6, abs=1e-6)
        assert by_std[i, j] == pytest.approx((higher[1][0] - lower[1][0]) / 2e-6, abs=1e-6)
    fixed = np.isnan(new) | CATEGORY
    assert not by_mean[fixed].any()
    assert not by_std[fixed].any()


def test_a_factor_that_grew_by_rows_is_that_of_all_rows() -> None:
    known, y = positions(12), observed(12)
    grown = MixedProcess.of(COLUMNS, SETTING, known[:8], np.zeros(8))
    for row in known[8:]:
        grown = grown.grown(row)
    whole = MixedProcess.of(COLUMNS, SETTING, known, y)
    assert np.allclose(grown.factor, whole.factor, atol=1e-12)
    assert np.allclose(grown.observing(y).predict(positions(4, 5)), whole.predict(positions(4, 5)))


def test_a_believed_candidate_changes_no_prediction_but_its_certainty() -> None:
    process, new = MixedProcess.of(COLUMNS, SETTING, positions(12), observed(12)), positions(6, 4)
    believing = process.grown(new[2])
    assert np.allclose(believing.predict(new)[0], process.predict(new)[0])
    assert believing.predict(new)[1][2] < 0.8 * process.predict(new)[1][2]


def test_the_gradient_of_a_mixed_fit_is_that_of_finite_differences() -> None:
    objective = Objective(COLUMNS, parts(COLUMNS, COLUMNS.encoded(positions(14))), observed(14), PRIOR.of(COLUMNS))
    theta = np.array([-0.4, 0.3, 0.1, -1.0, 0.2, -3.0, -1.2, -0.7])
    numeric = approx_fprime(theta, lambda at: objective(at)[0], 1e-6)
    assert np.allclose(objective(theta)[1], numeric, rtol=1e-4, atol=1e-3)


def test_a_fit_tells_the_columns_that_matter_from_those_that_do_not() -> None:
    known = positions(40, 7)
    y = np.sin(6 * known[:, 0]) + (known[:, 2] == 1)
    setting, _ = fit(COLUMNS, known, (y - y.mean()) / y.std())
    assert setting.lengths[0] < 0.5 * setting.lengths[3]
    assert setting.lengths[2] < setting.lengths[3]
    assert setting.noise < 1e-3


def test_what_an_option_adds_to_a_loss_is_learned_beside_other_options_and_numbers() -> None:
    rng = np.random.default_rng(2)
    columns = Columns(np.array([True, True, True, False]), np.zeros(4, dtype=bool))
    known, new = (np.column_stack([*rng.integers(0, 3, (3, n)), rng.random(n)]) for n in (30, 200))

    def loss(x: Floats) -> Floats:
        return np.asarray(x[:, 0] + 2.0 * (x[:, 1] == 1) - x[:, 2] + 2.0 * (x[:, 3] - 0.4) ** 2)

    centre, spread = loss(known).mean(), loss(known).std()
    y = (loss(known) - centre) / spread
    found = MixedProcess.of(columns, fit(columns, known, y)[0], known, y).predict(new)[0]
    assert np.abs(found * spread + centre - loss(new)).max() < 0.1


@pytest.mark.parametrize("z", [-1000.0, -60.0, -49.0, -10.0, -1.0001, -0.9999, 0.0, 4.0, 30.0])
def test_log_improvement_agrees_with_decimal_arithmetic(z: float) -> None:
    from decimal import Decimal, getcontext

    getcontext().prec = 60
    exact = _improvement(Decimal(z))
    value, by_mean, by_std = log_improvement(np.array([-2 * z]), np.array([2.0]), 0.0)
    assert value[0] == pytest.approx(float(exact.ln()) + math.log(2), rel=1e-8)
    step = max(1.0, abs(z)) * 1e-6
    for slope, by in ((by_mean, (step, 0.0)), (by_std, (0.0, step))):
        ends = [log_improvement(np.array([-2 * z + s * by[0]]), np.array([2 + s * by[1]]), 0.0)[0][0] for s in (1, -1)]
        assert slope[0] == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-3, abs=1e-6)


def _improvement(z):  # type: ignore[no-untyped-def]
    """phi(z) + z Phi(z): below -8 by the continued fraction of Mills' ratio, else by the series of the integral."""
    from decimal import Decimal

    root = (2 * Decimal("3.14159265358979323846264338327950288419716939937510582097494")).sqrt()
    phi = (-z * z / 2).exp() / root
    if z < -8:
        tail = Decimal(0)
        for k in range(400, 0, -1):
            tail = k / (-z + tail)
        return phi * (1 + z / (-z + tail))
    term = total = z
    for k in range(1, 3000):
        term = term * z * z / (2 * k + 1)
        total += term
    return phi + z * (Decimal("0.5") + phi * total)


def test_the_chance_to_keep_a_bound_has_the_slopes_of_finite_differences() -> None:
    mean, std = np.array([-30.0, -1.0, 0.5, 40.0]), np.array([0.7, 1.0, 2.0, 1.0])
    value, by_mean, by_std = log_chance(mean, std)
    assert np.isfinite(value).all()
    assert np.allclose(by_mean, (log_chance(mean + 1e-6, std)[0] - log_chance(mean - 1e-6, std)[0]) / 2e-6, atol=1e-5)
    assert np.allclose(by_std, (log_chance(mean, std + 1e-6)[0] - log_chance(mean, std - 1e-6)[0]) / 2e-6, atol=1e-3)


@pytest.mark.parametrize("scale", SCALES)
def test_a_scale_of_losses_keeps_their_order_whatever_their_size(scale: Scale) -> None:
    for size in (1e-300, 1.0, 1e300):
        losses = size * np.array([3.0, 1.0, 2.0, 1e3, 2.5])
        scaled, slopes = scale(losses)
        assert np.array_equal(np.argsort(scaled), np.argsort(losses))
        assert scaled.std() == pytest.approx(1.0)
        assert np.isfinite(slopes)
    assert not scale(np.ones(4))[0].any()


def test_the_slopes_of_a_scale_are_its_derivatives() -> None:
    losses = np.array([0.3, 1.7, 0.4, 5.0, 0.9])
    logarithm, plain = SCALES[1](losses), SCALES[0](losses)
    middle, best = np.median(losses), losses.min()
    warped = np.log((losses - best) / (middle - best) + SCALES[1].softness)
    straight = (losses - best) / (middle - best)
    expected = -warped.sum() - 5 * math.log(warped.std())
    assert logarithm[1] == pytest.approx(expected)
    assert plain[1] == pytest.approx(-5 * math.log(straight.std()))
