"""What a search tries when it stalls and its model hopes for nothing: what the model was never told about.

Where leaving a mode takes two changes at once and each alone is bad, a model learns that both options are bad, keeps
away from them, and is never told of the two together. Candidates of option pairs that were never seen together find
that out, many pairs at a time. One of them that is better than its model says is a hint of another mode, though it may
be far below the best for its other options: from there the search goes towards the best, some options at a time.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from searchkit.problem.observations import Observations
from searchkit.problem.problem import Problem
from searchkit.problem.proposals import distinct, first_allowed
from searchkit.space import Space
from searchkit.strategies.acquisition import Acquisition
from searchkit.types import Codes

DRAWN = 200  # random candidates, of which the one with the rarest pairs of options is taken
LEVELS = 4  # parts of an ordered choice's scale; options within one count as the same
CROSSED = 64  # candidates between a surprising one and the best, of which the first new one is taken
SURPRISING = 2.0  # deviations above its prediction, from which a candidate is followed
NEXT = 20  # candidates near a surprising one, told after it, that its prediction leaves out
PATIENCE = 0.5  # deviations by which each candidate tried around a surprising one makes up for the surprise

Hopeful = Callable[[Codes], Codes]


def rarest_pairs(
    problem: Problem, told: Observations, seen: set[bytes], hopeful: Hopeful, rng: np.random.Generator
) -> Codes:
    """``(1, d)`` of random new candidates that whose pairs of options were told least often; no rows without any.

    A pair of options of two choices that was told n times counts 1 / (1 + n)^2.

    Args:
        seen: keys of candidates that are not proposed.
        hopeful: leaves those that are not likely to fail.
    """
    codes = hopeful(distinct(problem, problem.space.sample(DRAWN, rng), seen))
    known, first = _levels(problem.space, told.codes), np.triu_indices(problem.space.n_choices, 1)
    rarity = np.empty(len(codes))
    for i, code in enumerate(_levels(problem.space, codes)):
        same = (known == code).astype(np.float64)
        rarity[i] = ((1 + (same.T @ same)[first]) ** -2.0).sum()
    return first_allowed(problem, codes[np.argsort(-rarity, kind="stable")], 1)


def after_a_surprise(
    problem: Problem,
    told: Observations,
    acquisition: Acquisition,
    seen: set[bytes],
    hopeful: Hopeful,
    rng: np.random.Generator,
) -> Codes:
    """``(1, d)`` a new candidate between the best and one that was surprisingly good; no rows where there is none.

    A candidate surprises by as many deviations as it is above its prediction from all but itself and the next that were
    told after it and are within half of the choices of it. The best of all these takes its place. Up to half of the
    choices in which it differs from the best are set to the best's.

    Args:
        told: with the losses that the acquisition's models were fitted to.
        acquisition: over these, nothing believed or more.
        seen: keys of candidates that are not proposed.
        hopeful: leaves those that are not likely to fail.
    """
    codes, d, value = told.codes, problem.space.n_choices, acquisition.gains.mean(axis=1)
    good = told.feasible & told.scored
    best = acquisition.best(rng)
    if best is None:
        return codes[:0]
    apart = np.zeros((len(codes), len(codes)), dtype=np.int64)
    for column in codes.T:
        apart += column[:, None] != column
    far = (3 * apart[best] > d) & good
    after = np.triu(2 * apart <= d, 1)  # [i, j]: j was told later than i, and is near it
    rows = np.flatnonzero(far)
    urgent = acquisition.surprises([np.concatenate([[row], np.flatnonzero(after[row])[:NEXT]]) for row in rows])
    rows, urgent = rows[urgent >= SURPRISING], urgent[urgent >= SURPRISING]
    families = [np.concatenate([[row], np.flatnonzero(after[row] & far)]) for row in rows]
    parents = np.array([family[np.argmax(value[family])] for family in families], dtype=np.int64)
    urgent = urgent - PATIENCE * (after[parents] & far).sum(axis=1)
    if not len(urgent) or urgent.max() < SURPRISING:
        return codes[:0]
    between = _crossed(codes[parents[np.argmax(urgent)]], codes[best], rng)
    return first_allowed(problem, hopeful(distinct(problem, between, seen)), 1)


def _crossed(code: Codes, best: Codes, rng: np.random.Generator) -> Codes:
    """``(n, d)`` the candidate with one to half of the choices that differ taken from the best; none of less than 2."""
    differ = np.flatnonzero(code != best)
    if len(differ) < 2:
        return code[None][:0]
    many = rng.integers(1, len(differ) // 2 + 1, CROSSED)
    taken = rng.random((CROSSED, len(differ))).argsort(axis=1).argsort(axis=1) < many[:, None]
    between = np.tile(code, (CROSSED, 1))
    between[:, differ] = np.where(taken, best[differ], code[differ])
    return between


def _levels(space: Space, codes: Codes) -> Codes:
    """``(n, d)`` options, those of long ordered choices by the part of the scale that they are in."""
    sizes = np.array([len(choice.options) for choice in space.choices])
    long = np.array([choice.ordered for choice in space.choices]) & (sizes > LEVELS)
    parts: Codes = np.where(long, codes * LEVELS // sizes, codes)
    return parts
