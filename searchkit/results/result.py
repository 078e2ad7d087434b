"""The result of a search: tables, trained networks, export, plots and the report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from searchkit.errors import SearchkitError, SpaceError, UnknownNameError
from searchkit.problem.objectives import read_bounds
from searchkit.problem.trial import State, Trial
from searchkit.results.tables import Tables
from searchkit.space import NetworkSpace
from searchkit.surroundings import settled

if TYPE_CHECKING:
    import pandas as pd
    from torch import nn

    from searchkit.results.safe_html import Html


class Result(Tables):
    """The outcome of a search.

    Attributes:
        front: DataFrame with a row for each candidate that no other dominates, sorted by the first objective, best
            first. Columns: the objectives and other metrics in their own units, ``test_accuracy`` (or ``test_r2``) if
            there is a test part, the choices, and ``trial``, the candidate's number in the history.
        history: DataFrame with a row for each candidate in the order of asking, with its state and reason.
        reports: DataFrame with a row for each report of your own training function.
        space_left, options_dropped: the space without the options that fell, and these in order, with the evidence.
        stopped: why the search ended.
        strategy: the strategy that proposed the candidates; for "auto", also why it was chosen.
        name: name of the study.
        trials: the history as a list of trials.
        finals: final trainings of winners by the number of the trial: ``{"steps", "seconds"}``, or the ``"reason"`` for
            which one did not work, so that the network is that of the search.
    """

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
        from searchkit.results.notebook import shown

        return shown(self)

    @property
    def baselines(self) -> pd.DataFrame:
        """Simple models on the same parts, a row each: ``model``, its validation and test score, seconds, rows, reason.

        What is not on record is fitted now, in about 10 s, where the data are in the process; else the table is empty.
        """
        from searchkit.results.baselines import table

        return table(self)

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
        """The network of row ``i`` of the front, in eval mode, with the weights that the score on the test part is of.

        These are of the final training, where there was one, and else those that were measured in the search.

        It takes raw images ``(n, c, h, w)`` in the scale of the data it was trained on (0 to 255 for bytes), or rows of
        features: the normalisation is part of it. It returns logits ``(n, classes)``; ``result.classes`` names them. In
        regression it returns values ``(n,)``.

        Args:
            trial: number of a candidate to build instead, such as one of :attr:`verified`.
            trained: False: a freshly initialised network.
        """
        from searchkit.results.export import build_network

        return build_network(self, self._trial(i, trial), trained)

    def refit(
        self,
        i: int = 0,
        *,
        trial: int | None = None,
        data: object = None,
        seconds: float | None = None,
        epochs: int | None = None,
        device: str = "auto",
    ) -> dict[str, Any]:
        """Train the network of row ``i`` of the front anew, for longer, and on the validation part as well.

        From then on, :meth:`build`, :meth:`export` and the score on the test part are of this training.

        Args:
            trial: number of a candidate to train instead.
            data: the data of the search; needed for a study that was loaded, unless searchkit knows where they are.
            seconds, epochs: one of the two: how long it is trained. Seconds are kept; 200 passes are the most they are
                spent on.

        Returns:
            ``{"steps", "seconds"}`` and the score on the test part where there is one.

        Raises:
            SearchkitError: the search trained no networks, the data are others than those of the search, or both or
                none of seconds and epochs are given.
            CandidateError: the training failed; the network is as it was.
        """
        from searchkit.results.refit import refit

        entry = refit(self, self._trial(i, trial), data, seconds, epochs, device)
        self.refresh()
        return entry

    def blocks(
        self,
        i: int = 0,
        *,
        trial: int | None = None,
        device: str = "cpu",
        seconds: float = 0.1,
        again: bool = False,
    ) -> pd.DataFrame:
        """Where MACs and milliseconds part: what each block of row ``i`` of the front has of both.

        Each block is timed alone, in turn with the others and the network, unless that is on record; it takes some
        seconds. The report shows what was timed. A search for ``latency_ms`` on a CPU does it at its end for row 0,
        where it takes two seconds or less, and less than a hundredth of a budget in seconds.

        Args:
            trial: number of a candidate to look at instead.
            device: "cpu", "cuda" or "cuda:<index>".
            seconds: of timing for each block and the network.
            again: measure what is on record once more, in place of it.

        Returns:
            a row for each block, with the largest difference between its shares first, and a last one for what is
            outside of them, so that columns add up to the network: ``block``, ``choice``, ``macs``, ``macs_share``,
            ``ms`` (timed alone, without the time of an empty call), ``ms_share`` (of the network's), and ``ratio`` of
            the shares, NaN without MACs. The last one's ``ms`` is below 0 where blocks take longer alone.

        Raises:
            SearchkitError: the space names no modules of its networks (``Node(module=)``), or they cannot be run alone.
        """
        from searchkit.results.block_costs import costs_of, table

        return table(costs_of(self, self._trial(i, trial), device, seconds, again))

    def export(
        self,
        i: int,
        path: str | Path,
        *,
        format: Literal["onnx", "torch", "openvino", "executorch", "litert"] = "onnx",
        trial: int | None = None,
        precision: Literal["float32", "int8"] = "float32",
        data: object = None,
    ) -> list[Path]:
        """Write row ``i`` of the front as ``path.onnx``, ``path.safetensors`` and ``path.json``.

        The files are loaded back and their outputs compared; see :mod:`searchkit.results.export`.

        Args:
            format: another one in place of ONNX: ``path.pt2`` ("torch"), ``path.xml`` and ``path.bin`` ("openvino"),
                ``path.pte`` ("executorch") or ``path.tflite`` ("litert"). All but the first need an extra of the same
                name, ``pip install "searchkit-nas[openvino]"``. The file's score is in the .json file.
            trial: number of a candidate to export instead.
            precision: "int8": there is ``path.int8.onnx`` as well, quantised with examples of the train part. Its
                score, size and latency beside those of the float32 file are in the .json file, and what speaks against
                it is logged; see :mod:`searchkit.results.int8`.
            data: the data of the search; needed for int8 and formats other than ONNX in a study that was loaded, unless
                searchkit knows where they are.

        Raises:
            UnknownNameError: there is no such format.
            SearchkitError: a package of the format is not installed, or it has no int8.
            ExportError: the outputs of the written network differ from those of the measured one, or the network breaks
                a bound of the search on its score in int8.
        """
        from searchkit.results.export import export

        return export(self, self._trial(i, trial), settled(path), precision, data, format)

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

    def importances(self) -> pd.DataFrame:
        """How much each parameter matters for each objective.

        Returns:
            A row for each parameter, the most important for the first objective first, and a column for each objective:
            shares of all parameters, which add up to 1. See :mod:`searchkit.results.importances`.

        Raises:
            SearchkitError: fewer than eight candidates are scored.
        """
        from searchkit.results.importances import importances

        return importances(self)

    def report(self, path: str | Path, *, beside: Result | Sequence[Result] = ()) -> Path:
        """Write a page about the search: a single .html file that needs no network connection.

        It shows the front interactively, the best network as a diagram, the progress of the search compared with
        baselines, how well proxies predicted, costs with their spreads, the blocks that were timed (:meth:`blocks`),
        failures with their reasons, versions, and the call that repeats the search.

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

    def _report_sections(self) -> Sequence[tuple[str, str, Html]]:
        """Sections of the report that only results of a kind have: ``(id, title, content)``, after the best candidate.

        A subclass overrides it. Content is made with :mod:`searchkit.results.safe_html`; where it is empty, the section
        is left out.
        """
        return ()

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
