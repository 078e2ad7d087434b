"""What a benchmark is: a space, the values of its candidates, and what is known of the best ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from searchkit.errors import SearchkitError, UnknownNameError
from searchkit.problem.objectives import Direction, Goals, read_objectives
from searchkit.problem.pareto import hypervolume, non_dominated
from searchkit.space import Space
from searchkit.types import Codes, Floats

# Objectives of a benchmark: one name, several, or a mapping of names to directions; None: the usual ones.
Asked = str | Sequence[str] | Mapping[str, str] | None

WORST = 90  # percentile of each loss that is the reference point
LISTED = 200_000  # up to so many combinations, all candidates are looked at
SAMPLED = 2000  # random candidates that stand for a larger space
TEST = "test_accuracy"

Source = Callable[[Codes, Sequence[str]], Mapping[str, Floats]]
"""``(canonical codes (n, d), names) -> {name: (n,)}``, in raw units; NaN where a candidate fails."""


@dataclass(frozen=True, eq=False)
class Benchmark:
    """A problem whose answers are known; picklable.

    Attributes:
        objectives: name -> "min" or "max", as :func:`searchkit.run` takes them; the order of the loss columns.
        reference: ``(k,)`` losses, the reference point of hypervolumes: each objective's 90th percentile over the
            distinct candidates that do not fail (over 2,000 random ones where there are too many to list). What is
            among the worst tenth in any objective counts for nothing; otherwise one tiny, useless network
            would be most of the volume.
        ideal: ``(k,)`` the lowest loss of each objective over the distinct candidates (lowest known).
        front: ``(f, k)`` losses of the Pareto front, sorted, equal rows once; None where it is not known.
        optimum: the best raw value of the first objective over the distinct candidates; None where it is not known.
        source: where values come from.
        tested: candidates have a test accuracy.
    """

    name: str
    space: Space
    objectives: Mapping[str, Direction]
    source: Source
    reference: Floats
    ideal: Floats
    front: Floats | None = None
    optimum: float | None = None
    tested: bool = False

    def __repr__(self) -> str:
        return f"Benchmark('{self.name}', {self.space!r}, {dict(self.objectives)})"

    def values(self, codes: npt.ArrayLike) -> dict[str, Floats]:
        """``{objective: (n,)}`` in raw units of candidates ``(n, d)``; NaN where evaluation would fail.

        Raises:
            SpaceError: codes that are not in the space.
        """
        found = self.source(self.space.check(codes), list(self.objectives))
        return {name: found[name] for name in self.objectives}

    def evaluate(self, choices: Mapping[str, Any]) -> dict[str, float]:
        """The values of one candidate, given as a dictionary of options; what ``searchkit.run(evaluate=)`` takes.

        Raises:
            ValueError: the candidate fails.
        """
        found = {name: float(value[0]) for name, value in self.values(self.space.encode(choices)).items()}
        for name, value in found.items():
            if not np.isfinite(value):
                raise ValueError(f"benchmark '{self.name}' has no {name} for {dict(choices)}")
        return found

    def losses(self, codes: npt.ArrayLike) -> Floats:
        """``(n, k)`` to be minimised; a candidate that fails is a row of NaN."""
        return Goals(read_objectives(self.objectives)).losses(self.values(codes))

    def test(self, codes: npt.ArrayLike) -> Floats:
        """``(n,)`` test accuracy in percent: what the network that a search chose is judged by, and no search sees.

        Raises:
            SearchkitError: the benchmark has none.
        """
        if not self.tested:
            raise SearchkitError(f"benchmark '{self.name}' has no test accuracies, as it was loaded")
        return self.source(self.space.check(codes), [TEST])[TEST]

    def hypervolume(self, losses: Floats) -> float:
        """What ``(n, k)`` losses dominate below the reference, higher is better: 0 for nothing, 1 for the whole front.

        Losses are scaled to the box between :attr:`ideal` and :attr:`reference` first. Where the front is not known, 1
        is the box itself, which no set of candidates fills.
        """
        return self._volume(losses) / (1.0 if self.front is None else self._volume(self.front))

    def regret(self, losses: Floats) -> float:
        """How far ``(n, k)`` losses are from the best possible, lower is better; 0 for what cannot be improved.

        One objective: the best loss minus the lowest there is, in the objective's unit; infinite where all failed.
        Several: 1 minus the hypervolume. NaN where the best possible is not known.
        """
        if self.front is None:
            return float("nan")
        if len(self.ideal) > 1:
            return 1.0 - self.hypervolume(losses)
        scored = losses[np.isfinite(losses).all(axis=1)]
        return float(scored.min() - self.ideal[0]) if len(scored) else float("inf")

    def _volume(self, losses: Floats) -> float:
        span = self.reference - self.ideal
        scaled = (losses - self.ideal) / np.where(span > 0, span, 1.0)
        if scaled.shape[1] == 1:
            scored = scaled[np.isfinite(scaled)]
            return max(0.0, 1.0 - float(scored.min())) if len(scored) else 0.0
        return hypervolume(scaled, np.ones(scaled.shape[1]))


def made(
    name: str,
    space: Space,
    source: Source,
    known: Mapping[str, Direction],
    given: Asked,
    default: Sequence[str],
    *,
    best: Callable[[str], float | None] = lambda _: None,
    front: Callable[[Sequence[str]], Floats] | None = None,
    tested: bool = False,
) -> Benchmark:
    """The benchmark with its reference point and, where all candidates can be listed, its best values and its front.

    Args:
        known: direction of every objective that ``source`` has.
        given: objectives as a user writes them; ``default`` where None.
        best: objective -> its lowest loss, for a space that cannot be listed; None to take the sample's.
        front: names -> the front's losses ``(f, k)``, for a space that cannot be listed and where it is known.
    """
    if isinstance(given, Mapping):
        for objective in given:
            if objective not in known:
                raise UnknownNameError.of("objective", objective, known)
    objectives = {o.name: o.direction for o in read_objectives(default if given is None else given, known)}
    goals = Goals(read_objectives(objectives))
    listed = space.size <= LISTED
    codes = space.enumerate(LISTED) if listed else space.sample(SAMPLED, np.random.default_rng(0))
    losses = goals.losses(source(codes, list(objectives)))
    losses = losses[np.isfinite(losses).all(axis=1)]
    reference, ideal = np.percentile(losses, WORST, axis=0), losses.min(axis=0)
    rows: Floats | None = None
    if listed:
        rows = np.unique(losses[non_dominated(losses)], axis=0)
    elif front is not None:
        rows = front(list(objectives))
        ideal = rows.min(axis=0)
    else:
        found = [best(objective) for objective in objectives]
        ideal = np.array([lowest if b is None else b for b, lowest in zip(found, ideal, strict=True)])
    first = next(iter(objectives.values()))
    optimum = None if rows is None else float(-ideal[0] if first == "max" else ideal[0])
    return Benchmark(name, space, objectives, source, reference, ideal, rows, optimum, tested)
