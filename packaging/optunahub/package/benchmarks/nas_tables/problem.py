"""Tables of trained networks as problems of OptunaHub."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
import os
from typing import Any

import optuna
import optunahub
import searchkit


class Problem(optunahub.benchmarks.BaseProblem):
    """A space of networks whose accuracies and costs were measured once and are looked up.

    Args:
        table: a name of ``Problem.available_tables``.
        objectives: which of the table's objectives are searched; its first one where None.
        folder: where the published tables are; $SEARCHKIT_DATA where None.
        options: of the benchmark, as ``searchkit.benchmarks.load`` takes them.

    Raises:
        searchkit.SearchkitError: a table, an objective or an option that there is not, or a table
            that is not found.
    """

    available_tables: tuple[str, ...] = tuple(searchkit.benchmarks.names())

    def __init__(
        self,
        table: str = "nas-bench-201",
        objectives: str | Sequence[str] | Mapping[str, str] | None = None,
        folder: str | os.PathLike[str] | None = None,
        **options: object,
    ) -> None:
        self.benchmark = searchkit.benchmarks.load(
            table, objectives=objectives, folder=folder, **options
        )

    @property
    def search_space(self) -> dict[str, optuna.distributions.BaseDistribution]:
        """Every choice of the space by its name, with the labels of its options as categories."""
        return {
            choice.name: optuna.distributions.CategoricalDistribution(choice.labels)
            for choice in self.benchmark.space.choices
        }

    @property
    def directions(self) -> list[optuna.study.StudyDirection]:
        known = {
            "min": optuna.study.StudyDirection.MINIMIZE,
            "max": optuna.study.StudyDirection.MAXIMIZE,
        }
        return [known[direction] for direction in self.benchmark.objectives.values()]

    @property
    def metric_names(self) -> list[str]:
        """The objectives, in the order of the values."""
        return list(self.benchmark.objectives)

    def evaluate(self, params: dict[str, Any]) -> list[float]:
        """The values of one network; NaN, a failed trial for Optuna, where the table has none."""
        codes = [choice.index(params[choice.name]) for choice in self.benchmark.space.choices]
        return [float(values[0]) for values in self.benchmark.values([codes]).values()]

    def regret(self, study: optuna.Study) -> float:
        """How far a study is from the best there is, 0 at best.

        One objective: in its unit. Several: the share of the front's hypervolume that is missing.
        """
        done = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
        codes = [
            [c.index(trial.params[c.name]) for c in self.benchmark.space.choices] for trial in done
        ]
        return self.benchmark.regret(self.benchmark.losses(codes)) if codes else float("inf")
