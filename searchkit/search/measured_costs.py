"""What targets have measured so far of a study's candidates, and of other networks that were measured before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict

import numpy as np

from searchkit.costs.targets.answers import Answer
from searchkit.costs.targets.prediction import Measurement
from searchkit.costs.task_scores import AT
from searchkit.errors import DeviceGoneError
from searchkit.problem.trial import Trial
from searchkit.search.target_columns import measured_columns
from searchkit.space import keys
from searchkit.types import Codes

RUNTIME = "onnxruntime "  # how the version begins in what a target of ours says of a measurement


class Checked(TypedDict):
    """A network that was measured before a search, as a candidate, and what was measured of it; JSON values."""

    code: list[int]
    counts: dict[str, float]
    values: dict[str, float]
    methods: dict[str, str]


Columns = tuple[dict[str, float], dict[str, str]]  # values by column, and how they were measured


class MeasuredCosts:
    """The measured columns of networks, each found by its code."""

    def __init__(self) -> None:
        self._known: dict[bytes, Columns] = {}
        self._counts: dict[bytes, Measurement] = {}

    def remember(self, code: Codes, counts: Mapping[str, float]) -> None:
        """Keep the params and macs of a candidate ``(d,)``."""
        params, macs = counts.get("params", np.nan), counts.get("macs", np.nan)
        self._counts.setdefault(key_of(code), Measurement(code, params, macs, np.nan))

    def counts(self, code: Codes) -> Measurement:
        """What :meth:`remember` has kept; its value is NaN."""
        return self._counts[key_of(code)]

    def keep(self, code: Codes, values: Mapping[str, float], methods: Mapping[str, str]) -> None:
        """Keep what was measured of a candidate."""
        kept = self._known.setdefault(key_of(code), ({}, {}))
        kept[0].update(values)
        kept[1].update(methods)

    def go_on(self, trials: Sequence[Trial]) -> None:
        """Take over what earlier runs of the study have measured."""
        for trial in trials:
            self.remember(trial.code, trial.values)
            own = measured_columns(trial.values)
            if own:
                self.keep(trial.code, own, {name: text for name, text in trial.methods.items() if name in own})

    def of(self, name: str, asked: Sequence[str], code: Codes) -> Columns | None:
        """The columns of one target that are known of a candidate; None unless all metrics asked of it are."""
        values, methods = self._known.get(key_of(code), ({}, {}))
        own = {column: value for column, value in values.items() if target_of(column) == name}
        if not own or any(f"{metric}{AT}{name}" not in own for metric in asked):
            return None
        return own, {column: text for column, text in methods.items() if column in own}

    def points(self, column: str) -> list[Measurement]:
        """All candidates of which a column was measured."""
        found = []
        for key, (values, _) in self._known.items():
            if column in values:
                one = self._counts[key]
                found.append(Measurement(one.code, one.params, one.macs, values[column]))
        return found

    def check_runtime(self, name: str, answer: Answer) -> None:
        """Refuse another version of ONNX Runtime than that of the study's other measurements on a target.

        Raises:
            DeviceGoneError: it is another one.
        """
        now = _runtime(answer.label)
        before = {
            _runtime(text)
            for _, methods in self._known.values()
            for column, text in methods.items()
            if target_of(column) == name
        } - {None}
        if now is not None and before and now not in before:
            raise DeviceGoneError(
                f"target '{name}' has {now}, and the study's other candidates were measured with "
                f"{', '.join(sorted(str(one) for one in before))}: install that version there, or begin another study"
            )


def key_of(code: Codes) -> bytes:
    """What a candidate ``(d,)`` is found by."""
    return keys(code[None])[0]


def columns_of(name: str, answer: Answer) -> Columns:
    """An answer as columns: ``latency_ms@phone``, its spread ``latency_ms@phone_spread``, and how it was measured."""
    values = {}
    for metric, value in answer.values.items():
        own = metric.removesuffix("_spread")
        values[f"{own}{AT}{name}{metric[len(own) :]}"] = value
    label = answer.label or f"as the target '{name}' says"
    return values, {f"{metric}{AT}{name}": label for metric in answer.values if not metric.endswith("_spread")}


def target_of(column: str) -> str:
    """``"phone"`` of ``"latency_ms@phone_spread"``."""
    return column.rpartition(AT)[2].removesuffix("_spread")


def _runtime(label: str) -> str | None:
    """ "onnxruntime 1.20.1" of how something was measured; None where that is not said."""
    return next((part for part in label.split(", ") if part.startswith(RUNTIME)), None)
