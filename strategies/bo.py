"""Bayesian optimisation on BoTorch: Gaussian processes over the choices, and an expected improvement over a pool.

One objective: log expected improvement (Ament et al., NeurIPS 2023). Two or three: exact expected hypervolume
improvement (Yang et al., 2019), over fronts drawn from the posterior where evaluations are noisy (the idea of Daulton,
Balandat and Bakshy, NeurIPS 2021). More: the improvement of a random Chebyshev scalarisation (ParEGO, Knowles 2006).
A search that stalls looks around its best besides (:mod:`searchkit.strategies.neighbourhood`), and where its model has
no hope, at what the model was never told about (:mod:`searchkit.strategies.doubt`). Failed and infeasible candidates
train a model of feasibility (:mod:`searchkit.surrogates.feasibility`). BoTorch's qLogEHVI is avoided: it
compiles C++ at its first use, and a process killed meanwhile blocks every later one.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from searchkit.problem.cells import check_finite
from searchkit.problem.observations import Observations
from searchkit.problem.operators import mutate
from searchkit.problem.pareto import non_dominated
from searchkit.problem.problem import Problem
from searchkit.problem.proposals import distinct, first_allowed
from searchkit.space import keys
from searchkit.strategies.acquisition import Acquisition
from searchkit.strategies.doubt import after_a_surprise, rarest_pairs
from searchkit.strategies.mixed_bo import MixedBO
from searchkit.strategies.neighbourhood import NEIGHBOURS, neighbour_of_the_best, since_improvement
from searchkit.strategies.surrogate import Surrogate
from searchkit.surrogates.feasibility import Failures, fill
from searchkit.surrogates.features import Features
from searchkit.types import Codes

STALLED = 6  # evaluations without an improvement, from which some candidates are neighbours of the best
AROUND = 16  # neighbours of a candidate to one evaluation from one of them to the next; of many, few improve
DOUBTED = 10  # the same, from which a model without hope is doubted; a quarter of all evaluations where that is more
HOPE = 2.0  # deviations, noise included, that a proposal's gain may take; hardly one improved that took more
NEAR_HOPE = 3.0  # the same of every second neighbour of the best
STEPS = 8  # of the local search that starts from the best of the pool


class BO:
    """Gaussian-process Bayesian optimisation over codes.

    Args:
        problem: what is searched.
        n_initial: random candidates before the first model; by default a fifth of the budget, at least 5 and at most
            10, and 10 without a budget in evaluations.
        pool: candidates for which the acquisition is computed before local search from the best of them; a space of up
            to three times as many is evaluated completely.
        n_iterations: at most so many steps of the hyperparameter fit.
    """

    batch = 1
    finite = True  # it counts options
    for_numbers = MixedBO  # what searches spaces of numbers and conditions in its place
    models = True  # it has a model of its own, so it takes turns with the proxy layer

    def __init__(
        self, problem: Problem, *, n_initial: int | None = None, pool: int = 2000, n_iterations: int = 40
    ) -> None:
        if n_initial is None:
            n_initial = 10 if problem.budget is None else int(np.clip(problem.budget // 5, 5, 10))
        if n_initial < 2 or pool < 1 or n_iterations < 1:
            raise ValueError(f"n_initial {n_initial}, pool {pool}, n_iterations {n_iterations}: at least 2, 1 and 1")
        check_finite(problem, self)
        self.problem = problem
        self.n_initial, self.pool = n_initial, pool
        self._surrogate = Surrogate(Features(problem.space), n_iterations)
        self._failures = Failures(problem)
        self._period = max(2, int((problem.space.n_options - 1).sum()) // AROUND)
        self._seen: set[bytes] = set()
        self._told = Observations.empty(problem.space.n_choices, problem.n_objectives, problem.n_constraints)

    def ask(self, n: int, rng: np.random.Generator, pending: Codes) -> Codes:
        """Up to n new candidates; see :class:`searchkit.problem.problem.Strategy`.

        A batch is chosen one by one; each chosen or pending candidate is assumed to have its predicted losses (Kriging
        believer).
        """
        seen = self._seen.union(keys(pending))
        n_known = int((self._told.scored | self._told.hinted).sum())
        if len(self._told) + len(pending) < self.n_initial or n_known < 2:
            model = self._failures.model
            drawn = self.problem.sample(n, rng)
            return fill(model, drawn[:0] if model.informed else drawn, n, seen, rng)
        acquisition = Acquisition(self._surrogate, self._told, self._failures.model, rng)
        for code in pending:
            acquisition.believe(code)
        chosen = np.empty((0, self.problem.space.n_choices), dtype=np.int64)
        caution = float(rng.random()) ** 0.25  # a threshold, near 1 more often than not; see _hopeful
        pool = self._hopeful(self._pool(seen, rng), caution)
        for i in range(n):
            best = self._next(pool, acquisition, seen, caution, rng, len(pending) + i)
            if not len(best):
                break
            chosen = np.concatenate([chosen, best])
            seen.update(keys(best))
            if len(chosen) < n:
                acquisition.believe(best[0])
                pool = pool[(pool != best).any(axis=1)]
        seen.difference_update(keys(chosen))
        return fill(self._failures.model, chosen, n, seen, rng)

    def tell(self, told: Observations) -> None:
        """Keep a batch; the model is fitted when it is needed."""
        self._seen.update(keys(told.codes))
        self._failures.tell(told)
        self._told = self._told + told

    def _next(
        self,
        pool: Codes,
        acquisition: Acquisition,
        seen: set[bytes],
        caution: float,
        rng: np.random.Generator,
        begun: int,
    ) -> Codes:
        """``(1, d)`` the best of the acquisition, or, in turns of a search that stalls, another; empty without any.

        Args:
            begun: candidates that were proposed since the last was told.
        """
        idle = since_improvement(self._told) + begun
        turn, rest = divmod(idle - STALLED, self._period)
        doubted = idle >= max(DOUBTED, (len(self._told) + begun) // 4)
        near, hopeful = pool[:0], partial(self._hopeful, caution=caution)
        if idle >= STALLED and not rest:
            may_improve = partial(hopeful, acquisition=acquisition)
            near = neighbour_of_the_best(self.problem, self._told, seen, may_improve, rng)
            if len(near) and (not doubted or turn % 2 == 0 or acquisition.may_improve(near, NEAR_HOPE)[0]):
                return near
        best = self._climb(pool, acquisition, seen, caution, rng)
        if not doubted or (len(best) and acquisition.may_improve(best, HOPE)[0]):
            return best
        told = self._told[self._told.scored | self._told.hinted]
        other = after_a_surprise(self.problem, told, acquisition, seen, hopeful, rng)
        other = other if len(other) else rarest_pairs(self.problem, self._told, seen, hopeful, rng)
        return other if len(other) else best

    def _pool(self, seen: set[bytes], rng: np.random.Generator) -> Codes:
        """New candidates: mutations of the front (one to three changes are expected) and random ones.

        Known bounds are checked later, from the best candidate down, since they may cost more than the acquisition.
        """
        if self.problem.space.size <= 20 * self.pool:
            everything = self.problem.everything()
            if everything is not None and len(everything) <= 3 * self.pool:
                return distinct(self.problem, everything, seen)
        good = self._told.codes[non_dominated(np.where(self._told.feasible[:, None], self._told.losses, np.nan))]
        parts = [self.problem.space.sample(self.pool // 4, rng)]
        if len(good):
            parents = good[rng.integers(0, len(good), self.pool)]
            rates = rng.integers(1, 4, (len(parents), 1)) / self.problem.space.n_choices
            parts.append(mutate(parents, self.problem.space, rng, rates))
        found = distinct(self.problem, np.concatenate(parts), seen)
        everything = self.problem.everything() if len(found) < self.pool // 4 else None
        return found if everything is None else distinct(self.problem, everything, seen)

    def _hopeful(self, codes: Codes, caution: float, acquisition: Acquisition | None = None) -> Codes:
        """The candidates whose probability of being considered reaches the threshold ``caution`` of this batch.

        With an acquisition, those among them that may improve on the best with luck, as the model says.

        That probability (:meth:`~searchkit.surrogates.feasibility.Feasibility.keep`) is low for candidates that are
        likely to fail. In a region where all fail no loss is ever observed, so that its acquisition stays high; with
        a low threshold, some of its thousands of candidates would be proposed in every batch.
        """
        codes = codes[self._failures.model.keep(codes) >= caution]
        return codes if acquisition is None or not len(codes) else codes[acquisition.may_improve(codes)]

    def _climb(
        self, pool: Codes, score: Acquisition, seen: set[bytes], caution: float, rng: np.random.Generator
    ) -> Codes:
        """The best ``(1, d)`` that single changes reach from the five best of the pool; empty if none is allowed."""
        if not len(pool):
            return pool
        top = first_allowed(self.problem, pool[np.argsort(-score(pool))], 5)
        if not len(top):
            return top
        best, value = top[:1], float(score(top[:1])[0])
        for _ in range(STEPS):
            around = [self.problem.space.neighbours(code, NEIGHBOURS, rng) for code in top]
            near = distinct(self.problem, np.concatenate(around), seen)
            near = self._hopeful(near, caution)
            if not len(near):
                break
            values = score(near)
            order = np.argsort(-values)
            top = first_allowed(self.problem, near[order[values[order] > value]], 2)
            if not len(top):
                break
            best, value = top[:1], float(score(top[:1])[0])
        return best
