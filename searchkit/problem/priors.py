"""Users' guesses for any strategy: some of its candidates take values near the guesses.

The first candidate of a strategy takes the guesses themselves. After it, a candidate has its guessed parameters drawn
around the guesses with a chance that falls with the number of evaluations, and with every candidate near the guesses
that was none of the best: so a right guess leads the search to its place, and a wrong one costs a few evaluations. The
strategy learns from these candidates as from its own. What is mixed in are the user's beliefs as in the sampling of
Mallik et al. (PriorBand: practical hyperparameter optimization in the age of deep learning. NeurIPS 2023).
"""

from __future__ import annotations

import numpy as np

from searchkit.problem.observations import Observations
from searchkit.problem.pareto import non_dominated
from searchkit.problem.problem import Problem, Strategy, attribute_of
from searchkit.problem.proposals import novel
from searchkit.space import keys
from searchkit.types import Bools, Codes, Floats

LASTING = 16.0  # evaluations after which the chance has fallen to a third, at a confidence of 0; more with more
WIDTH = 0.3  # deviation of draws around a guess, on the scale of a number, at a confidence of 0
NEAR = 2.0  # deviations within which a candidate counts as near a guess
FIRST = 10  # candidates up to which the guesses themselves are tried: a search may begin with other designs
BEST = 1 / 3  # share of the candidates that count as the best


class Guesses:
    """The guesses of a space.

    Args:
        problem: what is searched.

    Attributes:
        columns: ``(g,)`` of the parameters with a guess.
        confidence: the mean of theirs.
    """

    def __init__(self, problem: Problem) -> None:
        self._space = space = problem.space
        guessed = [(j, choice.prior) for j, choice in enumerate(space.choices) if choice.prior is not None]
        self.columns = np.array([j for j, _ in guessed], dtype=np.int64)
        self._codes = np.array([prior.code for _, prior in guessed], dtype=np.int64)
        confidences = np.array([prior.confidence for _, prior in guessed])
        self.confidence = float(confidences.mean())
        self._confidences = confidences
        self._widths = WIDTH * (1 - confidences)
        self._ordered = np.array([space.choices[j].ordered for j in self.columns])

    def exact(self, codes: Codes) -> Codes:
        """Candidates ``(n, d)`` with the guesses in the place of their values."""
        taken = codes.copy()
        taken[:, self.columns] = self._codes
        return self._space.canonical(taken)

    def drawn(self, codes: Codes, rng: np.random.Generator) -> Codes:
        """Candidates ``(n, d)`` with draws around the guesses in the place of their values."""
        centre = np.nan_to_num(self._space.positions(self.exact(codes)), nan=0.0)
        points = np.nan_to_num(self._space.positions(codes), nan=0.0)
        shape = (len(codes), len(self.columns))
        around = centre[:, self.columns] + rng.normal(size=shape) * self._widths
        around = np.abs(around)  # reflected at the ends of the scale
        around = np.where(around > 1, 2 - around, around)
        kept = rng.random(shape) < 0.5 + self._confidences / 2
        points[:, self.columns] = np.where(
            self._ordered, np.clip(around, 0, 1), np.where(kept, centre[:, self.columns], points[:, self.columns])
        )
        return self._space.from_positions(points)

    def near(self, codes: Codes) -> Bools:
        """``(n,)`` bool: all guessed parameters that exist have values near the guesses."""
        points, centre = self._space.positions(codes), self._space.positions(self.exact(codes))
        away = np.abs(points - centre)[:, self.columns]
        inside = np.where(self._ordered, away <= NEAR * self._widths, away == 0) | np.isnan(away)
        return np.asarray(inside.all(axis=1))


class WithGuesses:
    """A strategy some of whose candidates follow the guesses; see the module.

    Args:
        problem: what is searched; some of its parameters have a prior.
        strategy: for the same problem.
    """

    def __init__(self, problem: Problem, strategy: Strategy) -> None:
        self.problem = problem
        self._strategy, self._guesses = strategy, Guesses(problem)
        self._told = Observations.empty(problem.space.n_choices, problem.n_objectives, problem.n_constraints)
        self._seen: set[bytes] = set()

    def __getattr__(self, name: str) -> object:
        return attribute_of(self, name)

    def ask(self, n: int, rng: np.random.Generator, pending: Codes) -> Codes:
        """Up to n new candidates; see :class:`searchkit.problem.problem.Strategy`."""
        codes = self._strategy.ask(n, rng, pending)
        if not len(codes):
            return codes
        begun = len(self._told) + len(pending) + np.arange(len(codes))
        followed = rng.random(len(codes)) < self._chance(begun)
        first = (begun == len(self._told) + len(pending)) & self._is_new(pending)
        followed[first] = True
        if not followed.any():
            return codes
        guessed = self._guesses.drawn(codes, rng)
        guessed[first] = self._guesses.exact(codes)[first]
        mixed = np.where(followed[:, None], guessed, codes)
        seen = self._seen.union(keys(pending)) if len(pending) else self._seen
        found = novel(self.problem, np.concatenate([mixed, codes]), len(codes), seen)  # refused guesses are made up for
        return found if len(found) == len(codes) else codes

    def tell(self, told: Observations) -> None:
        """Learn one batch of outcomes."""
        self._seen.update(keys(told.codes))
        self._told = self._told + told
        self._strategy.tell(told)

    def _is_new(self, pending: Codes) -> bool:
        """Whether nothing near the guesses was asked for, and the search has hardly begun."""
        known = np.concatenate([self._told.codes, pending])
        return len(known) <= FIRST and not self._guesses.near(known).any()

    def _chance(self, begun: Codes) -> Floats:
        """``(n,)`` chances that the candidates after so many others follow the guesses."""
        confidence = self._guesses.confidence
        fallen: Floats = confidence * np.exp(-begun * (1 - confidence) / LASTING)
        near = self._guesses.near(self._told.codes)
        good = near & self._best()
        return np.asarray(fallen * (1 + good.sum()) / (1 + near.sum()))

    def _best(self) -> Bools:
        """``(n,)`` bool: the best third of the candidates that were told; of several objectives, the front."""
        losses = np.where(self._told.feasible[:, None], self._told.losses, np.nan)
        if losses.shape[1] > 1:
            return non_dominated(losses)
        first = np.nan_to_num(losses[:, 0], nan=np.inf)
        rank = first.argsort(kind="stable").argsort(kind="stable")
        best: Bools = (rank < np.ceil(BEST * len(first))) & np.isfinite(first)
        return best
