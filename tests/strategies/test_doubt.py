"""A search whose model has no hope tries what the model was never told about, and follows what surprises it."""

from __future__ import annotations

import numpy as np
import pytest

from searchkit import Choice, Space
from searchkit.problem.observations import Observations
from searchkit.problem.problem import Problem
from searchkit.space import keys
from searchkit.strategies.acquisition import Acquisition
from searchkit.strategies.bo import BO
from searchkit.strategies.doubt import after_a_surprise, rarest_pairs
from searchkit.strategies.surrogate import Surrogate
from searchkit.surrogates.feasibility import Feasibility
from searchkit.surrogates.features import Features
from searchkit.types import Codes, Floats

SPACE = Space([Choice(f"c{j}", range(5)) for j in range(6)])
NONE = np.empty((0, 6), dtype=np.int64)


def everything(codes: Codes) -> Codes:
    return codes


def told(codes: Codes, losses: Floats) -> Observations:
    columns = losses[:, None] if losses.ndim == 1 else losses
    return Observations(codes, columns, np.empty((len(codes), 0)))


def new_pairs(code: Codes, known: Codes) -> int:
    """How many pairs of a candidate's options none of the known ones has."""
    pairs = [(i, j) for i in range(len(code)) for j in range(i)]
    return sum(not (known[:, [i, j]] == code[[i, j]]).all(axis=1).any() for i, j in pairs)


def test_options_are_brought_together_that_never_were() -> None:
    problem, known = Problem(SPACE, 1), SPACE.sample(30, np.random.default_rng(0))
    seen = told(known, np.zeros(30))
    found = [
        new_pairs(rarest_pairs(problem, seen, set(), everything, np.random.default_rng(seed))[0], known)
        for seed in range(20)
    ]
    by_chance = [new_pairs(code, known) for code in SPACE.sample(200, np.random.default_rng(1))]
    assert min(found) > np.quantile(by_chance, 0.9)


def test_what_is_brought_together_is_new_allowed_and_hopeful() -> None:
    problem = Problem(SPACE, 1, known=lambda codes: (codes[:, :1] == 4).astype(np.float64))
    known = told(NONE, np.empty((0, 1)))
    for seed in range(20):
        code = rarest_pairs(problem, known, set(), lambda codes: codes[codes[:, 1] != 3], np.random.default_rng(seed))
        assert code.shape == (1, 6)
        assert code[0, 0] != 4
        assert code[0, 1] != 3
    tiny = Problem(Space([Choice("a", range(2)), Choice("b", range(2))]), 1)
    empty = told(np.empty((0, 2), dtype=np.int64), np.empty((0, 1)))
    all_of_it = set(keys(tiny.space.enumerate()))
    assert not len(rarest_pairs(tiny, empty, all_of_it, everything, np.random.default_rng(0)))


def test_options_of_a_long_scale_count_by_the_part_of_it() -> None:
    space = Space([Choice("a", range(80), ordered=True), Choice("b", range(80), ordered=True)])
    a, b = (part.ravel() for part in np.meshgrid(np.arange(80), np.arange(80)))
    codes = np.column_stack([a, b])
    known = codes[(a < 60) | (b < 60)]
    found = rarest_pairs(Problem(space, 1), told(known[::7], np.zeros(len(known[::7]))), set(), everything,
                         np.random.default_rng(0))  # fmt: skip
    assert (found >= 60).all()


def additive(codes: Codes) -> Floats:
    value: Floats = np.random.default_rng(3).normal(size=(6, 5))[np.arange(6), codes].sum(axis=1)
    return value


def surprise(objectives: int, by: float) -> tuple[Codes, Codes, Codes]:
    """A candidate that is better than a sum says, the best, and what follows from them."""
    codes = np.unique(SPACE.sample(50, np.random.default_rng(0)), axis=0)
    losses = additive(codes)
    odd, best = int(np.argsort(losses)[len(losses) // 2]), int(np.argmin(losses))
    losses[odd] -= by
    seen = told(codes, np.repeat(losses[:, None], objectives, axis=1))
    problem, rng = Problem(SPACE, objectives), np.random.default_rng(0)
    acquisition = Acquisition(Surrogate(Features(SPACE), 40), seen, Feasibility(problem), rng)
    found = after_a_surprise(problem, seen, acquisition, set(keys(codes)), everything, rng)
    return codes[odd], codes[best], found


@pytest.mark.parametrize("objectives", [1, 2])
def test_from_a_surprise_it_goes_towards_the_best(objectives: int) -> None:
    spread = additive(SPACE.sample(300, np.random.default_rng(1))).std()
    odd, best, found = surprise(objectives, 1.5 * spread)
    assert found.shape == (1, 6)
    assert ((found[0] == odd) | (found[0] == best)).all()
    assert 1 <= (found[0] != odd).sum() <= (odd != best).sum() // 2
    assert not len(surprise(objectives, 0.0)[2]), "what is as predicted is no surprise"


def searched(problem: Problem, loss: Floats, budget: int, seed: int) -> Floats:
    """Losses of what bo proposes."""
    strategy, found = BO(problem), np.empty(0)
    for step in range(budget):
        codes = strategy.ask(1, np.random.default_rng([seed, step]), NONE)
        now = loss[np.ravel_multi_index(tuple(codes.T), (5,) * 6)]
        strategy.tell(told(codes, now))
        found = np.concatenate([found, now])
    return found


def pair(seed: int) -> Floats:
    """``(15625,)`` a sum, with option 4 of the first two choices bad alone and very good together."""
    codes, value = SPACE.enumerate(), np.random.default_rng([seed, 9]).normal(size=(6, 5))
    both = (codes[:, :2] == 4).sum(axis=1)
    gain: Floats = value[np.arange(6), codes].sum(axis=1) + np.array([0.0, -1.5, 4.0])[both]
    return -gain


@pytest.mark.thorough
def test_bo_leaves_a_mode_that_two_changes_at_once_lead_out_of() -> None:
    """Where it looked one change around its best only, it ended in the mode in three of these six instances."""
    out = 0
    for seed in range(6):
        loss = pair(seed)
        together = (SPACE.enumerate()[:, :2] == 4).all(axis=1)
        mode = loss[~together].min()
        best = searched(Problem(SPACE, 1, budget=90), loss, 90, seed).min()
        out += best < mode or mode == loss.min()
    assert out >= 5
