"""The exact front of an additive model of the space, refitted as evaluations arrive.

MathNAS (arXiv 2311.04943) solves an integer program over block values once they are measured. Here both
alternate: block values are fitted to what was told (:mod:`searchkit.blocks.fit`), the whole space's front under them is
found exactly (:mod:`searchkit.blocks.exact`), and of that front the networks are evaluated that may improve most on
what was observed.
"""

from __future__ import annotations

import numpy as np

from searchkit.blocks.additive import Additive, Blocks, blocks_of
from searchkit.blocks.exact import front, k_best
from searchkit.blocks.fit import BlockFit, fit_blocks
from searchkit.problem.cells import check_finite
from searchkit.problem.numbers import of_usual_size
from searchkit.problem.observations import Observations
from searchkit.problem.pareto import hypervolume, non_dominated
from searchkit.problem.problem import Problem
from searchkit.problem.proposals import complete, distinct
from searchkit.space import keys
from searchkit.types import Codes, Floats

SAMPLE = 300  # random networks from which block values of known bounds are fitted
LONGEST = 500  # most networks of a front that are considered
PROJECTIONS = 4  # with three objectives or more: fronts, each of two random weighted sums of the objectives
RISK = 0.35  # predicted chance of failing above which a candidate is proposed only where all are above it
FEW = 20  # candidates that are kept where all are expected to fail or to break a bound
LIKELY = 200  # best networks under a random weighted sum of the objectives, considered besides the front


