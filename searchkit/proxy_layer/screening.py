"""Screening: more is proposed than is evaluated, and the proxy layer picks.

The pool of a batch has three sources: what the strategy proposes; a fixed stream of random candidates, of which those
seen in earlier batches stay (their scores are cached and cost nothing again); and the neighbours of what looks best.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from searchkit.problem.observations import Observations
from searchkit.problem.pareto import non_dominated
from searchkit.problem.problem import Problem
from searchkit.problem.proposals import distinct, first_allowed
from searchkit.proxy_layer.signals import Signals
from searchkit.space import keys
from searchkit.surrogates.hypervolume_improvement import expected_improvement
from searchkit.types import Codes, Floats

if TYPE_CHECKING:
    from searchkit.scoring.scorer import Scorer
    from searchkit.storage.record import Record

NOTE_SIZE = 50  # scores in one note of the record
KNOWN = 20  # observations from which a strategy's own model has its turns
SURE = 1e-6  # deviation of what is known exactly, of a unit range


class Kept:
    """Scores that outlive the process: read from a study's record, and written to it as they are made.

    Args:
        settings: what the scores depend on beside the candidate; those of other settings are not read.
    """

    def __init__(self, record: Record, scorer: Scorer, settings: str) -> None:
        self._record, self._settings = record, settings
        self._new: list[list[Any]] = []
        self._n_notes = 0
        space = scorer.space
        for note in record.noted("scores:"):
            self._n_notes += 1
            if note["settings"] == settings:
                for code, scores in note["scores"]:
                    known = {name: math.nan if value is None else value for name, value in scores.items()}
                    scorer.cache.setdefault(keys(space.check(code))[0], {}).update(known)
        scorer.on_scored = self._keep

    def _keep(self, code: Codes, scores: Mapping[str, float]) -> None:
        named = {name: value if math.isfinite(value) else None for name, value in scores.items()}
        self._new.append([code.tolist(), named])
        if len(self._new) >= NOTE_SIZE:
            self.write()

    def write(self) -> None:
        """Put what is new on record."""
        if self._new:
            self._record.note(f"scores:{self._n_notes}", {"settings": self._settings, "scores": self._new})
            self._new, self._n_notes = [], self._n_notes + 1


@dataclass
class Screen:
    """Picks what is evaluated; a function of what was told, of the proposals and of ``rng``, like a strategy's ask.

    Attributes:
        factor: candidates that are scored for each one that is evaluated.
        seed: of the stream.
        turns: from :data:`KNOWN` observations on, every other batch is what the strategy proposes first: for one with
            a model of its own, which may know better by then.
    """

    problem: Problem
    signals: Signals
    factor: int
    seed: int
    kept: Kept | None = None
    turns: bool = False
    _told: list[Observations] = field(default_factory=list)

    def tell(self, told: Observations) -> None:
        """Learn one batch of outcomes."""
        self._told.append(told)
        self.signals.observe(told)

    def proposals(self, n: int) -> int:
        """How many proposals a strategy is asked for, where n are evaluated: some may think long about each."""
        return n + min(max(self.factor * n // 2, n), 8)

    def pick(self, proposed: Codes, n: int, seen: set[bytes], rng: np.random.Generator, pending: Codes) -> Codes:
        """``(m, d)`` the n best of the pool, m < n only where no more are left.

        Args:
            pending: ``(p, d)`` candidates whose outcome is not known yet; they are taken to turn out as predicted.
        """
        if self.turns and len(self._told) % 2 and sum(map(len, self._told)) >= KNOWN:
            return first_allowed(self.problem, distinct(self.problem, proposed, seen), n)
        share = max(1, self.factor * n // 4)
        pool = distinct(self.problem, np.concatenate([proposed, self._stream(share)]), seen)
        if len(pool):
            best = pool[self.choose(pool, min(3, len(pool)), pending)]
            near = np.concatenate([self.problem.space.neighbours(code) for code in best])
            near = distinct(self.problem, near, seen.union(keys(pool)))
            pool = np.concatenate([pool, near[rng.permutation(len(near))[:share]]])
        pool = first_allowed(self.problem, pool, len(pool))
        picked = pool[self.choose(pool, min(n, len(pool)), pending)]
        if self.kept is not None:
            self.kept.write()
        return picked

    def choose(self, pool: Codes, n: int, pending: Codes) -> list[int]:
        """Rows of the pool, best first: greatest expected hypervolume improvement, one after another.

        With one objective that is the expected improvement. A candidate that was chosen is taken to turn out as
        predicted when the next one is chosen.
        """
        mean, std = self.signals.latent(pool)
        chance = np.exp(self.signals.log_chance(pool))
        front = self._front()
        if len(pending):
            front = np.concatenate([front, self.signals.latent(pending)[0]])
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
            if gain[best] <= 0:  # nothing is expected to improve: the best in itself
                rest = chance / (1 + np.maximum(mean, 0).sum(axis=1))
                rest[chosen] = -np.inf
                best = int(np.argmax(rest))
            chosen.append(best)
            front = np.concatenate([front, mean[best : best + 1]])
        return chosen

    def _stream(self, share: int) -> Codes:
        """The first candidates of the fixed stream: as many more with every batch."""
        rng = np.random.default_rng([self.seed, 7])
        parts = [self.problem.sample(share, rng) for _ in range(len(self._told) + 1)]
        return np.concatenate(parts)

    def _front(self) -> Floats:
        """``(f, k)`` the non-dominated losses that were observed, in the coordinates of the predictions."""
        k = self.problem.n_objectives
        if not self._told:
            return np.empty((0, k))
        told = Observations.join(self._told)
        told = told[told.feasible]
        losses = self.signals.placed(told)
        return losses[non_dominated(losses)]
