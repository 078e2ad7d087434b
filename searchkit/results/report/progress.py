"""The section on progress: the search's curve beside baselines, and the choice of simpler rules."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import spearmanr

from searchkit.errors import plural
from searchkit.problem.trial import Trial
from searchkit.results.report.convergence import N_POINTS, Convergence
from searchkit.results.report.facts import Facts
from searchkit.results.report.markup import identity, note, nothing, number, table
from searchkit.results.safe_html import Html, fill, joined


def progress(facts: Facts, found: Convergence | None) -> Html:
    """The section, with an element in which the page's script draws the chart."""
    if found is None:
        return nothing("No feasible candidate was scored, so there is no progress to show.")
    figure = fill('<figure class="chart" id="progress"></figure>')
    return joined([figure, _checkpoints(facts, found), _meaning(facts, found), _picks(facts)])


def payload(found: Convergence) -> dict[str, Any]:
    """The data that the script draws, as JSON values."""
    return {
        "measure": found.measure,
        "share": bool(found.reference),
        "curves": [
            {
                "label": curve.label,
                "kind": curve.kind,
                "steps": curve.steps,
                "evaluations": _short(curve.evaluations),
                "seconds": _short(curve.seconds),
                "values": _short(curve.values),
            }
            for curve in found.curves
        ],
    }


def _short(values: Any) -> list[float]:
    return [float(f"{value:.6g}") for value in values]


def _checkpoints(facts: Facts, found: Convergence) -> Html:
    """A table of the curves after some numbers of evaluations, for printing and for browsers without scripts."""
    n = len(facts.finished)
    stops = sorted({max(1, round(n * share)) for share in (0.1, 0.25, 0.5, 0.75, 1)})
    rows = [[curve.label, *(curve.at(stop) for stop in stops)] for curve in found.curves]
    return table([f"{found.measure}, after", *(plural(stop, "evaluation") for stop in stops)], rows)


def _meaning(facts: Facts, found: Convergence) -> Html:
    """Precise definitions of the curves, including the limits of each comparison."""
    kinds = {curve.kind for curve in found.curves}
    said: list[object] = ["An evaluation is a candidate that has an outcome; failures and broken bounds count, too."]
    if found.reference:
        point = ", ".join(f"{name} {number(value)}" for name, value in found.reference.items())
        said.append(
            f"The hypervolume is estimated from {N_POINTS:,} evenly spread points; its reference point, {point}, is a "
            "tenth of the range beyond the worst values of the front, or beyond the 90 % quantile of the scored "
            "candidates if that is worse."
        )
    random = facts.result.strategy.startswith("random") and not len(facts.result.signals)
    flattering = (
        fill("This search was itself random, so this is also the expectation for random search.")
        if random
        else fill(
            "This is not random search, which would have drawn other and usually worse candidates than those that the "
            "strategy and the proxies chose. To compare with random search, run one; "
            "<code>result.report(path, beside=other)</code> draws it here."
        )
    )
    said.append(
        fill(
            "<b>Random order</b>: the expectation if the candidates of this search had been evaluated in random order, "
            "with the same mean time for each. {}",
            flattering,
        )
    )
    if len(facts.result.goals.names) == 1:
        said.append("This expectation is over orders that have a feasible candidate by then.")
    if "params" in kinds:
        said.append(
            fill(
                "<b>Largest params first</b>: the same candidates in the order of decreasing parameters, without those "
                "that break a bound known before training; the seconds are those of their evaluations, scaled to the "
                "same total. It shows how well parameters alone rank the evaluated candidates. Larger networks that "
                "were not evaluated are not included."
            )
        )
    if "other" in kinds:
        said.append(
            "Other searches have the same reference point and are measured in percent of this search's final front, so "
            "they may reach more than 100 %."
            if found.reference
            else "Other searches are drawn with their own bounds."
        )
    return fill('<ul class="note">{}</ul>', joined(fill("<li>{}</li>", line) for line in said))


def _picks(facts: Facts) -> Html:
    """The best candidate of the search, compared with those that simpler rules would choose among the same ones."""
    result = facts.result
    first = result.goals.objectives[0]
    scored = [t for t, fate in zip(result.trials, facts.fates, strict=True) if fate in ("front", "other")]
    if len(scored) < 2 or first.name in ("params", "macs"):
        return joined([])
    values = np.array([trial.values[first.name] for trial in scored])
    names = result.goals.names
    rows: list[list[Any]] = [_row(facts, f"best {first.name}", facts.best)]
    sizes = np.array([trial.values.get("params", np.nan) for trial in scored])
    said = ""
    if np.isfinite(sizes).all() and np.ptp(sizes) > 0:
        rows.append(_row(facts, "most params, within the bounds", scored[int(np.argmax(sizes))]))
        if np.ptp(values) > 0 and len(scored) > 4:
            rho = float(spearmanr(sizes, values).statistic)
            signed = f"{rho:.2f}".replace("-", "−")
            said = f"Among the {len(scored)} scored, the rank correlation of params and {first.name} is {signed}."
    middle = [_median([trial.values[name] for trial in scored]) for name in names]
    rows.append(["median of each objective", "", *middle])
    head = ["rule", "candidate", *(facts.label(name) for name in names)]
    return fill("<h3>The choice of simpler rules among the scored candidates</h3>{}{}", table(head, rows), note([said]))


def _median(values: list[float]) -> float:
    """The median, also of numbers whose sum overflows."""
    return 4.0 * float(np.median(np.array(values) / 4.0))


def _row(facts: Facts, rule: str, trial: Trial) -> list[Any]:
    return [rule, identity(trial.number), *(trial.values[name] for name in facts.result.goals.names)]
