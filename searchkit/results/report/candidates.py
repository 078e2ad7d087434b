"""All candidates as data for the page's script: values, choices, and the outcome of each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from searchkit.errors import plural
from searchkit.results.drawable import drawable
from searchkit.results.report.facts import FATES, SPREAD, Facts
from searchkit.results.result import Result
from searchkit.space import Choice
from searchkit.space.parameters import texts_of

_LONGEST = 160  # characters of a reason in the hover text


def candidates(facts: Facts) -> dict[str, Any]:
    """JSON values; a candidate is one entry of every list under "trials" and of each metric's values."""
    result = facts.result
    spreads = {name: name + SPREAD for name in facts.metrics if any(name + SPREAD in t.values for t in result.trials)}
    first, *more = result.goals.names
    texts, places = _chosen(result)
    return {
        "fates": [{"name": name, "label": label, "count": facts.counts[name]} for name, label in FATES.items()],
        "metrics": [
            {
                "name": name,
                "label": facts.label(name),
                "direction": facts.directions.get(name),
                "values": _short([facts.value(trial, name) for trial in result.trials]),
                "spread": _short([t.values.get(spreads[name], math.nan) for t in result.trials])
                if name in spreads
                else None,
            }
            for name in facts.metrics
        ],
        "tested": result.tested if result.test_accuracy else None,
        "objectives": list(result.goals.names),
        "x": more[0] if more else None,
        "y": first,
        "colour": more[1] if len(more) > 1 else None,
        "choices": [{"name": name, "options": [_cut(text) for text in texts]} for name, texts in texts],
        "trials": {
            "code": places,
            "fate": [list(FATES).index(fate) for fate in facts.fates],
            "reason": [_cut(trial.reason) for trial in result.trials],
        },
    }


def _chosen(result: Result) -> tuple[list[tuple[str, Sequence[str]]], list[list[int]]]:
    """Parameters with the texts of their options, and for each candidate which of these it has.

    Of numbers, and of parameters that some candidates lack, the texts are those that occur.
    """
    codes = [trial.code.tolist() for trial in result.trials]
    if result.space.is_finite or not codes:
        return [(c.name, c.texts if isinstance(c, Choice) else ()) for c in result.space.choices], codes
    rows = np.array(codes, dtype=np.int64)
    exists = result.space.active(rows)
    texts: list[tuple[str, Sequence[str]]] = []
    places = np.empty_like(rows)
    for j, choice in enumerate(result.space.choices):
        known, places[:, j] = np.unique(np.where(exists[:, j], rows[:, j], -1), return_inverse=True)
        there = known[known >= 0].tolist()
        texts.append((choice.name, ["–"] * (len(known) - len(there)) + texts_of(choice, there)))
    return texts, places.tolist()


def told(facts: Facts) -> str:
    """How many candidates of each outcome there are, as text."""
    return ", ".join(
        f"{plural(n, 'candidate')} {label}" if i == 0 else f"{n:,} {label}"
        for i, (n, label) in enumerate(
            (facts.counts[name], label) for name, label in FATES.items() if facts.counts[name]
        )
    )


def _short(values: list[float]) -> list[float | None]:
    """Values for the charts, rounded; None for unknown values and extreme outliers."""
    kept = drawable(np.array(values, dtype=np.float64))
    return [float(f"{value:.7g}") if fine else None for value, fine in zip(values, kept, strict=True)]


def _cut(reason: str | None) -> str | None:
    return reason if reason is None or len(reason) <= _LONGEST else reason[: _LONGEST - 1] + "…"
