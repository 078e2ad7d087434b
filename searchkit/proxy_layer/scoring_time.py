"""How much of a search's time its proxies may take, where it has a time: they score as many networks as fit.

A network that is scored takes time of those that are trained. So the reference sample may take a sixth of the time of
the candidates, or of what is left of that when the first network is judged, and each choice half of the time of the
training that follows; no score is begun that would end after the last candidate has to begin. What a score takes is
measured as they are made. Where so few fit that they would say nothing, the strategy's own proposals are trained,
unscored.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from searchkit.errors import duration
from searchkit.proxy_layer.signals import N_REFERENCE
from searchkit.types import Bools, Codes

REFERENCE_SHARE = 1 / 6  # of the time left for candidates, which the reference sample may take
CHOICE_SHARE = 0.5  # of the planned time of a training, which choosing its network may take
UNPLANNED_SHARE = 0.05  # of the time left, which that may take at least where trainings are not planned
LEAST_REFERENCE = 8  # networks within which ranks say something
LEAST_POOL = 2  # networks among which there is something to choose

if TYPE_CHECKING:
    from searchkit.scoring.scorer import Scorer

log = logging.getLogger("searchkit")


@dataclass
class ScoringTime:
    """The time of one run of a search, as far as it is the proxies'.

    Attributes:
        scorer: of the candidates; ``known`` of it says which scores cost nothing.
        elapsed: seconds that the study has taken.
        until: seconds of the study after which no candidate begins.
        trained: mean seconds of the evaluations so far, 0 where there are none.
        training: planned seconds of a training; None where trainings are not planned.
        workers: candidates that train at the same time, for all of which one process chooses.
        each: seconds that a network takes to be scored; None before the first.
        ranking: seconds that were planned for the reference sample.
    """

    scorer: Scorer
    elapsed: Callable[[], float]
    until: float
    trained: Callable[[], float]
    training: float | None = None
    workers: int = 1
    each: float | None = None
    ranking: float = 0.0
    _seconds: float = 0.0  # of the networks below, in all
    _networks: int = 0  # that were scored here, without the first one, which initialises libraries
    _said: bool = False

    @property
    def left(self) -> float:
        """Seconds until no candidate begins; never negative."""
        return max(0.0, self.until - self.elapsed())

    def for_reference(self) -> float:
        """Seconds that the reference sample may take, from now: those planned for it, where they are more."""
        return min(max(REFERENCE_SHARE * self.left, self.ranking), self.left / 2)

    def for_choice(self, n: int) -> float:
        """Seconds that choosing n candidates may take, from now."""
        if self.training is not None:
            share = CHOICE_SHARE * self.training
        else:
            share = max(CHOICE_SHARE * self.trained(), UNPLANNED_SHARE * self.left)
        return min(share * n / self.workers, self.left)

    def pays(self, n: int) -> bool:
        """Whether networks can be scored in time to choose n candidates; two of the first have to be scored before."""
        if self.each is None:
            return self.left > 0
        return LEAST_REFERENCE * self.each <= self.for_reference() and self.some(n)

    def some(self, n: int) -> bool:
        """Whether choosing n candidates has the time for networks among which there is something to choose."""
        return (n + LEAST_POOL - 1) * (self.each or 0.0) <= self.for_choice(n) > 0

    def score(self, codes: Codes, seconds: float) -> Bools:
        """Score as many of the first of ``codes`` as fit into so many seconds; ``(n,)`` bool: which have their scores.

        They are scored a part at a time, each as long as half of what is left should take, so that a wrong measure of
        the first ones is corrected.
        """
        there = self.scorer.known(codes)
        waiting, end = np.flatnonzero(~there), self.elapsed() + min(seconds, self.left)
        while len(waiting):
            left = end - self.elapsed()
            if left <= (self.each or 0.0):
                break
            n = 1 if self.each is None else max(1, int(min(left / max(self.each, 1e-9) / 2, len(waiting))))
            self._score(codes[waiting[:n]])
            there[waiting[:n]] = True
            waiting = waiting[n:]
        return there

    def say_cut(self, why: str) -> None:
        """Say once that fewer networks are scored than were asked for."""
        if not self._said:
            self._said = True
            price = "" if self.each is None else f": a network takes {duration(self.each)} to be scored"
            log.info("scoring by proxies is cut to keep the time%s, and %s", price, why)

    def _score(self, codes: Codes) -> None:
        began = self.elapsed()
        self.scorer(codes)
        took = self.elapsed() - began
        if self.each is None:
            self.each = took / len(codes)
        else:
            self._seconds, self._networks = self._seconds + took, self._networks + len(codes)
            self.each = self._seconds / self._networks


def fitting(each: float, left: float, training: float, workers: int, screen: int) -> tuple[int, int]:
    """How many networks are expected to be scored where trainings are planned: to compare others with, and each time.

    Args:
        each: seconds that a network takes to be scored.
        left: seconds for candidates.
        training: planned seconds of a training.
        screen: networks scored for each one that is trained, where there is time enough.

    Returns:
        the numbers; (0, 0) where so few fit that none are scored.
    """
    each = max(each, 1e-9)
    sample = int(min(N_REFERENCE, REFERENCE_SHARE * left / each))
    choice = int(min(screen + 1, CHOICE_SHARE * training / workers / each))
    return (sample, choice) if sample >= LEAST_REFERENCE and choice >= LEAST_POOL else (0, 0)
