"""The front as a table: values with their spreads, and the choices of each candidate."""

from __future__ import annotations

from typing import Any

from searchkit.problem.trial import Trial
from searchkit.results.report.facts import SPREAD, Facts
from searchkit.results.report.markup import Cell, folded, identity, note, nothing, number, table
from searchkit.results.safe_html import Html, fill, joined

MOST = 500  # rows; the chart has all of them
_WIDE = 56  # characters of all choices, above which they share one column
_OPEN = 12  # choices in one cell, above which they are folded
_SHOWN = 12  # rows that are visible at first


def front_table(facts: Facts) -> Html:
    """One row for each candidate, sorted by the first objective, best first; sortable by other columns."""
    result, winners = facts.result, facts.winners[:MOST]
    if not winners:
        return nothing("The front is empty.")
    metrics = [name for name in facts.metrics if any(facts.value(t, name) == facts.value(t, name) for t in winners)]
    names = list(result.space.names)
    decoded = result.space.decode([trial.code for trial in winners])
    wide = sum(max(len(name), *(len(str(row.get(name, ""))) for row in decoded)) for name in names) > _WIDE
    rows = []
    for i, (trial, choices) in enumerate(zip(winners, decoded, strict=True)):
        values = [measured(facts, trial, name) for name in metrics]
        told = [_joined(choices)] if wide else [Cell(str(choices.get(name, "–"))) for name in names]
        rows.append([identity(i), identity(trial.number), *values, *told])
    head = ["row", "candidate", *(facts.label(name) for name in metrics), *(["choices"] if wide else names)]
    many = len(rows) > _SHOWN
    notes = []
    if any(SPREAD in name for trial in winners for name in trial.values):
        notes.append("± is half the interquartile range of the repeated measurements, relative to their median.")
    if len(facts.winners) > MOST:
        notes.append(f"The first {MOST:,} of {len(facts.winners):,} candidates; the chart shows all.")
    button = fill('<button type="button" class="more">all {:,} rows</button>', len(rows)) if many else ""
    kind = f"front{' long' if many else ''}"
    return joined([table(head, rows, sortable=True, kind=kind, keyed=1), button, note(notes) if notes else ""])


def measured(facts: Facts, trial: Trial, metric: str) -> Cell:
    """A value, with its spread if that was measured."""
    value = facts.value(trial, metric)
    if value != value:
        return Cell("–", float("-inf"))
    spread = trial.values.get(metric + SPREAD)
    beside = "" if spread is None else fill(" <small>± {:.2g} %</small>", 50 * spread)
    return Cell(joined([number(value), beside]), value)


def _joined(choices: dict[str, Any]) -> Cell:
    listed = joined((fill("{} <b>{}</b>", name, option) for name, option in choices.items()), " · ")
    shown = fill('<div class="choices">{}</div>', listed)
    return Cell(shown if len(choices) <= _OPEN else folded(f"{len(choices)} choices", shown, "print"))
