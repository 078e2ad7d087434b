"""Costs on targets in a search: measured once, predicted where a target gives no answer, and measured when it is back.

The values of a target that was not able to measure a candidate are those of a simple model, and stand beside a column
``"<metric>@<target>_predicted"`` with the standard error of the prediction, about its relative error. A measurement is
on record as soon as it is made, so that none is repeated when a search was killed.

A target with ``first`` measures so many networks before the search. Candidates have predicted costs on it, and those
that may be on the front are measured before the search ends.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import numpy as np

from searchkit.costs.targets.answers import Answer
from searchkit.costs.targets.asking import Question, ask_all
from searchkit.costs.targets.target import Target, asked_of
from searchkit.costs.task_scores import AT
from searchkit.errors import TargetError
from searchkit.problem.objectives import Bound, Goals
from searchkit.problem.trial import State, Trial, pareto_front
from searchkit.search.measured_costs import Checked, Columns, MeasuredCosts, columns_of, key_of
from searchkit.search.predicted_costs import PredictedCosts
from searchkit.search.slow_targets import SlowTarget
from searchkit.search.target_columns import is_mark, next_to_measure
from searchkit.storage.measured_notes import PREDICTED
from searchkit.types import Codes

log = logging.getLogger("searchkit")

LOST = 3  # candidates one after another that a target with ``first`` cannot measure, after which it is asked no more
AGAIN = 2  # times that these candidates are tried once more, while the target answers for others
ROUNDS = 4  # times that a candidate is tried on a target, each with the target's repeats while it is not away

File = Callable[[Codes], AbstractContextManager[Path]]  # makes the ONNX file of a candidate
Late = Iterator[tuple[Trial, dict[str, float], dict[str, str]]]  # a candidate, its columns, and how they were measured


class TargetCosts:
    """Measures the costs of candidates on targets.

    Args:
        targets: those that are asked through a file, by name.
        metrics: names of the metrics of the search.
        bounds: those of the search.
        slow: of targets with ``first``, their models by name.
        here: columns of this machine, as another target that measures everything.
    """

    def __init__(
        self,
        targets: Mapping[str, Target],
        metrics: Iterable[str],
        bounds: Sequence[Bound],
        slow: Mapping[str, SlowTarget],
        here: Sequence[str] = (),
    ) -> None:
        names = list(metrics)
        self._targets, self._asked = targets, {name: asked_of(names, name) for name in targets}
        self._away: set[str] = set()
        self.measured, self.slow = MeasuredCosts(), slow
        self.predicted = PredictedCosts(self._asked, self.measured, slow, bounds, here)
        self._rounds: dict[tuple[str, bytes], int] = {}  # attempts at a candidate that failed, each with its repeats

    def check(
        self, path: Path, code: Codes, counts: Mapping[str, float], names: Iterable[str] | None = None
    ) -> Checked:
        """Measure a network before the search.

        Args:
            path: its ONNX file.
            code, counts: the network as a candidate, and its params and macs.
            names: targets that have to measure it; the others that measure every candidate are asked as well. All have
                to where not given.

        Returns:
            what :meth:`take_check` takes in a later run of the study; JSON values.

        Raises:
            TargetError: a target gives no measurement, or not of a metric that is asked of it.
        """
        needed = list(self._targets if names is None else names)
        asked = [name for name in self._targets if name in needed or name not in self.slow]
        questions = {
            name: Question(self._targets[name], self._asked[name]) for name in asked if not self._of(name, code)
        }
        values, methods = dict[str, float](), dict[str, str]()
        for name, answer in ask_all(questions, path).items():
            if isinstance(answer, Answer):
                self.measured.check_runtime(name, answer)
                found = columns_of(name, answer)
                values |= found[0]
                methods |= found[1]
            elif name in needed:
                raise TargetError(f"target '{name}' cannot measure a first network: it {answer}") from answer
        kept = {name: counts[name] for name in ("params", "macs")}
        checked: Checked = {"code": code.tolist(), "counts": kept, "values": values, "methods": methods}
        self.take_check(checked)
        return checked

    def take_check(self, checked: Checked) -> None:
        """Take over what :meth:`check` has measured, here or in an earlier run of the study.

        Of a target whose costs are no metrics of the search, and are only to be seen, one is asked for from now on, so
        that it is predicted and measured later as others are.
        """
        for column in checked["methods"]:
            metric, _, name = column.rpartition(AT)
            if name in self._asked and not self._asked[name]:
                self._asked[name] = [metric]
        code = np.array(checked["code"], dtype=np.int64)
        self.measured.remember(code, checked["counts"])
        self.measured.keep(code, checked["values"], checked["methods"])

    def __call__(self, code: Codes, counts: Mapping[str, float], path: Path) -> Columns:
        """The columns of all targets for a candidate ``(d,)``; what cannot be measured is predicted.

        Args:
            counts: its params and macs, and its columns of this machine.
            path: its ONNX file.
        """
        self.measured.remember(code, counts)
        self.measured.keep(code, {name: counts[name] for name in self.predicted.here if name in counts}, {})
        values, methods = dict[str, float](), dict[str, str]()
        for found in self._measured(self._every, code, path).values():
            values |= found[0]
            methods |= found[1]
        for name in self.slow:
            found = self._of(name, code) or self.predicted(name, [code])[0]
            values |= found[0]
            methods |= found[1]
        return values, methods

    def asked(self, name: str) -> list[str]:
        """The metrics that are asked of a target."""
        return self._asked[name]

    @property
    def _every(self) -> list[str]:
        """The targets that measure every candidate."""
        return [name for name in self._targets if name not in self.slow]

    def __bool__(self) -> bool:
        return bool(self._targets)

    def complete(self, code: Codes) -> bool:
        """Whether everything that targets are asked of a candidate now is known, so that it needs no file."""
        return all(self._of(name, code) is not None for name in self._every)

    def late(self, trials: Sequence[Trial], goals: Goals, ending: bool, file_of: File) -> Late:
        """Measure what finished candidates lack on targets that answer; those on the front come first.

        Args:
            ending: the search is about to end, so targets that were away are asked once more, and those with ``first``
                for candidates that may be on the front.
            file_of: makes the ONNX file of a candidate.

        Yields:
            a candidate with its measured columns, and how they were measured.
        """
        front = {trial.number for trial in pareto_front(trials, goals)}
        order = (State.SCORED, State.DROPPED, State.INFEASIBLE, State.FAILED)
        lacking = [trial for trial in trials if trial.finished and self._lacking(trial, self._every)]
        silent = set() if ending else set(self._away)
        for trial in sorted(lacking, key=lambda trial: (trial.number not in front, order.index(trial.state))):
            yield from self._late(trial, self._every, silent, file_of)
        if ending and self.slow:
            yield from self._winners(trials, goals, file_of)

    def _late(self, trial: Trial, among: Iterable[str], silent: set[str], file_of: File) -> Late:
        """Measure one candidate on targets that are not silent; those that give no answer are from then on."""
        names = [name for name in self._lacking(trial, among) if name not in silent]
        values, methods = dict[str, float](), dict[str, str]()
        if names:
            with file_of(trial.code) as path:
                for name, found in self._measured(names, trial.code, path).items():
                    if name in self._away:
                        silent.add(name)
                        continue
                    values |= found[0]
                    methods |= found[1]
        if values:
            yield trial, values, methods

    def _winners(self, trials: Sequence[Trial], goals: Goals, file_of: File) -> Late:
        """Measure what may be on the front on targets with ``first``, by predictions that are made anew each time."""
        lost, tried, n, again = dict.fromkeys(self.slow, 0), set[tuple[str, int]](), 0, 0
        while True:
            current = self._predicted_anew(trials)
            asked = {t.number: self._lacking(t, [name for name in lost if lost[name] < LOST]) for t in trials}
            asked = {number: [name for name in names if (name, number) not in tried] for number, names in asked.items()}
            open_ = {number for number, names in asked.items() if names}
            number = next_to_measure([trial for trial, _ in current], goals, self.predicted.columns(self.slow), open_)
            if number is None and again < AGAIN and any(lost[name] < LOST for name, _ in tried):
                tried, again = set(), again + 1  # those that could not be measured, while the target answers others
                continue
            if number is None:
                break
            silent = set[str]()
            for found in self._late(next(t for t in trials if t.number == number), asked[number], silent, file_of):
                n += 1
                yield found
            tried |= {(name, number) for name in silent}
            lost |= {name: lost[name] + 1 if name in silent else 0 for name in asked[number]}
        if n:
            said = "%d of %d candidates may be on the front and were measured on %s before the end"
            log.info(said, n, len(trials), ", ".join(f"'{name}'" for name in self.slow))
        before = {trial.number: trial for trial in trials}
        for trial, methods in current:
            if methods and trial.values != before[trial.number].values:
                names = [name for name in trial.values if name in methods or name.removesuffix(PREDICTED) in methods]
                yield before[trial.number], {name: trial.values[name] for name in names}, methods

    def _predicted_anew(self, trials: Sequence[Trial]) -> list[tuple[Trial, dict[str, str]]]:
        """The candidates, predicted by what is measured now, and how; as they are where nothing is predicted."""
        found = {trial.number: (replace(trial, values=dict(trial.values)), dict[str, str]()) for trial in trials}
        for name in self.slow:
            lacking = [t for t in trials if t.state is State.SCORED and name in self._marked(t)]
            columns = self.predicted(name, [trial.code for trial in lacking]) if lacking else []
            for trial, (values, methods) in zip(lacking, columns, strict=True):
                found[trial.number][0].values.update(values)
                found[trial.number][1].update(methods)
        return list(found.values())

    def _lacking(self, trial: Trial, names: Iterable[str]) -> list[str]:
        """Targets, of some, whose values of a candidate are predicted, and that may be asked for them once more."""
        predicted, key = self._marked(trial), key_of(trial.code)
        return [name for name in names if name in predicted and self._rounds.get((name, key), 0) < ROUNDS]

    @staticmethod
    def _marked(trial: Trial) -> set[str]:
        return {name.removesuffix(PREDICTED).rpartition(AT)[2] for name in trial.values if is_mark(name)}

    def _of(self, name: str, code: Codes) -> Columns | None:
        return self.measured.of(name, self._asked[name], code)

    def _measured(self, names: Iterable[str], code: Codes, path: Path) -> dict[str, Columns]:
        """The columns of some targets by name, measured now or before, else predicted."""
        known = {name: self._of(name, code) for name in names}
        lacking = [name for name, columns in known.items() if columns is None]
        questions = {
            name: Question(self._targets[name], self._asked[name], 1 if name in self._away else None)
            for name in lacking
        }
        answers = ask_all(questions, path) if questions else {}
        return {name: columns or self._taken(name, code, answers[name]) for name, columns in known.items()}

    def _taken(self, name: str, code: Codes, answer: Answer | TargetError) -> Columns:
        """The columns of what a target has answered by now."""
        if isinstance(answer, TargetError):
            if name not in self._away:
                log.warning("target '%s' %s; its costs are predicted until it answers again", name, answer)
            self._away.add(name)
            self._rounds[name, key_of(code)] = self._rounds.get((name, key_of(code)), 0) + 1
            return self.predicted(name, [code], str(answer))[0]
        if name in self._away:
            log.info("target '%s' answers again", name)
            self._away.discard(name)
        self.measured.check_runtime(name, answer)
        found = columns_of(name, answer)
        self.measured.keep(code, *found)
        return found
