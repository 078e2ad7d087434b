"""The proxy layer in long searches: a pick costs a bounded amount, and a continued search predicts the same."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from searchkit import Choice, Space
from searchkit.problem.objectives import Goals, Objective
from searchkit.problem.observations import Observations
from searchkit.problem.problem import Problem
from searchkit.proxies.mathnas import MathNAS
from searchkit.proxy_layer import Screen, Signals
from searchkit.surrogates.refitting import KEPT, MOST, fitted_at, of_both
from searchkit.types import Codes, Floats

SPACE = Space([Choice(f"c{i}", range(4)) for i in range(8)])
VALUES = np.random.default_rng(0).normal(size=(8, 4))
GOALS = Goals((Objective("loss"),))


def loss(codes: Codes) -> Floats:
    return VALUES[np.arange(8), codes].sum(axis=1)


def score(codes: Codes) -> Floats:
    return np.column_stack([-loss(codes) + codes[:, 0], codes[:, 1]]).astype(float)


def outcomes(codes: Codes) -> Observations:
    """A candidate in ten fails."""
    failed = (codes[:, 2] == 3) & (codes[:, 3] < 2)
    return Observations(codes, np.where(failed, np.nan, loss(codes))[:, None], np.empty((len(codes), 0)))


def layer(learning: bool) -> Signals:
    learners = {1: MathNAS(SPACE)} if learning else {}
    return Signals(SPACE, ("a", "b"), score, GOALS, learners=learners)


@pytest.mark.slow
@pytest.mark.parametrize("learning", [False, True])
def test_a_layer_that_is_told_everything_at_the_end_predicts_as_one_that_was_asked_all_along(learning: bool) -> None:
    rng = np.random.default_rng(1)
    batches = [outcomes(SPACE.sample(3, rng)) for _ in range(50)]
    asked, others = layer(learning), SPACE.sample(40, rng)
    for batch in batches:
        asked.observe(batch)
        asked.latent(others), asked.log_chance(others)
    told = layer(learning)
    for batch in batches:
        told.observe(batch)
    n = int(Observations.join(batches).scored.sum())
    assert fitted_at(n) < n, "between two fits"
    for one, other in zip((*asked.latent(others), asked.log_chance(others)),
                          (*told.latent(others), told.log_chance(others)), strict=True):  # fmt: skip
        assert np.array_equal(one, other)
    assert np.corrcoef(asked.latent(others)[0][:, 0], loss(others))[0, 1] > 0.9


@pytest.mark.slow
def test_hyperparameters_are_fitted_anew_when_the_observations_have_grown_by_a_twentieth() -> None:
    signals, rng = layer(False), np.random.default_rng(2)
    fitted = []
    for _ in range(160):
        codes = SPACE.sample(1, rng)
        signals.observe(Observations(codes, loss(codes)[:, None], np.empty((1, 0))))
        signals.latent(codes)
        model = signals._fitted().get(0)
        fitted.append(None if model is None else model.setting)
    changes = [n for n, (one, other) in enumerate(pairwise(fitted), start=2) if one is not other]
    assert changes == [n for n in range(2, 161) if n >= 5 and fitted_at(n) != fitted_at(n - 1)]
    assert len([n for n in changes if n > 60]) < 25


def test_a_process_predicts_from_a_bounded_number_of_observations() -> None:
    signals, codes = layer(False), SPACE.sample(3000, np.random.default_rng(3))
    signals.observe(outcomes(codes))
    others = SPACE.sample(200, np.random.default_rng(4))
    mean = signals.latent(others)[0][:, 0]
    chance = signals.log_chance(others)
    assert [len(model.y) for model in signals._fitted().values()] == [KEPT, KEPT]
    assert np.corrcoef(mean, loss(others))[0, 1] > 0.95
    failed = ~outcomes(others).scored
    assert chance[failed].max() < chance[~failed].min()


@pytest.mark.slow
def test_the_pool_of_a_pick_is_bounded_and_still_finds_new_candidates() -> None:
    most = 0

    def counted(codes: Codes) -> Floats:
        nonlocal most
        most = max(most, len(codes))
        return score(codes)

    space = Space([Choice(f"c{i}", range(9)) for i in range(8)])
    screen = Screen(Problem(space, 1, 0), Signals(space, ("a", "b"), lambda c: counted(c % 4), GOALS), 16, 0)
    picked: list[Codes] = []
    for step in range(1500):
        if step in (0, 1499):
            rng = np.random.default_rng(step)
            picked.append(screen.pick(space.sample(4, rng), 1, set(), rng, space.sample(0, rng)))
        screen.tell(
            Observations(space.sample(1, np.random.default_rng(step)), np.full((1, 1), np.nan), np.empty((1, 0)))
        )
    assert most <= 2100
    assert (picked[0] != picked[1]).any()


def test_rows_of_both_kinds_are_kept_and_the_newest_among_them() -> None:
    good = np.arange(1000) % 10 != 0
    rows = of_both(good, MOST)
    assert len(rows) == len(set(rows.tolist())) == MOST
    assert np.bincount(good[rows]).tolist() == [100, 150], "all of the fewer, and others in their place"
    assert {990, 999} <= set(rows.tolist())
    assert of_both(good[:100], MOST).tolist() == list(range(100))
