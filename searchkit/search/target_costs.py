"""Costs on targets in a search: measured once, predicted where a target gives no answer, and measured when it is back.

The values of a target that was not able to measure a candidate are those of a simple model, and stand beside a column
``"<metric>@<target>_predicted"`` with the standard error of the prediction, about its relative error. A measurement is
on record as soon as it is made, so that none is repeated when a search was killed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypedDict

import numpy as np

from searchkit.costs.metrics import AT
from searchkit.costs.targets.answers import Answer
from searchkit.costs.targets.asking import Question, ask_all
from searchkit.costs.targets.prediction import NO_MODEL, Measurement, predict
from searchkit.costs.targets.target import Target, asked_of
from searchkit.errors import DeviceGoneError, TargetError, readable
from searchkit.problem.objectives import Bound, Goals
from searchkit.problem.trial import State, Trial, pareto_front
from searchkit.search.target_columns import is_mark, measured_columns
from searchkit.space import keys
from searchkit.storage.measured_notes import PREDICTED
from searchkit.types import Codes

log = logging.getLogger("searchkit")

ROUNDS = 4  # times that a candidate is tried on a target, each with the target's repeats while it is not away
RUNTIME = "onnxruntime "  # how the version begins in what a target of ours says of a measurement


class Checked(TypedDict):
    """A first network as a candidate, and what was measured of it before a search; JSON values."""

    code: list[int]
    counts: dict[str, float]
    values: dict[str, float]
    methods: dict[str, str]


Columns = tuple[dict[str, float], dict[str, str]]  # values by column, and how they were measured


class TargetCosts:
    """Measures the costs of candidates on targets.

    Args:
        targets: those that are asked through a file, by name.
        metrics: names of the metrics of the search.
        bounds: those of the search.
    """

    def __init__(self, targets: Mapping[str, Target], metrics: Iterable[str], bounds: Sequence[Bound]) -> None:
        self._targets, self._bounds = targets, {bound.name: bound for bound in bounds}
        names = list(metrics)
        self._asked = {name: asked_of(names, name) for name in targets}
        self._away: set[str] = set()
        self._known: dict[bytes, Columns] = {}  # by candidate: what its targets have measured
        self._counts: dict[bytes, Measurement] = {}
        self._rounds: dict[tuple[str, bytes], int] = {}  # attempts at a candidate that failed, each with its repeats

    def check(self, path: Path, code: Codes, counts: Mapping[str, float]) -> Checked:
        """Measure a first network on every target, before the search.

        Args:
            path: its ONNX file.
            code, counts: the network as a candidate, and its params and macs.

        Returns:
            what :meth:`take_check` takes in a later run of the study; JSON values.

        Raises:
            TargetError: a target gives no measurement, or not of a metric that is asked of it.
        """
        counts = {name: counts[name] for name in ("params", "macs")}
        values, methods = dict[str, float](), dict[str, str]()
        questions = {name: Question(target, self._asked[name]) for name, target in self._targets.items()}
        for name, answer in ask_all(questions, path).items():
            if isinstance(answer, TargetError):
                raise TargetError(f"target '{name}' cannot measure a first small network: it {answer}") from answer
            found = _columns(name, answer)
            values |= found[0]
            methods |= found[1]
        checked: Checked = {"code": code.tolist(), "counts": counts, "values": values, "methods": methods}
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
        self._remember(code, checked["counts"])
        self._keep(code, checked["values"], checked["methods"])

    def go_on(self, trials: Sequence[Trial]) -> None:
        """Take over what earlier runs of the study have measured."""
        for trial in trials:
            self._remember(trial.code, trial.values)
            own = measured_columns(trial.values)
            if own:
                said = {name: text for name, text in trial.methods.items() if name in own}
                self._keep(trial.code, own, said)

    def __call__(self, code: Codes, counts: Mapping[str, float], path: Path) -> Columns:
        """The columns of all targets for a candidate ``(d,)``; what cannot be measured is predicted.

        Args:
            counts: its params and macs.
            path: its ONNX file.
        """
        self._remember(code, counts)
        values, methods = dict[str, float](), dict[str, str]()
        for found in self._measured(self._targets, code, path).values():
            values |= found[0]
            methods |= found[1]
        return values, methods

    def __bool__(self) -> bool:
        return bool(self._targets)

    def complete(self, code: Codes) -> bool:
        """Whether everything that targets are asked of a candidate is known, so that it needs no file."""
        return all(self._of(name, code) is not None for name in self._targets)

    def late(
        self,
        trials: Sequence[Trial],
        goals: Goals,
        ending: bool,
        file_of: Callable[[Codes], AbstractContextManager[Path]],
    ) -> Iterator[tuple[Trial, dict[str, float], dict[str, str]]]:
        """Measure what finished candidates lack on targets that answer; those on the front come first.

        Args:
            ending: the search is about to end, so targets that were away are asked once more.
            file_of: makes the ONNX file of a candidate.

        Yields:
            a candidate with its measured columns, and how they were measured.
        """
        front = {trial.number for trial in pareto_front(trials, goals)}
        order = (State.SCORED, State.DROPPED, State.INFEASIBLE, State.FAILED)
        lacking = [trial for trial in trials if trial.finished and self._lacking(trial)]
        silent = set() if ending else set(self._away)
        for trial in sorted(lacking, key=lambda trial: (trial.number not in front, order.index(trial.state))):
            names = [name for name in self._lacking(trial) if name not in silent]
            if not names:
                continue
            values, methods = dict[str, float](), dict[str, str]()
            with file_of(trial.code) as path:
                for name, found in self._measured(names, trial.code, path).items():
                    if name in self._away:
                        silent.add(name)
                        continue
                    values |= found[0]
                    methods |= found[1]
            if values:
                yield trial, values, methods

    def _lacking(self, trial: Trial) -> list[str]:
        """Targets whose values of a candidate are predicted, and that may be asked for them once more."""
        predicted = {name.removesuffix(PREDICTED).rpartition(AT)[2] for name in trial.values if is_mark(name)}
        key = _key(trial.code)
        return [name for name in self._targets if name in predicted and self._rounds.get((name, key), 0) < ROUNDS]

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
            self._rounds[name, _key(code)] = self._rounds.get((name, _key(code)), 0) + 1
            return self._predicted(name, code, str(answer))
        if name in self._away:
            log.info("target '%s' answers again", name)
            self._away.discard(name)
        self._check_runtime(name, answer)
        found = _columns(name, answer)
        self._keep(code, *found)
        return found

    def _predicted(self, name: str, code: Codes, reason: str) -> Columns:
        values, methods = dict[str, float](), dict[str, str]()
        this = self._counts[_key(code)]
        for metric in self._asked[name]:
            column = f"{metric}{AT}{name}"
            points = self._points(column)
            if not points:
                raise TargetError(f"target '{name}' {reason}, and has measured no other candidate to predict from")
            made = predict(points, code, this.params, this.macs)
            bound = self._bounds.get(column)
            no_model = made.error >= NO_MODEL and bound is not None
            values[column] = float(np.clip(made.value, bound.low, bound.high)) if no_model and bound else made.value
            values[column + PREDICTED] = made.error
            methods[column] = readable(f"predicted from {made.n} candidates, since the target {reason}")
        return values, methods

    def _points(self, column: str) -> list[Measurement]:
        found = []
        for key, (values, _) in self._known.items():
            if column in values:
                one = self._counts[key]
                found.append(Measurement(one.code, one.params, one.macs, values[column]))
        return found

    def _of(self, name: str, code: Codes) -> Columns | None:
        """The columns of one target that are known; None unless all that is asked of it are."""
        values, methods = self._known.get(_key(code), ({}, {}))
        own = {column: value for column, value in values.items() if _target_of(column) == name}
        asked = [f"{metric}{AT}{name}" for metric in self._asked[name]]
        if not own or any(column not in own for column in asked):
            return None
        return own, {column: text for column, text in methods.items() if column in own}

    def _keep(self, code: Codes, values: Mapping[str, float], methods: Mapping[str, str]) -> None:
        kept = self._known.setdefault(_key(code), ({}, {}))
        kept[0].update(values)
        kept[1].update(methods)

    def _remember(self, code: Codes, counts: Mapping[str, float]) -> None:
        params, macs = counts.get("params", np.nan), counts.get("macs", np.nan)
        self._counts.setdefault(_key(code), Measurement(code, params, macs, np.nan))

    def _check_runtime(self, name: str, answer: Answer) -> None:
        """Refuse another version of ONNX Runtime than that of the study's other measurements on the target."""
        now = _runtime(answer.label)
        before = {
            _runtime(text)
            for _, methods in self._known.values()
            for column, text in methods.items()
            if _target_of(column) == name
        } - {None}
        if now is not None and before and now not in before:
            raise DeviceGoneError(
                f"target '{name}' has {now}, and the study's other candidates were measured with "
                f"{', '.join(sorted(str(one) for one in before))}: install that version there, or begin another study"
            )


def _key(code: Codes) -> bytes:
    return keys(code[None])[0]


def _columns(name: str, answer: Answer) -> Columns:
    """An answer as columns: ``latency_ms@phone``, its spread ``latency_ms@phone_spread``, and how it was measured."""
    values = {}
    for metric, value in answer.values.items():
        own = metric.removesuffix("_spread")
        values[f"{own}{AT}{name}{metric[len(own) :]}"] = value
    label = answer.label or f"as the target '{name}' says"
    return values, {f"{metric}{AT}{name}": label for metric in answer.values if not metric.endswith("_spread")}


def _target_of(column: str) -> str:
    return column.rpartition(AT)[2].removesuffix("_spread")


def _runtime(label: str) -> str | None:
    """ "onnxruntime 1.20.1" of how something was measured; None where that is not said."""
    return next((part for part in label.split(", ") if part.startswith(RUNTIME)), None)
