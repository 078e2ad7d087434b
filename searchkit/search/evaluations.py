"""Evaluation of a network on the executor: proxies that are metrics of the search, and the training."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from searchkit.errors import CandidateError
from searchkit.scoring.scorer import Scorer
from searchkit.training.evaluation import Evaluation
from searchkit.training.evaluator import Training
from searchkit.training.recipe import Recipe
from searchkit.training.turns import Course, finish
from searchkit.types import Codes


@dataclass(frozen=True)
class Scoring(Evaluation):
    """Scores one candidate with proxies, and then trains it if ``then`` is given; picklable.

    Attributes:
        scorer: runs the proxies that are objectives or have a bound.
        then: the training; None in a search that trains nothing.
        exclusive: see :class:`Training`.
    """

    exclusive: ClassVar[bool] = True
    takes_turns: ClassVar[bool] = True

    scorer: Scorer
    then: Training | None = None

    def __call__(
        self,
        code: Codes,
        seed: int,
        rung: int | None = None,
        within: float | None = None,
        final: Recipe | None = None,
    ) -> dict[str, float]:
        """``{proxy: score, ...}`` and the values of the training. A proxy without a score fails the candidate."""
        return finish(self.in_turns(code, seed, rung, within, final))

    def in_turns(
        self,
        code: Codes,
        seed: int,
        rung: int | None = None,
        within: float | None = None,
        final: Recipe | None = None,
    ) -> Course[dict[str, float]]:
        """The same in turns; the first turn runs the proxies."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the reason is given in the error below
            scores = self.scorer(code[None])[0]
        values = dict(zip(self.scorer.names, scores.tolist(), strict=True))
        for name, value in values.items():
            if not math.isfinite(value):
                why = self.scorer.reason(code, name)
                raise CandidateError(f"proxy '{name}' has no score for it" + (f": {why}" if why else ""))
        return values | ((yield from self.then.in_turns(code, seed, rung, within, final)) if self.then else {})

    def train_until(self, until: float) -> None:
        """See :class:`~searchkit.training.evaluation.Evaluation`."""
        self.scorer.train_until(until)

    def memory(self, code: Codes, seed: int, rung: int | None = None) -> int:
        """See :meth:`Training.memory`; the memory of the proxies, which run before, is not included."""
        return self.then.memory(code, seed, rung) if self.then else 0

    def prepare(self, code: Codes, seed: int, rung: int | None = None) -> None:
        """See :meth:`Training.prepare`."""
        if self.then:
            self.then.prepare(code, seed, rung)

    def on(self, device: str) -> Scoring:
        """The same evaluation with the training on another device; the proxies keep theirs."""
        return replace(self, then=self.then.on(device) if self.then else None)

    @property
    def device_name(self) -> str:
        """The device of the training, or of the proxies if there is none."""
        return self.then.device if self.then else str(self.scorer.device)

    def written(self, code: Codes, final: bool = False) -> Path | None:
        """See :meth:`Training.written`."""
        return self.then.written(code, final) if self.then else None
