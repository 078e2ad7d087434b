"""The reports of training functions in a search: shared while it runs, kept with its trials, learned from."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from searchkit.execution.outcome import Outcome
from searchkit.problem.objectives import Goals
from searchkit.problem.trial import State, Trial
from searchkit.training.fidelity import ENOUGH
from searchkit.training.reports import Curve, Reports
from searchkit.training.stopping_rules import Rule
from searchkit.types import Codes, Floats

log = logging.getLogger("searchkit")


class Reporting:
    """What training functions report in one run of a search.

    Args:
        home: the folder of the study's files.
        goals: the objectives and bounds.
        trained: the objectives that a training function reports or returns.
        costs: the objectives that are known before it is called.
        called: what messages call the function.
        rule: by which trainings stop early; None: they do not.
    """

    def __init__(
        self, home: Path, goals: Goals, trained: Sequence[str], costs: Sequence[str], called: str, rule: Rule | None
    ) -> None:
        self._shared, self._goals, self._trained, self._costs = Reports(home), goals, tuple(trained), tuple(costs)
        self._called, self._rule = called, rule
        self._said: set[str] = set()

    def begin(self, trials: Sequence[Trial], seconds: float | None) -> None:
        """Share what is on record, and nothing else: what a killed run left of other candidates is not.

        Args:
            seconds: of the study after which no candidate begins, which is logged; None: no limit.
        """
        self._shared.renew(self._known(trials))
        if seconds is not None:
            log.info(
                "plan: %s decides how long it trains, so candidates begin until %.4g s, those that have begun are "
                "trained to their end, and winners are not trained longer", self._called, seconds,
            )  # fmt: skip

    def announce(self, trial: Trial) -> None:
        """Begin to share the reports of a candidate that is about to be trained."""
        self._shared.announce(trial.code, self._curve(trial))

    def completed(self, trial: Trial, outcome: Outcome) -> Outcome:
        """The outcome with what was reported, also of a training that has failed; what speaks against it is logged."""
        there = self._shared.of(trial.code)
        if outcome.reports and there is not None and not there.reports:  # from a machine that does not see the folder
            self._shared.announce(trial.code, replace(there, reports=outcome.reports))
            if self._rule is not None:
                self._say_once(
                    "early stopping compares nothing on workers that do not see the folder %s: they train every "
                    "candidate in full", self._shared.folder,
                )  # fmt: skip
        if outcome.ignored:
            self._say_once(
                "%s went on after report(...) had returned True, first for candidate %d: return from it then; such a "
                "candidate counts with what it had when it was stopped", self._called, trial.number,
            )  # fmt: skip
        if outcome.reports or there is None:
            return outcome
        return replace(outcome, reports=there.reports)

    def hints(self, batch: Sequence[Trial], trials: Sequence[Trial]) -> Floats:
        """Losses ``(n, k)`` that stopped trials of the batch would have after all of their training; else NaN.

        A trained objective is extrapolated from the last report by a straight line, fitted to what the candidates that
        were trained in full had at the same epoch and in the end; where these are fewer than three, it is the one that
        was reported. Costs are exact.

        Args:
            trials: the trials of the search up to and including the batch.
        """
        scored = [trial for trial in trials if trial.state is State.SCORED]
        rows = []
        for trial in batch:
            stopped = trial.state is State.DROPPED and trial.reports
            rows.append(
                {name: self._predicted(name, trial, scored) if stopped else np.nan for name in self._goals.names}
            )
        return self._goals.losses({name: np.array([row[name] for row in rows]) for name in self._goals.names})

    def ended(self, trials: Sequence[Trial]) -> None:
        """Say at the end of a search which epochs of the rule no training came to, so that nothing was compared there.

        Args:
            trials: of the search.
        """
        lasts = [trial.reports[-1][0] for trial in trials if trial.state is State.SCORED and trial.reports]
        if self._rule is None or not lasts:
            return
        missed = self._rule.unreached(max(lasts))
        if missed:
            epochs = " and ".join(f"{epoch:g}" for epoch in missed)
            log.warning(
                "early stopping compared nothing at epoch %s: the reports of %s end at epoch %g, so give it more "
                "epochs, or let early stopping begin before", epochs, self._called, max(lasts),
            )  # fmt: skip

    def close(self) -> None:
        """Share nothing any more; the record has it."""
        self._shared.clear()

    def _predicted(self, name: str, trial: Trial, scored: Sequence[Trial]) -> float:
        if name not in self._trained:
            return trial.values.get(name, np.nan)
        epoch, values = trial.reports[-1]
        reached = [(self._curve(one).at(epoch), one.values.get(name)) for one in scored]
        pairs = [(early[name], final) for early, final in reached if early and name in early and final is not None]
        value = values.get(name, np.nan)
        if len(pairs) < ENOUGH:
            return value
        x, y = np.array(pairs).T
        slope = max(float(np.cov(x, y)[0, 1] / (x.var(ddof=1) or 1.0)), 0.0)
        return float(y.mean() + slope * (value - x.mean()))

    def _curve(self, trial: Trial) -> Curve:
        costs = {name: trial.values[name] for name in self._costs if name in trial.values}
        return Curve(trial.batch, costs, tuple(trial.reports))

    def _known(self, trials: Sequence[Trial]) -> Iterator[tuple[Codes, Curve]]:
        yield from ((trial.code, self._curve(trial)) for trial in trials if trial.finished and trial.reports)

    def _say_once(self, said: str, *given: object) -> None:
        if said not in self._said:
            self._said.add(said)
            log.warning(said, *given)
