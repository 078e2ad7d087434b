"""Bayesian optimisation of numbers, categories and conditional parameters: a Gaussian process on positions.

A first design that fills all projections, then candidates of the highest acquisition
(:mod:`searchkit.strategies.mixed_acquisition`), found by gradients and single changes
(:mod:`searchkit.strategies.mixed_search`).

A search whose best has not improved for some evaluations looks elsewhere with every second one, for a model that is
wrong about the rest of the space has no reason to leave a minimum that it knows: either an improvement is to be a large
one, so that what is uncertain counts more, or one category of the best takes another option, beside whatever suits it.
"""

from __future__ import annotations

import numpy as np

from searchkit.problem.observations import Observations
from searchkit.problem.problem import Problem
from searchkit.problem.proposals import distinct, first_allowed
from searchkit.runtime.threads import one_blas_thread
from searchkit.space import keys
from searchkit.strategies.mixed_acquisition import MixedAcquisition, best_rows
from searchkit.strategies.mixed_design import spread
from searchkit.strategies.mixed_model import MixedModel
from searchkit.strategies.mixed_search import MixedSearch
from searchkit.surrogates.feasibility import Failures, fill
from searchkit.surrogates.mixed_kernel import Columns
from searchkit.surrogates.output_scales import Excess
from searchkit.types import Codes

WORK = 150_000  # covariances that a pool may take; it is as large as that allows
FEWEST = 300  # candidates of a pool even so
STALLED = 4  # evaluations without an improvement, from which every second looks elsewhere
AMBITIONS = (0.03, 0.1)  # by how much these are to improve on the best, in deviations of all losses
LOOKED_AT = 24  # candidates of a pool of which is asked at once whether they keep known bounds
STARTS = 6  # of the local search


