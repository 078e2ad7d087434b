"""Problem: what is asked of a strategy, and what it is told."""

from typing import TYPE_CHECKING

from searchkit.lazy import lazily

if TYPE_CHECKING:
    from searchkit.problem.objectives import Goals, Objective
    from searchkit.problem.observations import Observations
    from searchkit.problem.problem import Problem, Strategy
    from searchkit.problem.proposals import complete, distinct, first_allowed, novel
    from searchkit.problem.trial import State, Trial

__all__ = [
    "Goals",
    "Objective",
    "Observations",
    "Problem",
    "State",
    "Strategy",
    "Trial",
    "complete",
    "distinct",
    "first_allowed",
    "novel",
]

__getattr__, __dir__ = lazily(
    __name__,
    {
        "Goals": "objectives",
        "Objective": "objectives",
        "Observations": "observations",
        "Problem": "problem",
        "Strategy": "problem",
        "complete": "proposals",
        "distinct": "proposals",
        "first_allowed": "proposals",
        "novel": "proposals",
        "State": "trial",
        "Trial": "trial",
    },
)
