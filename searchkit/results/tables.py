"""The tables of a result: its front, its history, and what is known beside them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from searchkit.costs.metrics import sign_of
from searchkit.costs.task_scores import SCORES, recorded_task
from searchkit.problem.objectives import Goals
from searchkit.problem.ranks import TRUST
from searchkit.problem.trial import Trial, pareto_front
from searchkit.results.columns import option_column
from searchkit.results.notes import BLOCKS, CLOCK
from searchkit.runtime.processor import Clocks
from searchkit.space import Float, Int, Space

if TYPE_CHECKING:
    import pandas as pd

    from searchkit.blocks.block_costs import BlockCosts
    from searchkit.data.frames import FrameEncoder
    from searchkit.results.baselines import Source
    from searchkit.storage.record import Record

# columns of every history -> attributes of a trial
RECORDED = {"trial": "number", "batch": "batch", "state": "state", "reason": "reason", "seconds": "seconds"}


class Tables:
    """What a search found, as tables; see :class:`searchkit.Result`.

    Attributes:
        open_record: opens the record of the study to write to it.
        source: where the data come from, while they are in the process.
        clock: of the processor while latencies were measured here: conditions, such as "governor powersave" or "" where
            the system tells none, -> lowest and highest MHz.
        timed_blocks: what the blocks of networks cost, by the number of the trial, as far as it was measured; see
            :meth:`searchkit.Result.blocks`.
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
        self.finals: dict[int, dict[str, Any]] = {}
        self.trust: list[dict[str, Any]] | None = None
        self.open_record: Callable[[], Record] | None = None
        self.simple: list[dict[str, Any]] = []  # see searchkit.training.baselines
        self.source: Source | None = None
        self.clock: Clocks = {}
        self.took = 0.0  # seconds of the whole study, with what came after the last candidate; 0: not on record
        self.timed_blocks: dict[int, BlockCosts] = {}

    def read_timings(self, notes: Callable[[str], Any]) -> None:
        """Take over what a record has noted of clocks and blocks.

        Args:
            notes: key -> what is noted under it, or None.
        """
        self.clock = dict(notes(CLOCK) or {})
        if timed := notes(BLOCKS):
            from searchkit.blocks.block_costs import BlockCosts  # which loads torch

            self.timed_blocks = {int(number): BlockCosts.read(one) for number, one in timed.items()}

    def __getstate__(self) -> dict[str, object]:
        """Without the way to the record, which is this process's."""
        return vars(self) | {"open_record": None}

    @property
    def strategy(self) -> str:
        return str(self.context.get("chosen") or self.context.get("strategy") or "a strategy of your own")

    @property
    def _winners(self) -> list[Trial]:
        return pareto_front(self.trials, self.goals)

    def refresh(self, *_: object) -> None:
        """Drop the cached tables. It is a callback of a running search, whose candidates change them."""
        for table in ("front", "history", "reports", "signals", "verified"):
            vars(self).pop(table, None)

    @cached_property
    def front(self) -> pd.DataFrame:
        """The Pareto front; see the class."""
        table = self._table(self._winners)
        rungs = [f"{metric} ({rung})" for metric in self._metrics for rung in self.context.get("rungs", ())]
        dropped = [*self._columns("batch", "state", "reason", "seconds"), *(name for name in rungs if name in table)]
        if "steps" in table:
            table["steps"] = [self.as_delivered(trial).get("steps", float("nan")) for trial in self._winners]
        return table.drop(columns=dropped)

    def as_delivered(self, trial: Trial) -> dict[str, float]:
        """The values of a candidate; the steps are those of its final training, if any, whose weights are delivered."""
        final = self.finals.get(trial.number, {})
        return trial.values | ({"steps": final["steps"]} if final.get("steps") and "steps" in trial.values else {})

    @cached_property
    def history(self) -> pd.DataFrame:
        """All candidates in the order of asking; see the class."""
        return self._table(self.trials)

    @cached_property
    def reports(self) -> pd.DataFrame:
        """What the user's training function reported: a row for each report, in the order of asking, and of the epochs.

        Columns: ``trial``, the candidate's number in the history, ``epoch``, and the reported names; NaN where a report
        lacks one. Empty for other searches.
        """
        import pandas as pd

        rows = [
            {"trial": trial.number, "epoch": epoch} | values for trial in self.trials for epoch, values in trial.reports
        ]
        return pd.DataFrame(
            rows, columns=list(dict.fromkeys(["trial", "epoch", *(name for row in rows for name in row)]))
        )

    @cached_property
    def signals(self) -> pd.DataFrame:
        """How well each proxy of the search predicted, the most trusted first; see
        :attr:`searchkit.proxy_layer.signals.Signals.trust`.

        Empty for a search without proxies. params and macs have rows too if they are known.
        """
        import pandas as pd

        return pd.DataFrame(self.trust or [], columns=list(TRUST))

    @property
    def space_left(self) -> Space:
        """The space of the options that are left: a smaller one for the next study.

        ``searchkit.run(space=result.space_left)``. An option is left where the study's evaluations do not say that it
        is not the best of its choice, by the rule of the strategy ``shrink``
        (:mod:`searchkit.blocks.shrinking`), which is applied to the record whatever the study's strategy was, with the
        rule's own settings. The candidate that is best in each objective is in it. A network space leaves a network
        space; nothing fell where there were too few evaluations, and then it is the space itself.
        """
        from searchkit.results.space_left import left, shrinking_of

        return left(self, shrinking_of(self))

    @property
    def options_dropped(self) -> pd.DataFrame:
        """The options that are not in :attr:`space_left`, in the order in which they fell.

        An option of the candidate that is best in an objective is in both. Columns: ``choice``, ``option`` (its text),
        ``evaluations`` that had been scored by then, ``chance`` of being the best option of its choice, ``gain``, its
        expected distance from the leading option (below 0, in standard deviations of an objective; NaN where it fell by
        failures), ``left``, the options then left of the choice, and ``evidence``, which says it in words.
        """
        from searchkit.results.space_left import shrinking_of, table

        return table(self, shrinking_of(self))

    @cached_property
    def verified(self) -> pd.DataFrame:
        """Candidates that ``verify=`` trained, the best first, with their scores, such as accuracy."""
        table = self._table([trial for trial in self.trials if trial.number in self.verifications])
        table = table.drop(columns=self._columns("batch", "state", "reason", "seconds"))
        numbers = table[self._columns("trial")[0]]
        names = self.verified_scores
        failed = any("reason" in entry for entry in self.verifications.values())
        for place, name in enumerate([*names, *["reason"] * failed]):
            table.insert(place, name, [self.verifications[number].get(name) for number in numbers])
        lower = bool(names) and sign_of(names[0]) < 0
        return table.sort_values(names[0], ascending=lower, ignore_index=True) if names else table

    @property
    def verified_scores(self) -> list[str]:
        """Names of the scores of what ``verify=`` trained, the first of the task first, that on the test part last."""
        scores = (*SCORES[recorded_task(self.context.get("data", {}))], self.tested)
        return [name for name in scores if any(name in entry for entry in self.verifications.values())]

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

    @cached_property
    def encoder(self) -> FrameEncoder | None:
        """What makes the networks' inputs of a data frame's rows; None where the search had no frame that needs one.

        ``result.build(0)(torch.from_numpy(result.encoder.transform(frame)))``. It is read from the study's folder, and
        as any pickle it can run code: load studies that you trust.

        Raises:
            SearchkitError: its file is gone, or cannot be read.
        """
        from searchkit.data.frames import FILE, kept

        if "frame" not in self.context.get("data", {}):
            return None
        return kept((self.folder or Path()) / FILE)

    @property
    def tested(self) -> str:
        """Name of the score on the test part: the first of the task, such as "test_accuracy", or "test_r2"."""
        return f"test_{SCORES[recorded_task(self.context.get('data', {}))][0]}"

    @property
    def _metrics(self) -> list[str]:
        return list(dict.fromkeys([*self.goals.metrics, *(name for trial in self.trials for name in trial.values)]))

    def _columns(self, *names: str) -> list[str]:
        """Names of columns of the record; one that is also a metric's name is marked."""
        taken = self._metrics
        return [f"{name} (record)" if name in taken else name for name in names]

    def _table(self, trials: list[Trial]) -> pd.DataFrame:
        import pandas as pd

        choices = self.space.decode([trial.code for trial in trials]) if trials else []
        columns: dict[str, Any] = {
            name: [trial.values.get(name, float("nan")) for trial in trials] for name in self._metrics
        }
        if self.test_accuracy:
            columns[self._columns(self.tested)[0]] = [
                self.test_accuracy.get(trial.number, float("nan")) for trial in trials
            ]
        for column, name in zip(self._columns(*RECORDED), RECORDED, strict=True):
            cells = [getattr(trial, RECORDED[name]) for trial in trials]
            columns[column] = [str(cell) for cell in cells] if name == "state" else cells
        for name, choice in zip(self.space.names, self.space.choices, strict=True):
            lacking = float("nan") if isinstance(choice, Float) else None  # of a parameter that does not exist there
            options = [row.get(name, lacking) for row in choices]
            whole = isinstance(choice, Int) and None in options
            named = name if name not in columns else f"{name} (choice)"
            columns[named] = pd.array(options, dtype="Int64") if whole else option_column(options)
        return pd.DataFrame(columns)
