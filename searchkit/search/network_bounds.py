"""Bounds on what networks cost, asked before they are evaluated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from searchkit.costs.metrics import elsewhere
from searchkit.errors import PASSED_ON
from searchkit.problem.objectives import Bound
from searchkit.problem.problem import Problem
from searchkit.search.cost_meter import CostMeter
from searchkit.training.speed import Within
from searchkit.types import Codes, Floats


@dataclass(frozen=True)
class Known:
    """Violations of the bounds on counted costs, ``(n, d) -> (n, c)``; the columns of other bounds are 0."""

    meter: CostMeter
    bounds: tuple[tuple[int, Bound], ...]
    n_bounds: int

    def __call__(self, codes: Codes) -> Floats:
        columns = self.meter.counted(codes)
        violations = np.zeros((len(codes), self.n_bounds))
        for i, bound in self.bounds:
            violations[:, i] = bound.violation(columns[bound.name])
        return violations


def within(problem: Problem, meter: CostMeter, bounds: Sequence[Bound]) -> Within:
    """The bounds of a search on what is known without training, for networks that are looked at before it.

    No target is asked, and nothing is measured but what is bounded.

    Args:
        problem: has the bounds on what is counted.
        meter: of the search.
        bounds: of the search.
    """
    measured = {name for name, metric in meter.metrics.items() if metric.stage == "measured" and not elsewhere(metric)}
    asked = [bound for bound in bounds if bound.name in measured]
    own = replace(meter, metrics={bound.name: meter.metrics[bound.name] for bound in asked}, targets={})

    def meets(code: Codes) -> bool:
        try:
            values = own(code)[0]
        except PASSED_ON:
            raise
        except Exception:  # in the search it will have failed, with the reason
            return False
        return all(not bound.violation(np.array([values[bound.name]]))[0] > 0 for bound in asked)

    return Within(problem, meets if asked else None, tuple(bound.name for bound in asked))
