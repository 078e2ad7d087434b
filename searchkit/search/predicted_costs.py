"""Costs on targets that are not measured: what the model of a target says, and how well."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from searchkit.costs.targets.prediction import NO_MODEL, Measurement, Prediction, predict
from searchkit.costs.task_scores import AT
from searchkit.errors import TargetError, readable
from searchkit.problem.objectives import Bound
from searchkit.search.measured_costs import Columns, MeasuredCosts
from searchkit.search.slow_targets import Expected, SlowTarget
from searchkit.storage.measured_notes import PREDICTED
from searchkit.types import Codes


class PredictedCosts:
    """The predicted columns of candidates.

    Args:
        asked: target -> the metrics that are asked of it, which may change.
        measured: what is measured.
        slow: of targets with ``first``, their models by name; others have a simple one.
        bounds: of the search.
        here: columns of this machine, which is another target that measures everything.
    """

    def __init__(
        self,
        asked: Mapping[str, Sequence[str]],
        measured: MeasuredCosts,
        slow: Mapping[str, SlowTarget],
        bounds: Sequence[Bound],
        here: Sequence[str],
    ) -> None:
        self._asked, self._measured, self._slow = asked, measured, slow
        self._bounds = {bound.name: bound for bound in bounds}
        self.here = here[:1]  # several are one machine

    def columns(self, names: Iterable[str]) -> list[str]:
        """What is asked of some targets, such as ``"latency_ms@phone"``."""
        return [f"{metric}{AT}{name}" for name in names for metric in self._asked[name]]

    def __call__(self, name: str, codes: Sequence[Codes], reason: str = "") -> list[Columns]:
        """The predicted columns of candidates ``(d,)`` on one target, each with its standard error.

        Args:
            reason: why they are not measured.

        Raises:
            TargetError: the target has measured nothing.
        """
        asked = [self._measured.counts(code) for code in codes]
        found = [(dict[str, float](), dict[str, str]()) for _ in codes]
        for column in self.columns([name]):
            points = self._measured.points(column)
            if not points:
                raise TargetError(f"target '{name}' {reason}, and has measured no other candidate to predict from")
            for (values, methods), (made, label) in zip(found, self._made(name, points, asked), strict=True):
                bound = self._bounds.get(column)
                no_model = made.error >= NO_MODEL and bound is not None
                values[column] = float(np.clip(made.value, bound.low, bound.high)) if no_model and bound else made.value
                values[column + PREDICTED] = made.error
                methods[column] = readable(f"{label}, since the target {reason}" if reason else label)
        return found

    def expected(self) -> dict[str, Expected]:
        """How good predictions are expected to be, by column of a target with ``first``."""
        found = dict[str, Expected]()
        for name in self._slow:
            for column in self.columns([name]):
                points = self._measured.points(column)
                made = self._slow[name].predict(points, points, self._beside)
                if made is not None:
                    found[column] = made.expected
        return found

    @property
    def _beside(self) -> dict[str, list[Measurement]]:
        """What was measured by the targets that measure every candidate, by column."""
        every = [name for name in self._asked if name not in self._slow]
        return {column: self._measured.points(column) for column in (*self.columns(every), *self.here)}

    def _made(
        self, name: str, points: Sequence[Measurement], asked: Sequence[Measurement]
    ) -> list[tuple[Prediction, str]]:
        """Predictions for candidates, and how they are made."""
        if name in self._slow:
            found = self._slow[name].predict(asked, points, self._beside)
            if found is not None:
                return [(made, found.label) for made in found.values]
        each = [predict(points, one.code, one.params, one.macs) for one in asked]
        return [(made, f"predicted from {made.n} candidates") for made in each]
