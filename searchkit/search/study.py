"""The study that a search writes: its record and its trials. Only this class changes a trial."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from searchkit.errors import plural, readable
from searchkit.execution.outcome import Outcome
from searchkit.problem.trial import State, Trial
from searchkit.search.target_columns import measured_columns
from searchkit.storage.measured_notes import measured_key, take_measured
from searchkit.storage.record import Record
from searchkit.types import Codes

log = logging.getLogger("searchkit")


class Study:
    """Owns the record of a search and its trials. Every change of a trial is a method here, which also records it.

    Args:
        record: contains the trials of earlier runs of the study, and receives the new ones.
    """

    def __init__(self, record: Record) -> None:
        self._record = record

    @property
    def trials(self) -> list[Trial]:
        """Every candidate, in the order of asking."""
        return self._record.trials

    def ask(self, codes: Codes, batch: int, begun: Sequence[Trial] = ()) -> list[Trial]:
        """Record new candidates of a batch, and return the whole batch.

        Args:
            codes: ``(n, d)``.
            batch: the batch's number.
            begun: trials of this batch that are on record already, where a killed process wrote only a part of it.
        """
        total, first = len(begun) + len(codes), len(self.trials)
        new = [Trial(first + i, batch, total, code) for i, code in enumerate(codes)]
        for trial in begun:
            trial.batch_size = total
        if new:
            self._record.ask(new)
        return [*begun, *new]

    def measured(self, trial: Trial, values: Mapping[str, float], methods: Mapping[str, str]) -> None:
        """Store the costs of a candidate; they reach the record with its outcome, those of targets at once."""
        trial.values |= values
        trial.methods = dict(methods)
        self._note_measured(trial, values, methods)

    def measured_late(self, trial: Trial, values: Mapping[str, float], methods: Mapping[str, str]) -> None:
        """Record what was measured of a finished candidate, in the place of what was predicted or measured before."""
        take_measured(trial, values, methods)
        noted = (self.notes(measured_key(trial.code)) or {}).get("values", {})
        self._note_measured(trial, trial.values, trial.methods, {*noted, *values})

    def _note_measured(
        self, trial: Trial, values: Mapping[str, float], methods: Mapping[str, str], late: Iterable[str] = ()
    ) -> None:
        own = measured_columns(values) | {name: values[name] for name in late if name in values}
        if own:
            said = {name: text for name, text in methods.items() if name in own}
            self._record.note(measured_key(trial.code), {"values": own, "methods": said})

    def spent(self, trial: Trial, seconds: float) -> None:
        """Add the time of an evaluation that has to be repeated."""
        trial.seconds += seconds

    def reached(self, trial: Trial, rung: int, values: Mapping[str, float], score: float, seconds: float) -> None:
        """Record the evaluation of a candidate at a rung of the ladder.

        Args:
            values: metric values, under names that contain the rung.
            score: the value by which candidates are compared at this rung.
        """
        trial.values |= values
        trial.seconds += seconds
        self._record.reach(trial, rung, score)

    def finish(self, trial: Trial, state: State, outcome: Outcome, elapsed: float) -> None:
        """Record how a candidate ended.

        Args:
            elapsed: seconds that the study has taken so far.
        """
        trial.values |= outcome.values
        trial.state, trial.traceback, trial.reports = state, outcome.traceback, list(outcome.reports)
        trial.reason = None if outcome.reason is None else readable(outcome.reason)
        trial.seconds, trial.elapsed = round(trial.seconds + outcome.seconds, 6), round(elapsed, 3)
        self._record.finish(trial)

    def note(self, key: str, value: object) -> None:
        """Store a JSON value under a key of the study."""
        self._record.note(key, value)

    def notes(self, key: str) -> Any:
        """The value stored under a key, or None."""
        return self._record.notes(key)


def go_on(record: Record, name: str, header: dict[str, Any]) -> None:
    """Log how a continued study differs from its last run, and store the arguments of this run."""
    now = header["context"]
    before = record.notes("latest") or getattr(record, "header", header)["context"]
    if record.trials:
        log.info("continuing study '%s' with %s on record", name, plural(len(record.trials), "candidate"))
        for what in _changed(before, now):
            log.warning("study '%s' is continued with %s; give another name to keep the two apart", name, what)
    if before != now:
        record.note("latest", now)


def _changed(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """How a call differs from the one before, in words; parts that an older record lacks count as unchanged."""
    changed = []
    if any(before.get(key) != now[key] for key in ("strategy", "strategy_function")):
        changed.append("another strategy")
    if before.get("function") != now["function"]:
        changed.append("another version of the evaluated function or space")
    targets, now_targets = before.get("targets", {}), now.get("targets", {})
    for name in now_targets:
        if name in targets and targets[name] != now_targets[name]:
            changed.append(f"another target '{name}'")
    parts = before.get("parts") or now["parts"]
    words = {
        "batch": "another batch",
        "start": "other candidates to start with",
        "proxies": "other proxies, or other settings of them",
        "screen": "another screen",
        "time_limit": "another time limit",
    }
    return changed + [said for key, said in words.items() if parts.get(key) != now["parts"].get(key)]
