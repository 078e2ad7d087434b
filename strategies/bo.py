"""Bayesian optimisation on BoTorch: a Gaussian process over the choices, and an expected improvement over a pool.

One objective: log expected improvement (Ament et al., NeurIPS 2023). Two or three: analytic expected hypervolume
improvement (Yang et al., 2019). More: the same improvement of a random Chebyshev scalarisation (ParEGO, Knowles 2006).
Infeasible and failed candidates teach a second process where candidates are feasible. BoTorch's qLogEHVI is avoided on
purpose: it compiles C++ at its first use, and a process killed meanwhile blocks every later one.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import torch
from botorch.acquisition.analytic import LogExpectedImprovement
from botorch.acquisition.multi_objective.analytic import ExpectedHypervolumeImprovement
from botorch.utils.multi_objective.box_decompositions.non_dominated import FastNondominatedPartitioning

from searchkit.devices import one_thread
from searchkit.observations import Observations
from searchkit.operators import mutate
from searchkit.pareto import non_dominated
from searchkit.problem import Problem, complete, distinct, first_allowed
from searchkit.space import Codes, Floats, keys
from searchkit.strategies.gaussian_process import Process

Score = Callable[[Codes], Floats]


class BO:
    """Gaussian-process Bayesian optimisation over codes.

    Args:
        problem: what is searched.
        n_initial: random candidates before the first model; where not given, a fifth of the budget between 5 and 20,
            or 10.
        pool: candidates that the acquisition is computed for, before it climbs from the best of them.
        n_iterations: at most so many steps of the hyperparameter fit.
    """

    batch = 1

    def __init__(
        self, problem: Problem, *, n_initial: int | None = None, pool: int = 1000, n_iterations: int = 30
    ) -> None:
        if n_initial is None:
            n_initial = 10 if problem.budget is None else int(np.clip(problem.budget // 5, 5, 20))
        if n_initial < 2 or pool < 1 or n_iterations < 1:
            raise ValueError(f"n_initial {n_initial}, pool {pool}, n_iterations {n_iterations}: at least 2, 1 and 1")
        self.problem = problem
        self.n_initial, self.pool, self.n_iterations = n_initial, pool, n_iterations
        self._seen: set[bytes] = set()
        self._told = Observations.empty(problem.space.n_choices, problem.n_objectives, problem.n_constraints)

    def ask(self, n: int, rng: np.random.Generator, pending: Codes) -> Codes:
        """Up to n new candidates; see :class:`searchkit.problem.Strategy`.

        A batch is chosen one by one, each taken to have turned out as predicted before the next is chosen
        (Kriging believer); so are pending candidates.
        """
        seen = self._seen.union(keys(pending))
        n_scored = int(self._told.scored.sum())
        if len(self._told) + len(pending) < self.n_initial or n_scored < 2:
            return complete(self.problem, self.problem.sample(n, rng), n, seen, rng)
        with one_thread(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of numerics, which a failed fit answers with the prior's means
            acquisition = _Acquisition(self.problem, self._told, self.n_iterations, rng)
            for code in pending:
                acquisition.believe(code)
            chosen = np.empty((0, self.problem.space.n_choices), dtype=np.int64)
            for _ in range(n):
                best = self._climb(self._pool(seen, rng), acquisition, seen)
                if not len(best):
                    break
                chosen = np.concatenate([chosen, best])
                seen.update(keys(best))
                if len(chosen) < n:
                    acquisition.believe(best[0])
        seen.difference_update(keys(chosen))
        return complete(self.problem, chosen, n, seen, rng)

    def tell(self, told: Observations) -> None:
        """Keep a batch; the model is fitted when it is needed."""
        self._seen.update(keys(told.codes))
        self._told = self._told + told

    def _pool(self, seen: set[bytes], rng: np.random.Generator) -> Codes:
        """New candidates: mutations of the front (one to three changes are expected) and random ones.

        Known bounds are looked at later, from the best candidate down: they may cost more than the acquisition.
        """
        good = self._told.codes[non_dominated(np.where(self._told.feasible[:, None], self._told.losses, np.nan))]
        parts = [self.problem.space.sample(self.pool // 2, rng)]
        if len(good):
            parents = good[rng.integers(0, len(good), self.pool)]
            rates = rng.integers(1, 4, (len(parents), 1)) / self.problem.space.n_choices
            parts.append(mutate(parents, self.problem.space, rng, rates))
        found = distinct(self.problem, np.concatenate(parts), seen)
        everything = self.problem.everything() if len(found) < self.pool // 4 else None
        return found if everything is None else distinct(self.problem, everything, seen)

    def _climb(self, pool: Codes, score: Score, seen: set[bytes]) -> Codes:
        """The best ``(1, d)`` that single changes reach from the five best of the pool; empty if none is allowed."""
        if not len(pool):
            return pool
        top = first_allowed(self.problem, pool[np.argsort(-score(pool))], 5)
        if not len(top):
            return top
        best, value = top[:1], float(score(top[:1])[0])
        for _ in range(4):
            near = distinct(self.problem, np.concatenate([self.problem.space.neighbours(code) for code in top]), seen)
            if not len(near):
                break
            values = score(near)
            order = np.argsort(-values)
            top = first_allowed(self.problem, near[order[values[order] > value]], 2)
            if not len(top):
                break
            best, value = top[:1], float(score(top[:1])[0])
        return best


class _Acquisition:
    """How much a candidate is expected to improve on what was told, times its chance to be feasible (in logs)."""

    def __init__(self, problem: Problem, told: Observations, n_iterations: int, rng: np.random.Generator) -> None:
        scored = told[told.scored]
        gains = -_tamed(scored.losses)
        if gains.shape[1] > 3:
            weighted = rng.dirichlet(np.ones(gains.shape[1])) * (gains - gains.max(axis=0))
            gains = (weighted.min(axis=1) + 0.05 * weighted.sum(axis=1))[:, None]
            gains = (gains - gains.mean()) / (gains.std() or 1.0)
        self._model = Process(problem.space, scored.codes, gains, n_iterations)
        self._feasible = gains[scored.feasible]
        self._chance: Process | None = None
        if not told.feasible.all():
            labels = np.where(told.feasible, 1.0, -1.0)[:, None]
            self._chance = Process(problem.space, told.codes, labels, n_iterations)
        self._improvement = self._prepare()

    def __call__(self, codes: Codes) -> Floats:
        """``(n,)`` log acquisition, higher is better."""
        x = self._model.features(codes)[:, None, :]
        value = torch.zeros(len(codes), dtype=torch.float64)
        with torch.no_grad():
            if self._improvement is not None:
                value = self._improvement(x)
            if self._chance is not None:
                posterior = self._chance.posterior(x)
                value = value + torch.special.log_ndtr((posterior.mean / posterior.variance.sqrt()).flatten())
        scores: Floats = value.numpy()
        return scores

    def believe(self, code: Codes) -> None:
        """Take a candidate to have the losses that the model predicts."""
        self._model.believe(code)
        posterior = self._model.posterior(self._model.features(code[None])[:, None, :])
        self._feasible = np.concatenate([self._feasible, posterior.mean[:, 0].numpy()])
        self._improvement = self._prepare()

    def _prepare(self) -> Callable[[torch.Tensor], torch.Tensor] | None:
        """The improvement over what is feasible; None where nothing feasible is known yet."""
        gains = torch.from_numpy(self._feasible)
        if not len(gains):
            return None
        if gains.shape[1] == 1:
            improvement: Callable[[torch.Tensor], torch.Tensor] = LogExpectedImprovement(
                self._model, best_f=gains.max()
            )
            return improvement
        low, high = gains.min(dim=0).values, gains.max(dim=0).values
        reference = low - 0.1 * (high - low) - 1e-6
        partitioning = FastNondominatedPartitioning(ref_point=reference, Y=gains)
        volume = ExpectedHypervolumeImprovement(self._model, ref_point=reference, partitioning=partitioning)
        return lambda x: volume(x).clamp_min(1e-30).log()


def _tamed(losses: Floats) -> Floats:
    """Standardised losses, with the worst tail drawn in, so that a few bad candidates do not set the scale.

    Scaled to [-1, 1] before each step, by powers of two and so without rounding: sums, differences and squares of
    losses around 1e306 would overflow, and those of losses beside one such outlier would vanish.
    """
    losses = _scaled(losses)
    low, high = np.quantile(losses, [0.25, 0.75], axis=0)
    reach = np.where(high > low, high - low, high - losses.min(axis=0))
    drawn = np.where(reach > 0, np.minimum(losses, high + 3 * reach), losses)
    drawn = _scaled(drawn)
    spread = drawn.std(axis=0)
    standard: Floats = (drawn - drawn.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    return standard


def _scaled(columns: Floats) -> Floats:
    scaled: Floats = np.ldexp(columns, -np.frexp(np.abs(columns).max(axis=0))[1])
    return scaled
