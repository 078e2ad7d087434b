"""The result of a search: tables, trained networks, export, plots and the report."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from searchkit.errors import SearchkitError, SpaceError, UnknownNameError
from searchkit.problem.objectives import Goals, read_bounds
from searchkit.problem.trial import State, Trial, pareto_front
from searchkit.results.columns import option_column
from searchkit.space import NetworkSpace, Space
from searchkit.surroundings import settled

if TYPE_CHECKING:
    import pandas as pd
    from torch import nn

# columns of every history -> attributes of a trial
RECORDED = {"trial": "number", "batch": "batch", "state": "state", "reason": "reason", "seconds": "seconds"}


class Result:
    """The outcome of a search.

    Attributes:
        front: DataFrame with a row for each candidate that no other dominates, sorted by the first objective, best
            first. Columns: the objectives and other metrics in their own units, ``test_accuracy`` (or ``test_r2``) if
            there is a test part, the choices, and ``trial``, the candidate's number in the history.
        history: DataFrame with a row for each candidate in the order of asking, with its state and reason.
        stopped: why the search ended.
        strategy: the strategy that proposed the candidates; for "auto", also why it was chosen.
        name: name of the study.
        trials: the history as a list of trials.
    """

    def __init__(
        self,
        space: Space,
        goals: Goals,
        trials: list[Trial],
        name: str,
        stopped: str,
        context: dict[str, Any],
        folder: Path | None = None,
    ) -> None:
        self.space, self.goals, self.trials = space, goals, trials
        self.name, self.stopped, self.context, self.folder = name, stopped, context, folder
        self.test_accuracy: dict[int, float] = {}
        self.verifications: dict[int, dict[str, Any]] = {}
        self.trust: list[dict[str, Any]] | None = None

    @property
    def strategy(self) -> str:
        return str(self.context.get("chosen") or self.context.get("strategy") or "a strategy of your own")

    def __repr__(self) -> str:
        counts = {state: sum(trial.state is state for trial in self.trials) for state in State}
        told = ", ".join(f"{n} {state}" for state, n in counts.items() if n)
        return f"Result('{self.name}': {len(self._winners)} on the front; {told or 'no candidates'}; {self.stopped})"

    @property
    def nothing(self) -> str:
        """The reason why the front is empty, in one sentence; an empty string if it is not."""
        from searchkit.results.diagnosis import why_nothing

        return "" if self._winners else why_nothing(self)

    def _repr_html_(self) -> str:
        from searchkit.results.safe_html import fill, table

        said = "<p><b>{}</b>: {} candidates, {}</p>{}"
        return fill(said, self.name, len(self.trials), self.stopped, table(self.front))

    @property
    def _winners(self) -> list[Trial]:
        return pareto_front(self.trials, self.goals)

    def refresh(self, *_: object) -> None:
        """Drop the cached tables. It is a callback of a running search, in which each candidate changes them."""
        for table in ("front", "history", "signals", "verified"):
            vars(self).pop(table, None)

    @cached_property
    def front(self) -> pd.DataFrame:
        """The Pareto front; see the class."""
        table = self._table(self._winners)
        rungs = [f"{metric} ({rung})" for metric in self._metrics for rung in self.context.get("rungs", ())]
        dropped = [*self._columns("batch", "state", "reason", "seconds"), *(name for name in rungs if name in table)]
        return table.drop(columns=dropped)

    @cached_property
    def history(self) -> pd.DataFrame:
        """All candidates in the order of asking; see the class."""
        return self._table(self.trials)

    @cached_property
    def signals(self) -> pd.DataFrame:
        """How well each proxy of the search predicted, the most trusted first; see
        :attr:`searchkit.proxy_layer.signals.Signals.trust`.

        Empty for a search without proxies. params and macs have rows too if they are known.
        """
        import pandas as pd

        return pd.DataFrame(self.trust or [], columns=["proxy", "rho", "low", "high", "belief", "weight"])

    @cached_property
    def verified(self) -> pd.DataFrame:
        """Candidates that ``verify=`` trained, the most accurate first, with ``accuracy`` and ``test_accuracy``."""
        table = self._table([trial for trial in self.trials if trial.number in self.verifications])
        table = table.drop(columns=self._columns("batch", "state", "reason", "seconds"))
        numbers = table[self._columns("trial")[0]]
        for place, name in enumerate(("accuracy", "test_accuracy", "reason")):
            if any(name in entry for entry in self.verifications.values()):
                table.insert(place, name, [self.verifications[number].get(name) for number in numbers])
        return table.sort_values("accuracy", ascending=False, ignore_index=True) if "accuracy" in table else table

    def best(self, metric: str | None = None, **bounds: object) -> pd.Series[Any]:
        """The row of the front that is best in one objective, among those within bounds.

        Args:
            metric: an objective; by default the first.
            bounds: like constraints, for instance ``params=50_000`` or ``latency_ms=(None, 5)``.

        Raises:
            SearchkitError: the front is empty, or nothing on it is within the bounds.
        """
        directions = {objective.name: objective.direction for objective in self.goals.objectives}
        metric = metric or self.goals.names[0]
        if metric not in directions:
            raise UnknownNameError.of("objective", metric, directions)
        rows = front = self.front
        for bound in read_bounds(bounds, directions):
            if bound.name not in rows:
                raise UnknownNameError.of("metric", bound.name, [str(column) for column in rows.columns])
            rows = rows[bound.violation(rows[bound.name].to_numpy(float)) <= 0]
        if rows.empty:
            from searchkit.results.diagnosis import nearest_row

            asked = read_bounds(bounds, directions)
            raise SearchkitError(
                f"the front of '{self.name}' is empty: {self.nothing}"
                if self.nothing
                else f"nothing on the front of '{self.name}' has {' and '.join(map(str, asked))}: "
                + nearest_row(asked, front, self._columns("trial")[0])
            )
        order = rows[metric].to_numpy(float)
        row = int(np.argmax(order) if directions[metric] == "max" else np.argmin(order))
        return rows.astype(object).iloc[row]  # each value keeps its type; a row of numbers would become floats

    def build(self, i: int = 0, *, trial: int | None = None, trained: bool = True) -> nn.Module:
        """The network of row ``i`` of the front, in eval mode, with the weights that were measured.

        It takes raw images ``(n, c, h, w)`` in the scale of the data it was trained on (0 to 255 for bytes), or rows of
        features: the normalisation is part of it. It returns logits ``(n, classes)``; ``result.classes`` names them. In
        regression it returns values ``(n,)``.

        Args:
            trial: number of a candidate to build instead, such as one of :attr:`verified`.
            trained: False: a freshly initialised network.
        """
        from searchkit.results.export import build_network

        return build_network(self, self._trial(i, trial), trained)

    def export(self, i: int, path: str | Path, *, trial: int | None = None) -> list[Path]:
        """Write row ``i`` of the front as ``path.onnx``, ``path.safetensors`` and ``path.json``.

        The files are loaded back and their outputs compared; see :mod:`searchkit.results.export`.

        Raises:
            ExportError: the outputs of the written network differ from those of the measured one.
        """
        from searchkit.results.export import export

        return export(self, self._trial(i, trial), settled(path))

    def plot(self, path: str | Path | None = None, *, x: str | None = None, y: str | None = None) -> Any:
        """Draw the front among all candidates; ``.html`` is interactive, other endings give an image.

        Args:
            path: file to write; None: no file is written.
            x, y: metrics; by default the second and the first objective.

        Returns:
            A plotly figure for ``.html``, else a matplotlib figure.
        """
        from searchkit.results.plots import draw

        return draw(self, path, x, y)

    def report(self, path: str | Path, *, beside: Result | Sequence[Result] = ()) -> Path:
        """Write a page about the search: a single .html file that needs no network connection.

        It shows the front interactively, the best network as a diagram, the progress of the search compared with
        baselines, how well proxies predicted, costs with their spreads, failures with their reasons, versions, and the
        call that repeats the search.

        Args:
            path: ends in .html.
            beside: results of other searches with the same objectives, such as a random search, for comparison.

        Returns:
            The path.

        Raises:
            SearchkitError: the file cannot be written, or a result in ``beside`` has other objectives.
        """
        from searchkit.results.report.report import write_report

        return write_report(self, path, beside)

    @property
    def methods(self) -> dict[str, list[str]]:
        """How metrics were measured: name -> all methods and devices that were used; counted metrics have no entry."""
        found: dict[str, dict[str, None]] = {}
        for trial in self.trials:
            for name, method in trial.methods.items():
                found.setdefault(name, {})[method] = None
        return {name: list(methods) for name, methods in found.items()}

    @property
    def classes(self) -> list[Any]:
        """Labels of the network's outputs, in order."""
        classes: list[Any] = self.context.get("data", {}).get("classes", [])
        return classes

    @property
    def tested(self) -> str:
        """Name of the score on the test part: "test_accuracy", or "test_r2" in regression."""
        return "test_r2" if "target" in self.context.get("data", {}) else "test_accuracy"

    @property
    def network_space(self) -> NetworkSpace:
        """The space, if it is a network space; else a SpaceError."""
        if not isinstance(self.space, NetworkSpace):
            raise SpaceError(f"space '{self.space.name}' builds no networks")
        return self.space

    def _trial(self, i: int, number: int | None = None) -> Trial:
        if number is not None:
            if isinstance(number, bool) or number not in range(len(self.trials)):
                raise SearchkitError(f"'{self.name}' has candidates 0 to {len(self.trials) - 1}, not {number!r}")
            return self.trials[int(number)]
        winners = self._winners
        if isinstance(i, bool) or not isinstance(i, int | np.integer) or not -len(winners) <= i < len(winners):
            raise SearchkitError(
                f"the front of '{self.name}' has rows 0 to {len(winners) - 1}, not {i!r}"
                if winners
                else f"the front of '{self.name}' is empty: {self.nothing}"
            )
        return winners[int(i)]

    @property
    def _metrics(self) -> list[str]:
        return list(dict.fromkeys([*self.goals.metrics, *(name for trial in self.trials for name in trial.values)]))

    def _columns(self, *names: str) -> list[str]:
        """Names of columns of the record; a name that a metric has, too, gets " (record)" appended."""
        taken = self._metrics
        return [f"{name} (record)" if name in taken else name for name in names]

    def _table(self, trials: list[Trial]) -> pd.DataFrame:
        import pandas as pd

        choices = self.space.decode([trial.code for trial in trials]) if trials else []
        columns: dict[str, list[Any]] = {
            name: [trial.values.get(name, float("nan")) for trial in trials] for name in self._metrics
        }
        if self.test_accuracy:
            columns[self._columns(self.tested)[0]] = [
                self.test_accuracy.get(trial.number, float("nan")) for trial in trials
            ]
        for column, name in zip(self._columns(*RECORDED), RECORDED, strict=True):
            cells = [getattr(trial, RECORDED[name]) for trial in trials]
            columns[column] = [str(cell) for cell in cells] if name == "state" else cells
        for name in self.space.names:
            options = [row[name] for row in choices]
            columns[name if name not in columns else f"{name} (choice)"] = option_column(options)
        return pd.DataFrame(columns)
