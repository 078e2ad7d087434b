"""What :func:`searchkit.compress` returns."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from searchkit.compression.assembly import Cost
from searchkit.compression.learned import Learned
from searchkit.problem.trial import Trial
from searchkit.results.result import Result

if TYPE_CHECKING:
    import pandas as pd

    from searchkit.results.safe_html import Html


class Compressed(Result):
    """The result of :func:`searchkit.compress`; a :class:`~searchkit.results.result.Result`.

    Attributes:
        front: networks on the trade-off: first those within the bounds, the most accurate in row 0, then those that are
            not, among them the network that was given. ``accuracy_before`` is that before the fine-tuning.
        bounds: name of a cost -> the highest value that was allowed.
        library: the alternatives of the blocks that have learned, with what each is worth.
        costs: the bounded costs, as sums over the blocks.
    """

    bounds: Mapping[str, float]
    library: Learned
    costs: Sequence[Cost]

    @property
    def _winners(self) -> list[Trial]:
        return sorted(super()._winners, key=lambda trial: not self._within(trial))

    def _within(self, trial: Trial) -> bool:
        return all(trial.values.get(name, math.inf) <= bound for name, bound in self.bounds.items())

    @property
    def original(self) -> Mapping[str, float]:
        """Metrics of the network that was given."""
        return next(trial.values for trial in self.trials if not trial.code.any())

    def _report_sections(self) -> Sequence[tuple[str, str, Html]]:
        from searchkit.results.report.blocks import Compression, blocks
        from searchkit.results.report.facts import Facts

        found = Compression(Facts(self), self.library, self.costs, self._within)
        return [("blocks", "The blocks", blocks(found))]

    @cached_property
    def delivered(self) -> pd.DataFrame:
        """The rows of the front that are within the bounds."""
        return self.front[: sum(map(self._within, self._winners))]
