"""Which candidates fail: a regularised logistic regression that strategies consult before they propose.

Maximum a posteriori under a normal prior, by Newton's method. Features are the choices and how often each option is
taken (:mod:`searchkit.surrogates.features`), so that an operation that fails on one edge is suspected on the others.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from searchkit.problem.observations import Observations
from searchkit.problem.problem import Problem
from searchkit.problem.proposals import complete, distinct, novel
from searchkit.space import keys
from searchkit.surrogates.features import structure
from searchkit.types import Bools, Codes, Floats

PRIOR = 0.1  # precision of a weight: one option may well change the odds by a factor of twenty
LARGEST = 400  # observations of either kind that are fitted; more cost time and change little
WIDE = 1000  # features up to which a system over them is solved
STEPS = 12  # of Newton's method; three to eight are needed
LISTED = 3000  # a space of at most so many combinations is searched completely for likely candidates
POOL = 16  # in a larger space, random candidates drawn for each one that is needed
POWER = 3.0  # exponent by which a lower chance of success makes a candidate rarer
LIKELY = 0.5  # share of the usual chance of good candidates from which one is never refused


class Feasibility:
    """The chance that a candidate is scored and keeps its constraints.

    Failures and broken constraints count alike once a candidate has kept all constraints: neither can be on the front.
    Before the first bad outcome all candidates have the same chance; where all failed, those that differ most from them
    have the highest.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self._weights: Floats | None = None
        self._usual = 0.0
        self.hopeless = False  # all failed: only the difference from those tells candidates apart

    @property
    def informed(self) -> bool:
        """Whether something was bad, so that chances differ."""
        return self._weights is not None

    def fit(self, told: Observations) -> Feasibility:
        """Fit in place to all that was told, and to nothing else. Milliseconds at 1,000 observations."""
        good = told.feasible
        self._weights = None
        if not good.any():  # none keeps the bounds yet, and their excess is the better guide: avoid failures only
            good = ~told.failed
        self.hopeless = bool(len(good)) and not good.any()
        if not good.all():
            rows, counts = _spread(good)
            features = structure(self.problem.space, told.codes[rows])
            self._weights = _regression(features, good[rows], counts)
            chances = self.log_chance(told.codes[rows])
            self._usual = float(np.median(chances[good[rows]])) if good.any() else float(chances.max() - np.log(LIKELY))
        return self

    def log_chance(self, codes: Codes) -> Floats:
        """``(n,)`` log of the chance to be scored and feasible; zeros while nothing is known."""
        if self._weights is None:
            return np.zeros(len(codes))
        odds = structure(self.problem.space, codes) @ self._weights[1:] + self._weights[0]
        chance: Floats = -np.logaddexp(0.0, -odds)
        return chance

    def keep(self, codes: Codes) -> Floats:
        """``(n,)`` probability with which a candidate is considered: low, but never 0, for those likely to fail.

        It is 1 for a candidate with at least half the usual chance of the good ones, and below that falls with a power
        of the chance.
        """
        if self._weights is None:
            return np.ones(len(codes))
        kept: Floats = np.exp(np.minimum(POWER * (self.log_chance(codes) - self._usual - np.log(LIKELY)), 0.0))
        return kept

    def likely(self, codes: Codes, rng: np.random.Generator) -> Bools:
        """``(n,)`` bool, drawn by :meth:`keep`, each candidate by itself."""
        if self._weights is None or not len(codes):
            return np.ones(len(codes), dtype=bool)
        drawn: Bools = rng.random(len(codes)) < self.keep(codes)
        return drawn


