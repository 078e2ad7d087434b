"""Latencies near a bound, measured once more before a search ends, so that what is delivered keeps it.

Of many candidates that were each measured for a moment, those on the front lie within the bound by chance more often
than the others. So the ones near it are measured again, for longer, one after another, until all that are on the front
have been. A value that turns out to break the bound takes the place of the first one. Where two measurements of a
network are found to differ by more than is left to the bound, one is not enough, and it is measured a few times more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from searchkit.problem.objectives import Bound, Goals
from searchkit.problem.trial import State, Trial, pareto_front
from searchkit.types import Codes

NEAR = 0.15  # of the bound
LONGER = 1.0  # seconds of the second measurement
MOST = 4  # such measurements of one network
FEWEST = 3  # networks measured twice that tell by how much two measurements differ
APART = 0.9  # quantile of these differences
AGAIN = ", measured again near the bound"  # ends how a value was measured

Timed = Callable[[Codes], tuple[dict[str, float], str]]  # a candidate's values, and how they were measured


def to_confirm(trial: Trial, goals: Goals) -> list[Bound]:
    """The bounds with a margin that a candidate is within, near to the end, by one measurement."""
    if trial.state is not State.SCORED:
        return []
    return [
        bound
        for bound in goals.bounds
        if bound.margin
        and bound.name in trial.values
        and not trial.methods.get(bound.name, "").endswith(AGAIN)
        and (1 - NEAR) * bound.high < trial.values[bound.name]
        and not bound.violation(np.array([trial.values[bound.name]]))[0] > 0
    ]


def confirmed(
    trials: Sequence[Trial], goals: Goals, timed: Timed
) -> Iterator[tuple[Trial, dict[str, float], dict[str, str]]]:
    """Measure again what is on the front near a bound, until nothing there is left to measure.

    First once each. Then those again that are closer to the bound than two measurements of one network were apart, as
    the 90th percentile of those that were measured twice says, until they have had :data:`MOST`.

    Yields:
        a candidate with its values, the first ones or those that break the bound, and how they were measured; whoever
        takes them puts them into the candidate, so that the front is the one without those that break it.
    """
    runs: dict[tuple[int, str], list[float]] = {}  # by candidate and bound: its measurements, the first one first
    while True:
        best = pareto_front(trials, goals)
        front = [(trial, bounds) for trial in best if (bounds := to_confirm(trial, goals))]
        front = front or [(trial, bounds) for trial in best if (bounds := _too_close(trial, goals, runs))]
        if not front:
            return
        for trial, bounds in front:
            values, label = timed(trial.code)
            for bound in bounds:
                runs.setdefault((trial.number, bound.name), [trial.values[bound.name]]).append(values[bound.name])
            kept = values
            for bound in bounds:
                if not bound.violation(np.array([values[bound.name]]))[0] > 0:
                    kept = {name: trial.values[name] for name in values if name in trial.values}
            yield trial, kept, {bound.name: label + AGAIN for bound in bounds}


def _too_close(trial: Trial, goals: Goals, runs: dict[tuple[int, str], list[float]]) -> list[Bound]:
    """The bounds that a candidate is nearer to than two measurements of one network are apart."""
    found = []
    for bound in goals.bounds:
        own = runs.get((trial.number, bound.name), [])
        pairs = np.array([each[:2] for (_, name), each in runs.items() if name == bound.name])
        if 1 < len(own) <= MOST and len(pairs) >= FEWEST:
            apart = np.quantile(np.abs(np.log(pairs[:, 1] / pairs[:, 0])), APART)
            within = bound.high * (1 - bound.margin)
            if np.log(within / max(own)) < apart:
                found.append(bound)
    return found
