"""The small Gaussian process: its kernels, its gradients, and every shortcut against the long way round."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.optimize import approx_fprime

import searchkit.surrogates.gaussian_process as module
from searchkit import Choice, Space
from searchkit.surrogates.features import Features
from searchkit.surrogates.gaussian_process import JITTER, Gaussian, Hyperparameters, fit
from searchkit.surrogates.kernels import NEAR, SUM, ByChoice, Kernel
from searchkit.types import Codes, Floats

BY_CHOICE = ByChoice(np.array([0, 0, 1, 2, 2]))
KERNELS: dict[str, Kernel] = {"near": NEAR, "by choice": BY_CHOICE, "sum": SUM}
SPACE = Space(
    [
        Choice("kind", ("a", "b", "c")),
        Choice("width", (8, 16, 24, 32), ordered=True),
        Choice("taken", ("only",)),
        Choice("other", ("a", "b", "c")),
    ]
)


def features(n: int, seed: int = 0) -> Floats:
    """Some rows twice: equal candidates have a distance of zero, where a Matérn kernel has its kink."""
    x = np.random.default_rng(seed).normal(size=(n, 5)) / 2
    x[-2:] = x[:2]
    return x


def setting(amplitude: float = 0.4) -> Hyperparameters:
    lengths = (np.array([0.8]), np.array([0.6, 1.3, 2.0]), np.empty(0))
    return Hyperparameters(np.array([amplitude, 0.3, 0.2]), lengths, 0.15, 0.04, 0.7)


def groups(n: int, seed: int) -> list[Floats]:
    return [features(n, 10 * seed + i) for i in range(3)]


def process(n: int = 14, seed: int = 0) -> Gaussian:
    rng = np.random.default_rng(seed)
    return Gaussian.of(groups(n, seed), list(KERNELS.values()), setting(), rng.normal(size=n), rng.normal(size=n))


def new(m: int = 6, seed: int = 7) -> tuple[list[Floats], Floats]:
    return groups(m, seed), np.random.default_rng(seed).normal(size=m)


@pytest.mark.parametrize("name", KERNELS)
def test_a_kernel_is_symmetric_positive_semidefinite_and_has_its_diagonal(name: str) -> None:
    kernel, a = KERNELS[name], features(12)
    lengths = np.linspace(0.5, 1.5, kernel.n_lengths)
    covariance = kernel(a, a, lengths)
    assert np.allclose(covariance, covariance.T, atol=1e-12)
    assert np.linalg.eigvalsh(covariance).min() > -1e-9
    assert kernel.diagonal(a) == pytest.approx(np.diag(covariance), abs=1e-9)
    assert np.allclose(kernel(a, a[3:5], lengths), covariance[:, 3:5], atol=1e-12)


@pytest.mark.parametrize("name", KERNELS)
def test_a_kernel_prepared_for_a_fit_is_the_kernel_with_its_derivatives(name: str) -> None:
    kernel, a = KERNELS[name], features(12)
    made = kernel.prepare(a)
    weights = np.random.default_rng(1).normal(size=(12, 12))
    weights += weights.T  # as the slope of a likelihood by a covariance is
    theta = np.random.default_rng(2).normal(size=kernel.n_lengths) * 0.5
    covariance, by_lengths = made(np.exp(theta))
    assert np.allclose(covariance, kernel(a, a, np.exp(theta)), atol=1e-12)
    found = by_lengths(weights)
    assert found.shape == (kernel.n_lengths,)
    for j in range(kernel.n_lengths):
        step = 1e-5 * (np.arange(kernel.n_lengths) == j)
        above, below = (kernel(a, a, np.exp(theta + sign * step)) for sign in (1, -1))
        assert found[j] == pytest.approx((weights * (above - below)).sum() / 2e-5, rel=1e-5, abs=1e-6)


def test_choices_of_great_length_have_no_say() -> None:
    a = features(8)
    moved = a.copy()
    moved[:, 2] += 1.0
    lengths = np.array([0.7, 1e6, 0.7])
    assert np.allclose(BY_CHOICE(a, moved, lengths), BY_CHOICE(a, a, lengths), atol=1e-5)
    assert not np.allclose(BY_CHOICE(a, moved, np.full(3, 0.7)), BY_CHOICE(a, a, np.full(3, 0.7)), atol=0.1)


def objective_of(fitted: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> Callable[[Floats], tuple]:
    """What a fit minimises."""
    seen = []
    minimize = module.minimize

    def spy(function, start, **given):
        seen.append(function)
        return minimize(function, start, **given)

    monkeypatch.setattr(module, "minimize", spy)
    fitted()
    return seen[0]


@pytest.mark.parametrize("seed", range(3))
def test_the_gradient_of_the_posterior_is_right_for_all_kernels_together(seed: int, monkeypatch) -> None:
    rng = np.random.default_rng(seed)
    mean, y = rng.normal(size=(2, 13))
    kernels = list(KERNELS.values())
    objective = objective_of(lambda: fit(groups(13, seed), mean, y, kernels=kernels, n_iterations=2), monkeypatch)
    theta = rng.normal(size=3 + 4 + 3) * 0.4
    numeric = approx_fprime(theta, lambda t: objective(t)[0], 1e-6)
    assert objective(theta)[1] == pytest.approx(numeric, abs=1e-3)


def test_a_fit_is_better_than_the_prior_and_takes_the_rows_it_is_told() -> None:
    rng = np.random.default_rng(0)
    x = [rng.normal(size=(40, 5)) / 2 for _ in range(3)]
    y = 2 * x[1][:, 2] + 0.05 * rng.normal(size=40)
    kernels = list(KERNELS.values())
    some = np.arange(0, 40, 2)
    by_some = fit(x, np.zeros(40), y, kernels=kernels, rows=some)
    alone = fit([group[some] for group in x], np.zeros(20), y[some], kernels=kernels)
    assert by_some.setting.noise == alone.setting.noise
    assert len(by_some.y) == 40, "hyperparameters are of some rows, and the process has seen all"
    lengths = fit(x, np.zeros(40), y, kernels=kernels).setting.lengths[1]
    assert lengths[1] < min(lengths[0], lengths[2]), "the choice that matters has the shortest length"


def test_predictions_are_those_of_the_formulas() -> None:
    model, (at, mean) = process(), new()
    s, kernels = model.setting, model.kernels

    def covariance(a: list[Floats], b: list[Floats]) -> Floats:
        parts = [amp * k(x, y, le) for amp, k, x, y, le in zip(s.amplitudes, kernels, a, b, s.lengths, strict=True)]
        return sum(parts) + s.constant

    inverse = np.linalg.inv(covariance(model.groups, model.groups) + (s.noise + JITTER) * np.eye(len(model.y)))
    across = covariance(at, model.groups)
    said, std = model.predict(at, mean)
    assert said == pytest.approx(s.weight * mean + across @ inverse @ (model.y - s.weight * model.mean))
    assert std**2 == pytest.approx(np.diag(covariance(at, at) - across @ inverse @ across.T), abs=1e-9)


@pytest.mark.parametrize("m", [1, 6])
def test_believing_is_a_process_that_was_told_its_own_predictions(m: int) -> None:
    model, (at, mean) = process(), new(m)
    said, before = model.predict(at, mean)
    joined = [np.concatenate(pair) for pair in zip(model.groups, at, strict=True)]
    means, values = np.concatenate([model.mean, mean]), np.concatenate([model.y, said])
    believing = model.believing(at, mean)
    again = Gaussian.of(joined, model.kernels, model.setting, means, values)
    elsewhere = new(9, seed=8)
    for mine, theirs in zip(believing.predict(*elsewhere), again.predict(*elsewhere), strict=True):
        assert mine == pytest.approx(theirs, abs=1e-9)
    for mine, theirs in zip(believing.left_out(), again.left_out(), strict=True):
        assert mine == pytest.approx(theirs, abs=1e-9)
    now, after = believing.predict(at, mean)
    assert now == pytest.approx(said), "what it believes it predicts"
    assert (after < before).all(), "and is surer of it"
    assert len(model.y) == 14, "the process that was asked is as it was"


def test_believing_one_after_another_is_believing_all_at_once() -> None:
    model, (at, mean) = process(), new(4)
    at_once, one_by_one = model.believing(at, mean), model
    for i in range(4):
        one_by_one = one_by_one.believing([group[i : i + 1] for group in at], mean[i : i + 1])
    for mine, theirs in zip(at_once.predict(*new(9, 8)), one_by_one.predict(*new(9, 8)), strict=True):
        assert mine == pytest.approx(theirs, abs=1e-8)


def test_left_out_is_leaving_out() -> None:
    model = process()
    means, deviations = model.left_out()
    for i in range(len(model.y)):
        others = np.arange(len(model.y)) != i
        without = Gaussian.of(
            [group[others] for group in model.groups], model.kernels, model.setting, model.mean[others],
            model.y[others],
        )  # fmt: skip
        mean, std = without.predict([group[i : i + 1] for group in model.groups], model.mean[i : i + 1])
        assert means[i] == pytest.approx(mean[0])
        assert deviations[i] ** 2 == pytest.approx(std[0] ** 2 + model.noise + JITTER), "noise included"


@pytest.mark.parametrize("rows", [[3], [0, 5, 9], list(range(14))])
def test_joint_has_the_marginals_of_predict_and_is_positive_semidefinite(rows: list[int]) -> None:
    model, chosen = process(), np.array(rows)
    mean, covariance = model.joint(chosen)
    said, std = model.predict([group[chosen] for group in model.groups], model.mean[chosen])
    assert mean == pytest.approx(said)
    assert np.diag(covariance) == pytest.approx(std**2, abs=1e-9)
    assert np.allclose(covariance, covariance.T, atol=1e-12)
    assert np.linalg.eigvalsh(covariance).min() > -1e-9


@pytest.mark.parametrize("m", [0, 1, 7, 14, 16])
def test_how_many_are_computed_at_once_does_not_matter(m: int, monkeypatch) -> None:
    model = process()
    at, mean = [features(20, i)[:m] for i in range(3)], np.random.default_rng(0).normal(size=m)
    whole = model.predict(at, mean)
    monkeypatch.setattr(module, "ROWS", 7)
    for mine, theirs in zip(model.predict(at, mean), whole, strict=True):
        assert mine.shape == (m,)
        assert mine == pytest.approx(theirs, abs=1e-12)


def test_repeated_observations_of_one_candidate_are_averaged() -> None:
    one = [group[:1] for group in groups(5, 0)]
    many = [np.repeat(group, 200, axis=0) for group in one]
    y = 1.0 + 0.2 * np.random.default_rng(0).normal(size=200)
    model = Gaussian.of(many, list(KERNELS.values()), setting(), np.zeros(200), y)
    mean, std = model.predict(one, np.zeros(1))
    assert mean[0] == pytest.approx(y.mean(), abs=0.01)
    assert std[0] == pytest.approx(np.sqrt(model.noise / 200), rel=0.05)


def squared(x: Floats) -> Floats:
    """Mean squared distance of the rows."""
    return ((x[:, None] - x[None]) ** 2).sum(axis=2)


def test_inputs_are_scaled_as_their_kernels_want_them() -> None:
    codes: Codes = SPACE.enumerate()
    inputs = Features(SPACE)
    near, by_choice, parts = inputs(codes)
    assert squared(near).mean() == pytest.approx(1, rel=0.15), "of a random sample of the space"
    assert squared(by_choice).mean() == pytest.approx(3 / 4), "the choice of one option has no share"
    of = inputs.kernels[1].of
    for j, share in enumerate((1 / 4, 1 / 4, 0, 1 / 4)):
        assert squared(by_choice[:, of == j]).mean() == pytest.approx(share)
    assert (parts**2).sum(axis=1).mean() == pytest.approx(1, rel=0.15)
    assert np.abs(parts.mean(axis=0)).max() < 0.15


def test_inputs_of_a_candidate_do_not_depend_on_what_was_asked_before_or_beside_it() -> None:
    codes, used = SPACE.enumerate(), Features(SPACE)
    assert [group.shape[0] for group in used(codes[:0])] == [0, 0, 0]
    for rows in ([5], [7, 5, 5, 2], list(range(20)), [], list(range(35, 0, -1))):
        at_once = [group[rows] for group in Features(SPACE)(codes)]
        for mine, theirs in zip(used(codes[rows]), at_once, strict=True):
            assert np.array_equal(mine, theirs)


def test_a_sum_of_choices_is_learned_from_few_of_its_candidates() -> None:
    space = Space([Choice(f"c{j}", range(4)) for j in range(4)])
    codes = space.enumerate()
    rng = np.random.default_rng(0)
    value = rng.normal(size=(4, 4))
    y = value[np.arange(4), codes].sum(axis=1)
    y = (y - y.mean()) / y.std()
    rows = rng.permutation(len(codes))[:40]
    inputs = Features(space)
    seen = inputs(codes[rows])
    model = fit(seen, np.zeros(40), y[rows], kernels=inputs.kernels)
    mean, _ = model.predict(inputs(codes), np.zeros(len(codes)))
    assert np.corrcoef(mean, y)[0, 1] > 0.97
