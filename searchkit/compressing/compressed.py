"""What :func:`searchkit.compress` returns."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from searchkit.compressing.comparisons import Comparisons
from searchkit.compression.assembly import Cost
from searchkit.compression.learned import Learned
from searchkit.errors import SearchkitError
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
        rank_correlation: with ``baselines=True``, Spearman's, of the sums of qualities and the validation accuracies of
            random assemblies as they are put together.
    """

    bounds: Mapping[str, float]
    library: Learned
    costs: Sequence[Cost]
    others: Comparisons | None = None
    compared: Sequence[Mapping[str, object]] = ()
    rank_correlation: float | None = None

    @property
    def _winners(self) -> list[Trial]:
        return sorted(super()._winners, key=lambda trial: not self._within(trial))

    def _within(self, trial: Trial) -> bool:
        return all(trial.values.get(name, math.inf) <= bound for name, bound in self.bounds.items())

    @property
    def chosen(self) -> Trial | None:
        """The most accurate network within the bounds; None where there is none."""
        return next((trial for trial in self._winners if self._within(trial)), None)

    def compare(self) -> pd.DataFrame:
        """Make other networks within the bounds, as ``baselines=True`` does; returns :attr:`comparisons`.

        Raises:
            SearchkitError: the result was loaded or copied, and has no data.
        """
        if self.others is None:
            raise SearchkitError(
                "this result is a copy without data: call compress(..., baselines=True), which learns nothing again"
            )
        self.compared = self.others.rows(None if self.chosen is None else self.chosen.code)
        self.rank_correlation = self.others.correlation()
        return self.comparisons

    def __getstate__(self) -> dict[str, object]:
        """Without the data."""
        return super().__getstate__() | {"others": None}

    @property
    def comparisons(self) -> pd.DataFrame:
        """With ``baselines=True``, other networks within the bounds: a row for each, after that of the chosen one.

        Columns are ``network`` (how it was made), the bounded costs (sums over the blocks), and the accuracies on the
        validation part, before and after training, and on the test part. Random blocks and blocks narrowed alike have
        the weights that were learned and the same fine-tuning.
        """
        import pandas as pd

        chosen = self.chosen
        if not self.compared or chosen is None:
            return pd.DataFrame(self.compared)
        first: dict[str, object] = {"network": "chosen"} | {cost.name: chosen.values[cost.name] for cost in self.costs}
        first |= {name: chosen.values.get(name) for name in ("accuracy_before", "accuracy")}
        return pd.DataFrame([first | {"test_accuracy": self.test_accuracy.get(chosen.number)}, *self.compared])

    @property
    def original(self) -> Mapping[str, float]:
        """Metrics of the network that was given."""
        return next(trial.values for trial in self.trials if not trial.code.any())

    def _report_sections(self) -> Sequence[tuple[str, str, Html]]:
        from searchkit.results.report.blocks import Compression, blocks
        from searchkit.results.report.facts import Facts

        found = Compression(Facts(self), self.library, self.costs, self._within, self.comparisons.to_dict("records"))
        return [("blocks", "The blocks", blocks(found))]

    @cached_property
    def delivered(self) -> pd.DataFrame:
        """The rows of the front that are within the bounds."""
        return self.front[: sum(map(self._within, self._winners))]