class MixedBO:
    """Gaussian-process Bayesian optimisation over positions.

    Args:
        problem: what is searched.
        n_initial: candidates of the first design; by default two for each column and two more, at least 6 and at most
            10, and no more than a third of the budget. With half as many, four of ten searches of a boosting model's
            four parameters ended in a place that is not the best.
        pool: most candidates for which the acquisition is computed before local search from some of them; fewer where
            many were told. A space of up to twice as many is evaluated completely.
        n_iterations: at most so many steps of the hyperparameter fit.
    """

    batch = 1
    models = True  # it has a model of its own, so it takes turns with the proxy layer

    def __init__(
        self, problem: Problem, *, n_initial: int | None = None, pool: int = 2000, n_iterations: int = 50
    ) -> None:
        if n_initial is None:
            n_initial = int(np.clip(2 * problem.space.n_choices + 2, 6, 10))
            n_initial = n_initial if problem.budget is None else max(3, min(n_initial, problem.budget // 3))
        if n_initial < 2 or pool < 1 or n_iterations < 1:
            raise ValueError(f"n_initial {n_initial}, pool {pool}, n_iterations {n_iterations}: at least 2, 1 and 1")
        self.problem, self.n_initial, self.pool = problem, n_initial, pool
        self._columns = Columns.of(problem.space)
        self._model = MixedModel(self._columns, n_iterations=n_iterations)
        self._bounds = MixedModel(self._columns, (Excess(),), n_iterations)
        self._search = MixedSearch(problem.space)
        self._failures = Failures(problem)
        self._seen: set[bytes] = set()
        self._told = Observations.empty(problem.space.n_choices, problem.n_objectives, problem.n_constraints)

    def ask(self, n: int, rng: np.random.Generator, pending: Codes) -> Codes:
        """Up to n new candidates; see :class:`searchkit.problem.problem.Strategy`.

        A batch is chosen one by one; each chosen or pending candidate is assumed to turn out as predicted (Kriging
        believer).
        """
        seen = self._seen.union(keys(pending))
        n_known = int((self._told.scored | self._told.hinted).sum())
        if len(self._told) + len(pending) < self.n_initial or n_known < 2:
            return self._designed(n, rng, pending, seen)
        with one_blas_thread():
            chosen = self._modelled(n, rng, pending, seen)
        return fill(self._failures.model, chosen, n, seen, rng)

    def tell(self, told: Observations) -> None:
        """Keep a batch; models are fitted when they are needed."""
        self._seen.update(keys(told.codes))
        self._failures.tell(told)
        self._told = self._told + told

    def _designed(self, n: int, rng: np.random.Generator, pending: Codes, seen: set[bytes]) -> Codes:
        model = self._failures.model
        if model.informed:
            return fill(model, pending[:0], n, seen, rng)
        known = np.concatenate([self._told.codes, pending])
        return fill(model, spread(self.problem, self._columns, known, n, rng), n, seen, rng)

    def _modelled(self, n: int, rng: np.random.Generator, pending: Codes, seen: set[bytes]) -> Codes:
        told = self._told.believed()
        positions = self.problem.space.positions(told.codes)
        acquisition = MixedAcquisition(self._model, self._bounds, positions, told, self._told.feasible, rng)
        for one in self.problem.space.positions(pending):
            acquisition.believe(one)
        chosen = pending[:0]
        idle = acquisition.idle() + len(pending)
        for i in range(n):
            turn, usual = divmod(idle + i - STALLED, 2)
            acquisition.ambition, other = 0.0, None
            if turn >= 0 and not usual:
                other = self._other_option(acquisition, told.codes, rng) if turn % 3 else None
                acquisition.ambition = AMBITIONS[turn % len(AMBITIONS)] if other is None else 0.0
            best = self._next(acquisition, told.codes, seen.union(keys(chosen)), rng, other)
            if not len(best):
                break
            chosen = np.concatenate([chosen, best])
            if len(chosen) < n:
                acquisition.believe(self.problem.space.positions(best)[0])
        return chosen

    def _other_option(
        self, acquisition: MixedAcquisition, known: Codes, rng: np.random.Generator
    ) -> tuple[int, int] | None:
        """A category that the best candidate has, and another of its options; None without any."""
        best = known[best_rows(acquisition, 1)]
        if not len(best):
            return None
        there = self._columns.category & ~np.isnan(self.problem.space.positions(best)[0])
        others = self.problem.space.n_options - 1
        columns = np.repeat(np.flatnonzero(there), others[there])
        if not len(columns):
            return None
        column = int(rng.choice(columns))
        return column, (int(best[0, column]) + int(rng.integers(1, others[column] + 1))) % int(others[column] + 1)

    def _next(
        self,
        acquisition: MixedAcquisition,
        known: Codes,
        seen: set[bytes],
        rng: np.random.Generator,
        other: tuple[int, int] | None,
    ) -> Codes:
        """``(1, d)`` the best candidate that is new and allowed, or none.

        Args:
            other: a column and the option that it is to have.
        """
        everything = self.problem.everything() if self.problem.space.size <= 2 * self.pool else None
        if everything is not None:
            new = distinct(self.problem, everything, seen)
            if not len(new):
                return new
            values = acquisition(self.problem.space.positions(new))
            return first_allowed(self.problem, new[np.argsort(-values, kind="stable")], 1)
        size = min(self.pool, max(FEWEST, WORK // max(1, len(acquisition.rows))))
        pool = self._search.pool(size, known[best_rows(acquisition, 5)], rng)
        if other is not None:
            pool = self._search.with_option(pool, *other)
        values = acquisition(pool.positions)
        good = self._allowed(pool.codes, np.argsort(-values, kind="stable"))
        if not len(good):
            return pool.codes[good]
        lots = values[good[2:]] + rng.gumbel(size=len(good[2:]))  # draws in proportion, without replacement
        starts = np.concatenate([good[:2], good[2:][np.argsort(-lots, kind="stable")[: STARTS - 2]]])
        found = self._search.climbed(pool[np.sort(starts)], acquisition, rng, other) + pool[good[:20]]
        order = np.argsort(-acquisition(found.positions), kind="stable")
        return first_allowed(self.problem, distinct(self.problem, found.codes[order], seen), 1)

    def _allowed(self, codes: Codes, order: Codes) -> Codes:
        """The rows in an order of which no known bound is broken: all, or, where a bound has to be asked, the first."""
        if self.problem.known is None:
            return order
        found = order[:0]
        for start in range(0, len(order), LOOKED_AT):
            rows = order[start : start + LOOKED_AT]
            found = np.concatenate([found, rows[self.problem.allowed(codes[rows])]])
            if len(found) >= LOOKED_AT:
                break
        return found
