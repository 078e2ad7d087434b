"""Two strategies in turns: Bayesian optimisation, and the exact front of block values while these predict as well.

A Gaussian process knows more of a space than sums over its blocks do, and its acquisition is climbed from a few
thousand candidates. Under block values the best of all networks are found, however many there are. In spaces of 1e9
candidates and more the second is worth half of the evaluations, as long as leaving each observation out says that sums
rank candidates about as well as the process does.
"""

from __future__ import annotations

import numpy as np

from searchkit.blocks.additive import blocks_of
from searchkit.blocks.fit import fit_blocks
from searchkit.problem.cells import check_finite
from searchkit.problem.numbers import of_usual_size
from searchkit.problem.observations import Observations
from searchkit.problem.problem import Problem
from searchkit.problem.ranks import rank_correlation
from searchkit.strategies.bo import BO
from searchkit.strategies.exact import Exact
from searchkit.strategies.surrogate import FORMS, Surrogate
from searchkit.surrogates.features import Features
from searchkit.surrogates.refitting import fitted_at
from searchkit.types import Codes, Floats

FIRST = 20  # observations from which block values are trusted with evaluations
LOOKED = 1.3  # growth of the observations after which is looked again which model ranks them better
ROUNDS = 40  # at most so many steps of a fit
AS_WELL = 0.02  # of rank correlation that block values may lack


class Portfolio:
    """Every second candidate is from the exact front of block values, while these predict as well as a process does.

    Args:
        problem: what is searched.
    """

    batch = 1
    finite = True  # it counts options: numbers are searched in cells
    models = True  # as bo

    def __init__(self, problem: Problem) -> None:
        check_finite(problem, self)
        self.problem = problem
        self._bo, self._exact = BO(problem), Exact(problem, n_initial=FIRST)
        self._blocks, self._surrogate = blocks_of(problem.space), Surrogate(Features(problem.space), ROUNDS)
        self._told = Observations.empty(problem.space.n_choices, problem.n_objectives, problem.n_constraints)
        self._sums: dict[int, bool] = {}  # by the number of observations: whether block values predict as well

    def ask(self, n: int, rng: np.random.Generator, pending: Codes) -> Codes:
        """Up to n new candidates; see :class:`searchkit.problem.problem.Strategy`."""
        at = len(self._told) + len(pending)
        of_sums = sum((at + i) % 2 for i in range(n)) if self._sums_predict() else 0
        codes = self._bo.ask(n - of_sums, rng, pending) if n > of_sums else pending[:0]
        if of_sums:
            codes = np.concatenate([codes, self._exact.ask(of_sums, rng, np.concatenate([pending, codes]))])
        return codes

    def tell(self, told: Observations) -> None:
        """Learn one batch of outcomes."""
        self._told = self._told + told
        self._bo.tell(told)
        self._exact.tell(told)

    def _sums_predict(self) -> bool:
        """Whether block values rank what was evaluated about as well as a process does, in every objective."""
        scored = self._told[self._told.scored]
        if len(scored) < FIRST:
            return False
        n = fitted_at(len(scored), FIRST, LOOKED)
        if n not in self._sums:
            first = scored[np.arange(n)]
            self._sums[n] = all(self._as_well(j, first.codes, losses) for j, losses in enumerate(first.losses.T))
        return self._sums[n]

    def _as_well(self, objective: int, codes: Codes, losses: Floats) -> bool:
        process = self._surrogate.column(f"objective {objective}", codes, losses, FORMS).gaussian
        sums = fit_blocks(self._blocks, codes, of_usual_size(losses))
        by_process = rank_correlation(-process.left_out()[0], losses)
        return bool(rank_correlation(sums.apart, losses) >= by_process - AS_WELL)
