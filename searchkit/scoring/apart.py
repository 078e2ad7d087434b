"""Candidates scored in a process of their own, because this process ended with them before."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from searchkit.errors import SearchkitError
from searchkit.execution.outcome import Job, Outcome
from searchkit.execution.processes import apart
from searchkit.problem.numbers import numbers_of
from searchkit.scoring.network import NetworkScores, asked
from searchkit.scoring.pool import Given, WorkerScorer, packed, read_outcome
from searchkit.scoring.protocols import Proxy
from searchkit.training.evaluation import Evaluation
from searchkit.types import Codes


def score_network_apart(given: Given, job: Job, why: str) -> NetworkScores:
    """Scores of one network; if its process ends, or nothing can be sent to one, NaN with that as the reason.

    Args:
        given: space, proxies, data, device, seed and weights.
        job: a canonical candidate, with the number that :func:`searchkit.scoring.network.asked` reads.
        why: what speaks against this process; begins the reason.
    """
    space, proxies, data, device, seed, weights = given
    sent = (space, proxies, None if data is None else data.without_test(), device, seed, weights)
    try:
        outcome = apart(WorkerScorer(packed(sent, "what the proxies look at")), job, why)
    except SearchkitError as error:
        outcome = Outcome(reason=f"{why}, and {error}")
    return read_outcome(outcome, asked(proxies, job.seed))


def score_code_apart(proxy: Proxy, names: Sequence[str], code: Codes, why: str) -> tuple[dict[str, float], str | None]:
    """``{signal: score}`` of one candidate ``(d,)`` by a proxy that scores codes, and the reason where there are none.

    Args:
        names: of the proxy's signals.
        why: as of :func:`score_network_apart`.
    """
    outcome = apart(_FromCode(proxy, tuple(names)), Job(code, 0), why, tuple(names))
    if outcome.reason is None:
        return outcome.values, None
    return dict.fromkeys(names, math.nan), outcome.reason


@dataclass(frozen=True)
class _FromCode(Evaluation):
    """A proxy's score of one candidate as an evaluation."""

    proxy: Proxy
    names: tuple[str, ...]

    def __call__(self, code: Codes, seed: int, rung: int | None = None) -> dict[str, float]:
        found = numbers_of(self.proxy.score(code[None]))
        return dict(zip(self.names, np.ravel(found).tolist(), strict=True))
