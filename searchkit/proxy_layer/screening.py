"""Screening: more candidates are proposed than evaluated, and the proxy layer picks.

The pool of a batch has three sources: the strategy's proposals; a fixed stream of random candidates, which grows with
every batch (earlier ones have cached scores; of more than :data:`STREAM` the newest are taken); and the neighbours of
the best of both.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from searchkit.problem.observations import Observations
from searchkit.problem.pareto import non_dominated
from searchkit.problem.problem import Problem
from searchkit.problem.proposals import distinct, first_allowed
from searchkit.proxy_layer.score_cache import ScoreCache
from searchkit.proxy_layer.signals import Signals
from searchkit.proxy_layer.turns import Turns
from searchkit.space import keys
from searchkit.surrogates.hypervolume_improvement import expected_improvement
from searchkit.types import Codes, Floats

KNOWN = 20  # observations from which a strategy with a model of its own takes turns with the proxy layer
STREAM = 1000  # most candidates of the random stream in a pool, the newest ones; it grows with every batch
NEIGHBOURS = 2000  # most neighbours of a candidate from which some are taken; of more, a random sample
SURE = 1e-6  # standard deviation of exact values, relative to the range


@dataclass
class Screen:
    """Picks the candidates to evaluate: a function of what was told, the proposals and ``rng``, like a strategy's ask.

    Attributes:
        factor: candidates that are scored for each one that is evaluated.
        seed: of the stream of random candidates.
        turns: from :data:`KNOWN` observations on, some batches are what the strategy proposes first, as many as it
            deserves by what they bring (:mod:`searchkit.proxy_layer.turns`); for strategies with a model of their own,
            which may predict better by then.
    """

    problem: Problem
    signals: Signals
    factor: int
    seed: int
    kept: ScoreCache | None = None
    turns: bool = False
    _told: list[Observations] = field(default_factory=list)
    _drawn: dict[int, tuple[np.random.Generator, list[Codes]]] = field(default_factory=dict)  # parts of the stream
    _turns: Turns = field(default_factory=lambda: Turns(KNOWN))
    _rows: dict[bytes, Floats] = field(default_factory=dict)  # what is predicted of the candidates of a pick

    def tell(self, told: Observations) -> None:
        """Learn one batch of outcomes."""
        self._rows.clear()
        self._told.append(told)
        self._turns.tell(told)
        self.signals.observe(told)

    def proposals(self, n: int) -> int:
        """How many proposals to ask a strategy for where n are evaluated; bounded, since proposals may take time."""
        return n + min(max(self.factor * n // 2, n), 8)

    def pick(self, proposed: Codes, n: int, seen: set[bytes], rng: np.random.Generator, pending: Codes) -> Codes:
        """``(m, d)`` the n best of the pool; m < n only where the pool has fewer.

        Args:
            pending: ``(p, d)`` candidates without an outcome yet, assumed to have their predicted losses.
        """
        if self.turns and self._turns.strategy:
            return first_allowed(self.problem, distinct(self.problem, proposed, seen), n)
        self._rows.clear()
        share = max(1, self.factor * n // 4)
        pool = distinct(self.problem, np.concatenate([proposed, self._stream(share)]), seen)
        if len(pool):
            best = pool[self.choose(pool, min(3, len(pool)), pending)]
            near = np.concatenate([self.problem.space.neighbours(code, NEIGHBOURS, rng) for code in best])
            near = distinct(self.problem, near, seen.union(keys(pool)))
            pool = np.concatenate([pool, near[rng.permutation(len(near))[:share]]])
        pool = first_allowed(self.problem, pool, len(pool))
        picked = pool[self.choose(pool, min(n, len(pool)), pending)]
        if self.kept is not None:
            self.kept.write()
        return picked

    def choose(self, pool: Codes, n: int, pending: Codes) -> list[int]:
        """Rows of the pool, chosen one by one by the greatest expected hypervolume improvement.

        With one objective that is the expected improvement. Each chosen candidate is assumed to have its predicted
        losses when the next one is chosen.
        """
        if not len(pool) or not n:  # nothing left: the space is exhausted
            return []
        mean, std, chance = self._predicted(pool)
        known = np.isfinite(mean).all(axis=1)
        if not known.all():  # a network that cannot be built has no costs, and comes last
            rows = np.flatnonzero(known)
            best = rows[self.choose(pool[rows], min(n, len(rows)), pending)].tolist() if len(rows) else []
            return (best + np.flatnonzero(~known).tolist())[:n]
        front = self._observed_front()
        if len(pending):
            predicted = self._predicted(pending)[0]
            front = np.concatenate([front, predicted[np.isfinite(predicted).all(axis=1)]])
        both = np.concatenate([mean, front])
        low, span = both.min(axis=0), np.ptp(both, axis=0)
        span[span == 0] = 1.0
        mean, std, front = (mean - low) / span, std / span, (front - low) / span
        reference = np.full(mean.shape[1], 1.1)  # a little beyond the worst of all
        chosen: list[int] = []
        for _ in range(n):
            gain = expected_improvement(mean, np.maximum(std, SURE), front, reference) * chance
            gain[chosen] = -np.inf
            best = int(np.argmax(gain))
            if gain[best] <= 0:  # nothing is expected to improve the front: take the best prediction
                rest = chance / (1 + np.maximum(mean, 0).sum(axis=1))
                rest[chosen] = -np.inf
                best = int(np.argmax(rest))
            chosen.append(best)
            front = np.concatenate([front, mean[best : best + 1]])
        return chosen

    def _predicted(self, codes: Codes) -> tuple[Floats, Floats, Floats]:
        """Mean and deviation ``(n, k)``, and the chance ``(n,)`` of being scored; each candidate is asked for once."""
        found = keys(codes)
        new = list({key: i for i, key in enumerate(found) if key not in self._rows}.values())
        if new:
            mean, std = self.signals.latent(codes[new])
            chance = np.exp(self.signals.log_chance(codes[new]))
            self._rows.update(zip([found[i] for i in new], np.column_stack([mean, std, chance]), strict=True))
        rows = np.stack([self._rows[key] for key in found])
        k = self.problem.n_objectives
        return rows[:, :k], rows[:, k : 2 * k], rows[:, -1]

    def _stream(self, share: int) -> Codes:
        """The newest of the first candidates of the fixed stream, ``share`` more with every batch."""
        if share not in self._drawn:
            self._drawn[share] = (np.random.default_rng([self.seed, 7]), [])
        rng, parts = self._drawn[share]
        while len(parts) <= len(self._told):
            parts.append(self.problem.sample(share, rng))
        most = max(1, STREAM // share)
        return np.concatenate(parts[: len(self._told) + 1][-most:])

    def _observed_front(self) -> Floats:
        """``(f, k)`` the observed non-dominated losses, in the coordinates of the predictions."""
        k = self.problem.n_objectives
        if not self._told:
            return np.empty((0, k))
        told = Observations.join(self._told)
        told = told[told.feasible]
        losses = self.signals.placed(told)
        return losses[non_dominated(losses)]