class Failures:
    """Keeps what was told and a :class:`Feasibility` of it, fitted anew whenever that has grown by some 5 %.

    So a search of many steps does not spend its time on fits. A function of what was told, in whatever batches.
    """

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._parts: list[Observations] = []
        self._n, self._n_fitted, self._n_bad = 0, 0, 0
        self._model = Feasibility(problem)

    def tell(self, told: Observations) -> None:
        """Keep a batch; the model is fitted when it is needed."""
        told = told.believed()  # a candidate dropped from a ladder has not failed
        self._parts.append(told)
        self._n += len(told)
        self._n_bad += len(told) - int(told.feasible.sum())

    @property
    def told(self) -> Observations:
        """All that was told, in order; only after the first batch."""
        if len(self._parts) > 1:
            self._parts = [Observations.join(self._parts)]
        return self._parts[0]

    @property
    def model(self) -> Feasibility:
        """The model of all that was told, or of nearly all."""
        if self._n_bad:
            due = self._n - self._n % 2 ** max(0, (self._n // 20).bit_length() - 1)
            if due != self._n_fitted:
                self._model, self._n_fitted = Feasibility(self._problem).fit(self.told[:due]), due
        return self._model


def fill(model: Feasibility, codes: Codes, n: int, seen: set[bytes], rng: np.random.Generator) -> Codes:
    """:func:`searchkit.problem.proposals.complete`, with random candidates that are likely to succeed by the model.

    A small space is searched completely, so that the last candidates that work come before those that do not.
    """
    problem = model.problem
    codes = novel(problem, codes, n, seen)
    missing = n - len(codes)
    if missing > 0 and model.informed:
        everything = problem.everything() if problem.space.size <= LISTED else None
        pool = (
            problem.space.sample(POOL * missing, rng)
            if everything is None
            else everything[rng.permutation(len(everything))]
        )
        pool = distinct(problem, pool, seen.union(keys(codes)))
        lots = POWER * model.log_chance(pool) + rng.gumbel(size=len(pool))  # draws in proportion, without replacement
        codes = np.concatenate([codes, pool[np.argsort(-lots)]])
    return complete(problem, codes, n, seen, rng)


def _spread(good: Bools) -> tuple[npt.NDArray[np.int64], Floats]:
    """Rows to fit, at most ``LARGEST`` of either kind, the newest always among them; and how many each stands for."""
    parts, counts = [], []
    for rows in (np.flatnonzero(good), np.flatnonzero(~good)):
        n = min(len(rows), LARGEST)
        parts.append(rows[np.linspace(len(rows) - 1, 0, n).round().astype(np.int64)])
        counts.append(np.full(n, len(rows) / max(n, 1)))
    return np.concatenate(parts), np.concatenate(counts)


def _regression(features: Floats, good: Bools, counts: Floats) -> Floats:
    """``(1 + p,)`` intercept and weights of the most probable logistic regression."""
    x = np.concatenate([np.ones((len(features), 1)), features], axis=1)
    precision = np.full(x.shape[1], PRIOR)
    precision[0] = 1e-3  # how many fail in all is taken as it comes
    weights: Floats = np.zeros(x.shape[1])
    for _ in range(STEPS):
        chance = 1 / (1 + np.exp(-np.clip(x @ weights, -30, 30)))
        # gradient and (in _solved) Hessian of the log posterior: Newton's method, see the module
        slope = x.T @ (counts * (good - chance)) - precision * weights
        step = _solved(x, counts * np.maximum(chance * (1 - chance), 1e-9), precision, slope)
        weights = weights + step
        if np.abs(step).max() < 1e-4:
            break
    return weights


def _solved(x: Floats, curvature: Floats, precision: Floats, slope: Floats) -> Floats:
    """``(p,)`` Newton's step: the inverse of ``x' diag(curvature) x + diag(precision)`` times the slope.

    With many features the system is solved over the rows of x, which are no more than 2 * :data:`LARGEST`: by the
    matrix inversion lemma it comes to the same.
    """
    if x.shape[1] <= WIDE:
        hessian = (x.T * curvature) @ x
        hessian[np.diag_indices(len(hessian))] += precision
        return np.linalg.solve(hessian, slope).astype(np.float64, copy=False)
    scaled = x / precision
    among = scaled @ x.T
    among[np.diag_indices(len(among))] += 1 / curvature
    solved: Floats = slope / precision - scaled.T @ np.linalg.solve(among, scaled @ slope)
    return solved
