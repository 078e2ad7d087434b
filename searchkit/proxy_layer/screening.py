"""Screening: more candidates are proposed than evaluated, and the proxy layer picks.

The pool of a batch has three sources: the strategy's proposals; a fixed stream of random candidates, which grows with
every batch (earlier ones have cached scores; of more than :data:`STREAM` the newest are taken); and the neighbours of
the best of both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from searchkit.problem.observations import Observations
from searchkit.problem.pareto import non_dominated
from searchkit.problem.problem import Problem
from searchkit.problem.proposals import distinct, first_allowed
from searchkit.proxy_layer.score_cache import ScoreCache
from searchkit.proxy_layer.scoring_time import LEAST_REFERENCE, ScoringTime
from searchkit.proxy_layer.signals import Signals
from searchkit.proxy_layer.turns import Turns
from searchkit.space import keys
from searchkit.surrogates.hypervolume_improvement import expected_improvement
from searchkit.types import Codes, Floats

KNOWN = 20  # observations from which a strategy with a model of its own takes turns with the proxy layer
STREAM = 1000  # most candidates of the random stream in a pool, the newest ones; it grows with every batch
NEIGHBOURS = 2000  # most neighbours of a candidate from which some are taken; of more, a random sample
FIRST = 2 / 3  # of the time of a choice for the first of its networks; the rest is for their neighbours
LATE = 1 / 3  # of it for networks that were evaluated before they were scored
SURE = 1e-6  # standard deviation of exact values, relative to the range


@dataclass
class Screen:
    """Picks the candidates to evaluate: a function of what was told, the proposals and ``rng``, like a strategy's ask.

    Attributes:
        factor: candidates that are scored for each one that is evaluated.
        seed: of the stream of random candidates.
        time: how long scores may take; None: as long as they do. With a time, the layer chooses among those networks
            only that there was time to score, and learns from those; where these are too few, the strategy's own
            proposals are taken.
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
    time: ScoringTime | None = None
    _told: list[Observations] = field(default_factory=list)
    _drawn: dict[int, tuple[np.random.Generator, list[Codes]]] = field(default_factory=dict)  # parts of the stream
    _turns: Turns = field(default_factory=lambda: Turns(KNOWN))
    _taught: list[Observations] = field(default_factory=list)  # what the signals were told
    _unscored: list[Observations] = field(default_factory=list)  # what they were not, since it would have to be scored
    _ranks: bool | None = None  # whether there was time for the reference sample; None before it is needed
    _rows: dict[bytes, Floats] = field(default_factory=dict)  # what is predicted of the candidates of a pick

    def tell(self, told: Observations) -> None:
        """Learn one batch of outcomes."""
        self._rows.clear()
        self._told.append(told)
        self._turns.tell(told)
        self._teach(told)

    @property
    def judges(self) -> bool:
        """Whether the signals have judged candidates, or may do so at any time."""
        return self.time is None or bool(self._ranks)

    def proposals(self, n: int) -> int:
        """How many proposals to ask a strategy for where n are evaluated; bounded, since proposals may take time."""
        if self._ranks is False:  # there is no time to choose
            return n
        return n + min(max(self.factor * n // 2, n), 8)

    def pick(self, proposed: Codes, n: int, seen: set[bytes], rng: np.random.Generator, pending: Codes) -> Codes:
        """``(m, d)`` the n best of the pool; m < n only where the pool has fewer.

        Args:
            pending: ``(p, d)`` candidates without an outcome yet, assumed to have their predicted losses.
        """
        self._rows.clear()
        if self.turns and self._turns.strategy:
            return first_allowed(self.problem, distinct(self.problem, proposed, seen), n)
        pool = self._pool(proposed, n, seen, rng, pending) if self._may_score(n) else proposed[:0]
        if self.time is None or len(pool) > n:
            picked = pool[self.choose(pool, min(n, len(pool)), self._known(pending))]
        else:
            picked = first_allowed(self.problem, distinct(self.problem, proposed, seen), n)
        if self.kept is not None:
            self.kept.write()
        return picked

    def _pool(self, proposed: Codes, n: int, seen: set[bytes], rng: np.random.Generator, pending: Codes) -> Codes:
        """The candidates to choose from; with a time, those of them that it suffices to score."""
        share = max(1, self.factor * n // 4)
        end = math.inf if self.time is None else self.time.elapsed() + self.time.for_choice(n)
        if self.time is not None and self._unscored:
            self._catch_up(self.time, end)
        pool = self._scored(distinct(self.problem, np.concatenate([proposed, self._stream(share)]), seen), end, FIRST)
        if len(pool):
            best = pool[self.choose(pool, min(3, len(pool)), self._known(pending))]
            near = np.concatenate([self.problem.space.neighbours(code, NEIGHBOURS, rng) for code in best])
            near = distinct(self.problem, near, seen.union(keys(pool)))
            pool = np.concatenate([pool, self._scored(near[rng.permutation(len(near))[:share]], end)])
        return first_allowed(self.problem, pool, len(pool))

    def _may_score(self, n: int) -> bool:
        """Whether there is time to choose n candidates; the reference sample is scored where it is needed first."""
        timed = self.time
        if timed is None:
            return True
        if self._ranks is None:
            sample, own = self.signals.sample, "the strategy's own proposals are trained"
            timed.score(sample[:2], timed.for_reference())
            self._ranks = timed.pays(n)
            if self._ranks:
                there = timed.score(sample, timed.for_reference())
                self._ranks = bool(there.sum() >= min(LEAST_REFERENCE, len(sample)))
                self.signals.reference = sample[there]
                if self._ranks and not there.all():
                    timed.say_cut(f"others are compared with {there.sum()} of them instead of {len(sample)}")
            if not self._ranks:
                timed.say_cut(f"there is no time for as many as would say something: {own}")
        if self._ranks and not timed.some(n):
            timed.say_cut("there is no time left for more of them: the strategy's own proposals are trained")
            return False
        return self._ranks

    def _scored(self, codes: Codes, end: float, share: float = 1.0) -> Codes:
        """Those of the candidates that are scored in the time.

        Args:
            end: seconds of the study; ``share``: of the time until then that this may take.
        """
        if self.time is None:
            return codes
        codes = first_allowed(self.problem, codes, len(codes))
        there = self.time.score(codes, share * (end - self.time.elapsed()))
        if not there.all():
            self.time.say_cut(f"not all are scored among which there would be a choice: {there.sum()} of {len(codes)}")
        return codes[there]

    def _known(self, codes: Codes) -> Codes:
        """Those that are scored, where there is a time."""
        return codes if self.time is None or not len(codes) else codes[self.time.scorer.known(codes)]

    def _teach(self, told: Observations) -> None:
        """Tell the signals what is scored; with a time, the others wait until there is time to score them."""
        if self.time is not None:
            there = self.time.scorer.known(told.codes)
            if not there.all():
                self._unscored.append(told[~there])
                told = told[there]
        self._taught.append(told)
        self.signals.observe(told)

    def _catch_up(self, timed: ScoringTime, end: float) -> None:
        """Score evaluated candidates that are not, in a part of the time, and tell the signals of them."""
        waiting = Observations.join(self._unscored)
        timed.score(waiting.codes, LATE * (end - timed.elapsed()))
        self._unscored = []
        self._teach(waiting)

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
        if not self._taught:
            return np.empty((0, k))
        told = Observations.join(self._taught)
        told = told[told.feasible]
        losses = self.signals.placed(told)
        return losses[non_dominated(losses)]
