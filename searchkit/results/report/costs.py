"""The section on costs: the range of every metric, how it was measured, its spread, and the time spent."""

from __future__ import annotations

from typing import Any

import numpy as np

from searchkit.errors import duration, plural
from searchkit.problem.trial import State
from searchkit.results.report.facts import SPREAD, Facts
from searchkit.results.report.front_table import measured
from searchkit.results.report.markup import Cell, note, nothing, number, table
from searchkit.results.safe_html import Html, joined

_HOW = {
    "params": "counted exactly",
    "macs": "counted exactly: multiply-accumulates of convolutions and matrix products, one image",
    "peak_memory": "counted: parameters, buffers and live activations in float32, one image",
}
_TRAINED = "of the trained network on the validation part, which the search uses"
_TESTED = "of the front on the test part, which the search does not use, once at the end"


def costs(facts: Facts) -> Html:
    """A table with a row for each metric, and how the time was spent."""
    trials, winners = facts.result.trials, facts.winners
    rows = []
    for name in facts.metrics:
        known = [v for t in trials if np.isfinite(v := facts.value(t, name))]
        if not known:
            continue
        fronts = [v for t in winners if np.isfinite(v := facts.value(t, name))]
        row: list[Any] = [facts.label(name), _goal(facts, name)]
        row += [measured(facts, winners[0], name) if winners else Cell("–")]
        row += [_range(fronts), _range(known), len(known), Cell(_how(facts, name))]
        rows.append(row)
    if not rows:
        return nothing("Nothing was measured.")
    head = ["metric", "goal", "best candidate", "front", "all candidates", "values known", "how it was measured"]
    return joined([table(head, rows, kind="costs"), _time(facts)])


def _goal(facts: Facts, name: str) -> str:
    """ "maximise" or "minimise" for an objective, and the bounds on a metric; may be empty."""
    wanted = {"max": "maximise", "min": "minimise"}.get(facts.directions.get(name, ""), "")
    ends = []
    for bound in facts.result.goals.bounds:
        if bound.name == name:
            ends += [f"≥ {number(bound.low)}"] if np.isfinite(bound.low) else []
            ends += [f"≤ {number(bound.high)}"] if np.isfinite(bound.high) else []
    return ", ".join(filter(None, [wanted, *ends]))


def _range(values: list[float]) -> Cell:
    if not values:
        return Cell("–")
    low, high = min(values), max(values)
    return Cell(number(low) if low == high else f"{number(low)} … {number(high)}")


def _how(facts: Facts, name: str) -> str:
    methods = facts.result.methods.get(name) or [_built_in(facts, name)]
    said = "; or ".join(str(method) for method in methods)
    spreads = [t.values[name + SPREAD] for t in facts.result.trials if name + SPREAD in t.values]
    if spreads:
        low, middle, high = 100 * np.quantile(spreads, [0, 0.5, 1])
        said += (
            f". Interquartile range of its timed blocks: {middle:.2g} % of the median in the median candidate "
            f"({low:.2g} to {high:.2g} %)"
        )
    return said


def _built_in(facts: Facts, name: str) -> str:
    """How searchkit's own metrics are measured."""
    if facts.context.get("kind") != "networks":
        return ""
    if name == facts.result.tested:
        return _TESTED
    return _TRAINED if facts.context.get("units", {}).get(name) == "validation part" else _HOW.get(name, "")


def _time(facts: Facts) -> Html:
    """How the time of the search was spent."""
    seconds = np.array([trial.seconds for trial in facts.result.trials if trial.finished])
    if not len(seconds):
        return joined([])
    spent, until, took = float(seconds.sum()), facts.seconds, facts.took
    said = [f"The search took {duration(took)}, of which it ran for {duration(until)} until its last candidate ended."]
    if spent <= until:
        said.append(
            f"Evaluations took {duration(spent)} of that, the rest preparations, proposals, proxies and recording."
        )
    else:
        said.append(f"Evaluations took {duration(spent)} in total, since workers ran in parallel.")
    finals = [float(entry["seconds"]) for entry in facts.result.finals.values() if "seconds" in entry]
    if finals:
        said.append(
            f"Then {plural(len(finals), 'final training')} of winners took {duration(sum(finals))}"
            f"{' in total, some in parallel or later' if sum(finals) > took - until else ''}; scores on the test part "
            "came last."
        )
    scored = [trial.seconds for trial in facts.result.trials if trial.state is State.SCORED]
    if scored:
        said.append(
            f"A scored candidate took {duration(float(np.median(scored)))} (median; at most {duration(max(scored))})."
        )
    lost = sum(trial.seconds for trial in facts.result.trials if trial.state is State.FAILED)
    if lost:
        said.append(f"{duration(lost)} was spent on candidates that failed.")
    return note(said)
