"""Any population-based algorithm of pymoo as a strategy: ``searchkit.run(strategy=SMSEMOA(pop_size=20))``.

Blank, Deb: pymoo: Multi-objective optimization in Python. IEEE Access 8, 2020. The algorithm runs through pymoo's own
ask and tell on an integer problem, a generation at a time. Ask works on a copy that draws from ``rng``; tell draws
from a generator seeded by the number of the generation.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from pymoo.core.algorithm import Algorithm, LoopwiseAlgorithm
from pymoo.core.evaluator import Evaluator
from pymoo.core.population import Population
from pymoo.core.problem import Problem as PymooProblem
from pymoo.problems.static import StaticProblem

from searchkit.problem.observations import Observations
from searchkit.problem.problem import Problem, Strategy
from searchkit.strategies.proposals import Proposals, Start
from searchkit.strategies.pymoo_compat import infills_are_places
from searchkit.strategies.pymoo_operators import as_points, from_points, use_integer_operators
from searchkit.types import Codes, Floats

FAILED = 1e3  # violation of a failed candidate: relative violations of bounds are smaller


def adapt(algorithm: object) -> Callable[[Problem], Strategy] | None:
    """A strategy factory for a pymoo algorithm; None for anything else."""
    return partial(PymooAlgorithm, algorithm=algorithm) if isinstance(algorithm, Algorithm) else None


class PymooAlgorithm:
    """A pymoo algorithm over codes.

    Sampling, crossover and mutation that are pymoo's defaults for real numbers (FloatRandomSampling, SBX, PM without a
    repair) are replaced by searchkit's integer operators: a step along an axis means nothing between unordered options.
    All others, and the moves of algorithms without such operators (DE, PSO), are kept and rounded. Failed candidates
    are told as infeasible, with the worst losses seen, which pymoo does not compare with those of feasible ones.

    Args:
        problem: what is searched.
        algorithm: it is copied; its own seed, termination, display and callback are not used.
        start: candidates to be evaluated first, dictionaries of options or rows of codes.

    Raises:
        ValueError: the algorithm is not population-based, has been run already, or cannot search this problem.
    """

    def __init__(self, problem: Problem, *, algorithm: Algorithm, start: Start = None) -> None:
        name = type(algorithm).__name__
        if isinstance(algorithm, LoopwiseAlgorithm):
            raise ValueError(
                f"{name} evaluates one candidate after the other inside its own loop and cannot be asked for several: "
                "take one that makes generations, such as NSGA2, NSGA3, SMSEMOA, SPEA2, GA or DE"
            )
        if algorithm.is_initialized or algorithm.problem is not None:
            raise ValueError(f"{name} has been set up or run already: give a new one")
        self.problem = problem
        self._proposals = Proposals(problem, start)
        self._waiting = Observations.empty(problem.space.n_choices, problem.n_objectives, problem.n_constraints)
        self._worst: Floats = np.full(problem.n_objectives, -np.inf)
        self._generation = 0
        self._integers = PymooProblem(
            n_var=problem.space.n_choices, n_obj=problem.n_objectives, n_ieq_constr=problem.n_constraints + 1,
            xl=np.zeros(problem.space.n_choices), vtype=int if problem.space.is_finite else float,
            xu=np.where(problem.space.numeric, 1.0, problem.space.n_options - 1.0),
        )  # fmt: skip
        try:
            self._algorithm = copy.deepcopy(algorithm)
            use_integer_operators(self._algorithm, problem.space)
            size = int(getattr(algorithm, "pop_size", None) or 100)
            n_generations = max(2, -(-(problem.budget or 10_000) // size))  # RVEA adapts to their number
            self._algorithm.callback, self._algorithm.save_history, self._algorithm.archive = _nothing, False, None
            self._algorithm.termination = ("n_gen", n_generations)
            self._algorithm.setup(self._integers, verbose=False)
            self._sizes = self._rehearse()
        except Exception as error:
            raise ValueError(f"{name} cannot search this: {error}") from error
        self.batch = self._sizes[1]

    def ask(self, n: int, rng: np.random.Generator, pending: Codes) -> Codes:
        """Up to n new candidates; see :class:`searchkit.problem.problem.Strategy`."""
        algorithm = copy.deepcopy(self._algorithm)
        return self._proposals.propose(n, rng, pending, partial(self._infill, algorithm))

    def tell(self, told: Observations) -> None:
        """Advance by a generation whenever the outcomes of a whole one have been told."""
        self._proposals.tell(told)
        self._waiting = self._waiting + told
        while len(self._waiting) >= self._sizes[self._generation > 0]:
            rng = np.random.default_rng(self._generation)
            self._waiting = self._waiting[_advance(self, self._algorithm, self._waiting, rng) :]
            self._generation += 1

    def _infill(self, algorithm: Algorithm, n: int, rng: np.random.Generator) -> Codes:
        """``(m, d)`` the algorithm's new candidates (pymoo: infills), rounded to options; it decides how many."""
        algorithm.random_state = rng
        with np.errstate(all="ignore"):
            infills = algorithm.infill()
        if infills is None or not len(infills):
            return self.problem.space.sample(n, rng)
        return from_points(self.problem.space, infills.get("X"))

    def _rehearse(self) -> tuple[int, int]:
        """Run two generations of a copy with all kinds of outcomes, to report errors early; their sizes."""
        rng = np.random.default_rng(0)
        algorithm = copy.deepcopy(self._algorithm)
        sizes = []
        for n_values in (3, 1):  # ties too: some algorithms cannot take them
            algorithm.random_state = rng
            n = len(copy.deepcopy(algorithm).infill())
            losses = rng.integers(0, n_values, (n, self.problem.n_objectives)).astype(np.float64)
            losses[: n // 4] = np.nan
            codes = self.problem.space.sample(n, rng)
            _advance(self, algorithm, Observations(codes, losses, np.zeros((n, self.problem.n_constraints))), rng)
            sizes.append(n)
        self._worst[:] = -np.inf
        return sizes[0], sizes[1]

    def _evaluated(self, infills: Population, told: Observations) -> Population:
        """The infills with the positions and losses that were told."""
        known = told.losses[told.scored]
        self._worst = np.maximum(self._worst, known.max(axis=0, initial=-np.inf))
        losses = np.where(told.scored[:, None], told.losses, np.where(np.isfinite(self._worst), self._worst, 0.0))
        broken = np.nan_to_num(told.violations, nan=0.0)
        unknown = np.where(told.feasible | (broken > 0).any(axis=1), 0.0, FAILED)[:, None]
        infills.set("X", as_points(self.problem.space, told.codes).astype(np.float64))
        static = StaticProblem(self._integers, F=losses, G=np.concatenate([broken, unknown], axis=1))
        Evaluator().eval(static, infills)
        return infills


def _advance(strategy: PymooAlgorithm, algorithm: Algorithm, told: Observations, rng: np.random.Generator) -> int:
    """Bring an algorithm a generation further; returns how many of the told rows it took.

    Where new candidates hold more than their positions (those of DE: which individual they may replace), the algorithm
    makes a generation anew, and its positions and losses are replaced by those that were told.
    """
    algorithm.random_state = rng
    plain = infills_are_places(algorithm) and algorithm.is_initialized
    infills = None if plain else algorithm.infill()
    if infills is None or not len(infills):
        infills = Population.new("X", as_points(strategy.problem.space, told.codes).astype(np.float64))
    n = min(len(infills), len(told))
    with np.errstate(all="ignore"):  # objectives without variance, which pymoo divides by
        algorithm.advance(infills=strategy._evaluated(infills[:n], told[:n]))
    return n


def _nothing(algorithm: Any) -> None:
    """A callback that does nothing."""
