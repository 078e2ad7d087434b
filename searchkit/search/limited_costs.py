"""A user's own cost metrics under a time limit, where worker processes can be ended."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from searchkit.errors import CandidateError, SearchkitError
from searchkit.execution.executors import Pool
from searchkit.execution.external import ExternalPool
from searchkit.execution.outcome import Job
from searchkit.execution.processes import Workers
from searchkit.problem.objectives import Goals
from searchkit.problem.trial import Trial
from searchkit.runtime.processor import Clocks
from searchkit.search.accounting import Costs
from searchkit.training.evaluation import Evaluation
from searchkit.types import Codes

if TYPE_CHECKING:
    from searchkit.search.cost_meter import CostMeter


def limited(costs: Costs | None, pool: Pool) -> Costs | None:
    """The costs of a search, a user's own metrics measured in a process that can be ended, where that is needed.

    That is with a time limit, and where evaluations run in processes too, so that a search that hangs in none of them
    hangs in no metric either. Metrics that cannot be sent to a process are measured in this one.
    """
    if costs is None or not isinstance(pool, Workers | ExternalPool):
        return costs
    from searchkit.search.cost_meter import CostMeter  # which loads torch

    if not isinstance(costs, CostMeter) or costs.limit is None or not costs.own:
        return costs
    try:
        return LimitedCosts(costs, Workers(1, _Own(costs), (), costs.limit))
    except SearchkitError:
        return costs


@dataclass(frozen=True)
class _Own(Evaluation):
    """What a user's code says of a candidate's costs, as an evaluation; the process has the time limit."""

    meter: CostMeter

    def __call__(self, code: Codes, seed: int, rung: int | None = None) -> dict[str, float]:
        return self.meter.own_values(code)

    def __reduce__(self) -> tuple[object, ...]:
        return _own_when_ready, (self.meter,)


def _own_when_ready(meter: CostMeter) -> _Own:
    """In a process that begins: the time limit of the first candidate does not hold for what is loaded."""
    meter.get_ready()
    return _Own(meter)


class LimitedCosts:
    """Costs of which the user's own are measured in a process beside this one.

    Args:
        meter: measures the others, in this process.
        workers: one process, which evaluates the user's own.
    """

    def __init__(self, meter: CostMeter, workers: Workers) -> None:
        self._meter, self._workers = meter, workers

    def __call__(self, code: Codes) -> tuple[dict[str, float], dict[str, str]]:
        """See :class:`~searchkit.search.accounting.Costs`."""
        outcome = self._workers.alone(0, Job(code, 0))
        if outcome.reason is not None:
            from searchkit.search.cost_meter import LATE

            late = outcome.reason.startswith("over its time limit")
            raise CandidateError(LATE.format(outcome.reason) if late else outcome.reason)
        return self._meter.measured_beside(code, outcome.values)

    @property
    def clock(self) -> Clocks:
        """See :class:`~searchkit.search.accounting.Costs`."""
        return self._meter.clock

    def go_on(self, trials: Sequence[Trial]) -> None:
        """See :class:`~searchkit.search.accounting.Costs`."""
        self._meter.go_on(trials)

    def late(
        self, trials: Sequence[Trial], goals: Goals, ending: bool
    ) -> Iterator[tuple[Trial, dict[str, float], dict[str, str]]]:
        """See :class:`~searchkit.search.accounting.Costs`."""
        return self._meter.late(trials, goals, ending)

    def close(self) -> None:
        """End the process."""
        self._workers.close()

    def __reduce__(self) -> tuple[object, ...]:  # another process measures by itself
        return _as_it_is, (self._meter,)


def _as_it_is(meter: CostMeter) -> CostMeter:
    return meter