class Exact:
    """Alternates between fitting block values and solving for the front.

    Args:
        problem: what is searched.
        n_initial: random candidates before the first fit; by default a third of the budget, at least 8 and at most
            the number of block values to be fitted; without a budget in evaluations that number, at most 40.
    """

    batch = 4
    finite = True  # it counts options: numbers are searched in cells

    def __init__(self, problem: Problem, *, n_initial: int | None = None) -> None:
        self._blocks = blocks_of(problem.space)
        if n_initial is None:
            n_free = sum(f.shape[1] for f in self._blocks.features) - sum(map(len, self._blocks.nodes)) + 1
            n_initial = min(40, n_free) if problem.budget is None else max(8, min(n_free, problem.budget // 3))
        if n_initial < 3:
            raise ValueError(f"n_initial must be at least 3, not {n_initial}")
        check_finite(problem, self)
        self.problem, self.n_initial = problem, n_initial
        self._seen: set[bytes] = set()
        self._known: list[Additive] | None = None
        self._told = Observations.empty(problem.space.n_choices, problem.n_objectives, problem.n_constraints)

    def ask(self, n: int, rng: np.random.Generator, pending: Codes) -> Codes:
        """Up to n new candidates; see :class:`searchkit.problem.problem.Strategy`."""
        seen = self._seen.union(keys(pending))
        scored = self._told[self._told.scored]
        if len(self._told) + len(pending) < self.n_initial or len(scored) < 3:
            return complete(self.problem, self.problem.sample(n, rng), n, seen, rng)
        fits = [fit_blocks(self._blocks, scored.codes, of_usual_size(column)) for column in scored.losses.T]
        learned = _excesses(self._blocks, self._told.codes, self._told.violations)
        failing = self._failing()
        picked = self._candidates(fits, [*self._known_excesses(), *learned, *failing], n + len(self._told), rng)
        picked = np.unique(picked, axis=0)
        picked = picked[self._promising(picked, learned, failing)]
        codes = distinct(self.problem, self._blocks.codes(picked), seen)
        codes = codes[self.problem.allowed(codes)]
        return complete(self.problem, codes[self._informative(codes, fits, n)], n, seen, rng)

    def tell(self, told: Observations) -> None:
        """Keep a batch; the blocks are fitted when they are needed."""
        self._seen.update(keys(told.codes))
        self._told = self._told + told

    def _candidates(self, fits: list[BlockFit], excesses: list[Additive], n: int, rng: np.random.Generator) -> Codes:
        """``(c, m)`` the exact front, the best under a random weighted sum, and networks near the bounds."""
        models = [fit.model for fit in fits]
        scales = np.array([sum(float(np.ptp(table)) for table in model.tables) or 1.0 for model in models])
        mixes = [models[0].mixed(models[1:], w / scales) for w in rng.dirichlet(np.ones(len(models)), 2 * PROJECTIONS)]
        found = [k_best(mixes[0], LIKELY + n)[0]]
        if len(models) == 2:
            found.append(_thinned(front(models)[0]))
        elif len(models) > 2:  # a front of weighted sums is part of the objectives' front
            found += [_thinned(front(mixes[i : i + 2])[0]) for i in range(0, 2 * PROJECTIONS, 2)]
        found += [_thinned(front([mixes[0], excess])[0]) for excess in excesses]
        return np.concatenate(found)

    def _known_excesses(self) -> list[Additive]:
        """For each known bound an additive model of its violation."""
        if self.problem.known is None:
            return []
        if self._known is None:
            sample = self.problem.space.sample(SAMPLE, np.random.default_rng(0))
            self._known = _excesses(self._blocks, sample, self.problem.known(sample))
        return self._known

    def _failing(self) -> list[Additive]:
        """An additive model of the chance of failing; none where all candidates failed, or none did."""
        failed = self._told.failed
        if not failed.any() or failed.all():
            return []
        return [fit_blocks(self._blocks, self._told.codes, failed.astype(np.float64), ranks=False).model]

    def _promising(self, picked: Codes, learned: list[Additive], failing: list[Additive]) -> Codes:
        """Rows that should not fail and should keep the bounds; those with the least violation where there are none."""
        rows = np.arange(len(picked))
        for model in failing:
            wrong = model(picked)
            sound = wrong <= min(float(np.median(wrong)), RISK)
            rows = np.flatnonzero(sound) if sound.any() else np.argsort(wrong, kind="stable")[:FEW]
        if learned:
            excess = np.sum([np.maximum(model(picked[rows]), 0.0) for model in learned], axis=0)
            inside = excess <= 0
            rows = rows[inside] if inside.any() else rows[np.argsort(excess, kind="stable")[:FEW]]
        return rows

    def _informative(self, codes: Codes, fits: list[BlockFit], n: int) -> Codes:
        """Rows of the n to evaluate: those whose optimistic losses add most to the observed front.

        Observed candidates enter with the losses that the models predict, so that all are on one scale.
        """
        picked = self._blocks.choose(codes)
        predicted = [fit.predict(picked) for fit in fits]
        hopeful = np.column_stack([mean - std for mean, std in predicted])
        if len(fits) == 1 or not len(codes):
            return np.argsort(hopeful[:, 0], kind="stable")[:n]
        told = self._blocks.choose(self._told.codes[self._told.feasible])
        known = np.column_stack([fit.means(told) for fit in fits])
        both = np.concatenate([hopeful, known])
        low, span = both.min(axis=0), np.ptp(both, axis=0)
        span[span == 0] = 1.0
        hopeful, known = (hopeful - low) / span, (known - low) / span
        reference = np.full(len(fits), 1.1)
        chosen: list[int] = []
        for _ in range(min(n, len(codes))):
            known = known[non_dominated(known)]
            gain = np.array([hypervolume(np.concatenate([known, row[None]]), reference) for row in hopeful])
            gain[chosen] = -np.inf
            chosen.append(int(np.argmax(gain)))
            known = np.concatenate([known, hopeful[chosen[-1:]]])
        return np.array(chosen, dtype=np.int64)


def _excesses(blocks: Blocks, codes: Codes, violations: Floats) -> list[Additive]:
    """An additive model of each bound's violation, from candidates that break it (elsewhere it is 0, not a sum)."""
    found = []
    for column in violations.T:
        over = np.flatnonzero(np.nan_to_num(column) > 0)
        if len(over) >= 3:
            found.append(fit_blocks(blocks, codes[over], column[over], ranks=False).model)
    return found


def _thinned(picked: Codes) -> Codes:
    """Rows of a front, which come in the order of its first term, evenly thinned."""
    if len(picked) <= LONGEST:
        return picked
    return picked[np.linspace(0, len(picked) - 1, LONGEST).astype(np.int64)]
