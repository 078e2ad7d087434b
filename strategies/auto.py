"""Selects the strategy for a search by fixed rules, and says why.

The rules follow the tables of docs/benchmarks.md, which benchmarks/strategies/compare.py makes: model-based search is
ahead wherever an evaluation costs more than the fraction of a second that a suggestion takes; evolution takes
microseconds a candidate.
"""

from __future__ import annotations

import numpy as np

from searchkit import plugins
from searchkit.blocks.additive import blocks_if_listed
from searchkit.problem.making import suited
from searchkit.problem.observations import Observations
from searchkit.problem.problem import Problem
from searchkit.space import NetworkSpace
from searchkit.types import Codes

MODELLED = 500  # largest budget, in evaluations, for bo: with that many a suggestion takes about a second
FEW = 3  # number of objectives up to which non-domination separates candidates well
BLOCKS = 200  # evaluations from which block values of a large modular space are accurate enough
LARGE = 10**9  # candidates above which a space counts as large


class Auto:
    """The strategy that :func:`choose` selects for the problem.

    Attributes:
        choice: name of the strategy.
        why: one sentence.
        batch, models: those of the selected strategy.
    """

    def __init__(self, problem: Problem) -> None:
        self.choice, self.why = choose(problem)
        self._strategy = suited(plugins.resolve("strategy", self.choice), problem)
        self.batch = int(getattr(self._strategy, "batch", 1))
        self.models = bool(getattr(self._strategy, "models", False))

    def ask(self, n: int, rng: np.random.Generator, pending: Codes) -> Codes:
        """Up to n new candidates; see :class:`searchkit.problem.problem.Strategy`."""
        return self._strategy.ask(n, rng, pending)

    def tell(self, told: Observations) -> None:
        """Learn one batch of outcomes."""
        self._strategy.tell(told)


def choose(problem: Problem) -> tuple[str, str]:
    """The name of a strategy, and why it: by budget, size of the space, objectives and proxies."""
    size, budget, k = problem.space.size, problem.budget, problem.n_objectives
    evaluations = f"{budget} evaluation{'s' * (budget != 1)}"
    if budget is not None and size <= budget:
        if size == 1:
            return "random", "there is one combination"
        return "random", f"{evaluations} are enough for all {size} combinations, in whatever order"
    named = isinstance(problem.space, NetworkSpace) and bool(problem.space.nodes)
    modular = named and size > LARGE and blocks_if_listed(problem.space) is not None
    if modular and (budget or 0) >= BLOCKS:
        reason = f"{budget} evaluations are enough to learn what the blocks of this space are worth"
        return "exact", f"{reason}, and under block values the best of all its networks are found exactly"
    beside = "; the proxies judge what it proposes" if problem.proxies else ""
    count = "a budget in seconds or in further evaluations" if budget is None else evaluations
    if modular and k <= FEW:
        return "portfolio", (
            f"for {count} a model of what was evaluated and block values take turns, as long as these predict as well"
            f"{beside}"
        )
    if budget is None or budget <= MODELLED:
        return "bo", f"for {count} a model of what was evaluated finds better candidates than evolution{beside}"
    reason = f"{budget} evaluations are many, and a model of them all would think longer than evolution needs"
    if k > FEW:
        return "nsga3", f"{reason}; {k} objectives need reference directions, since most candidates are on the front"
    if k > 1:
        return "nsga2", f"{reason}{beside}"
    return "evolution", f"{reason}; with one objective, ageing keeps it from settling too early{beside}"
