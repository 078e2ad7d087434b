"""The section on how the search went: its curve beside baselines, and what simpler rules would have picked."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import spearmanr

from searchkit.problem.trial import Trial
from searchkit.results.report.convergence import N_POINTS, Convergence
from searchkit.results.report.facts import Facts
from searchkit.results.report.markup import identity, note, nothing, number, plural, table
from searchkit.results.safe_html import Html, fill, joined


def progress(facts: Facts, found: Convergence | None) -> Html:
    """The section, with an element that the page's script draws in."""
    if found is None:
        return nothing("Nothing feasible was scored, so that there is no progress to draw.")
    figure = fill('<figure class="chart" id="progress"></figure>')
    return joined([figure, _checkpoints(facts, found), _meaning(facts, found), _picks(facts)])


def payload(found: Convergence) -> dict[str, Any]:
    """What the script draws."""
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
    """The curves at a quarter, a half and three quarters: to be read in print and without a script."""
    n = len(facts.finished)
    stops = sorted({max(1, round(n * share)) for share in (0.1, 0.25, 0.5, 0.75, 1)})
    rows = [[curve.label, *(curve.at(stop) for stop in stops)] for curve in found.curves]
    return table([f"{found.measure}, after", *(plural(stop, "evaluation") for stop in stops)], rows)


def _meaning(facts: Facts, found: Convergence) -> Html:
    """What each curve is, precisely; a baseline that flatters or wrongs somebody says so."""
    kinds = {curve.kind for curve in found.curves}
    said: list[object] = [
        "An evaluation is a candidate that came to an outcome, a failure or a broken bound among them."
    ]
    if found.reference:
        point = ", ".join(f"{name} {number(value)}" for name, value in found.reference.items())
        said.append(
            f"The hypervolume is counted on {N_POINTS:,} evenly spread points, with {point} as the reference point: a "
            "tenth beyond the front's worst values, or beyond what nine in ten of the scored candidates keep to."
        )
    random = facts.result.strategy.startswith("random") and not len(facts.result.signals)
    flattering = (
        fill("This search was itself random, so that this is also what random search reaches.")
        if random
        else fill(
            "It is not random search. The strategy and the proxies chose these candidates, and a random search would "
            "have drawn others, as a rule worse ones; how it does is known after running it, and "
            "<code>result.report(path, beside=other)</code> draws it here."
        )
    )
    said.append(
        fill(
            "<b>Random order</b>: what the candidates of this very record would have reached in expectation, had they "
            "been evaluated in random order at the same mean pace. {}",
            flattering,
        )
    )
    if len(facts.result.goals.names) == 1:
        said.append("Orders that have no feasible candidate by then are left out of that expectation.")
    if "params" in kinds:
        said.append(
            fill(
                "<b>Largest params first</b>: the same candidates in the order of their parameters, those left out "
                "that break a bound known before training; its seconds are those that their evaluations took, scaled "
                "to the same total. It says what parameters alone tell among what was evaluated. Larger networks of "
                "the space that were not evaluated are not in it."
            )
        )
    if "other" in kinds:
        said.append(
            "Other searches are held against the same reference point and this search's final front, of which they may "
            "reach more than 100 %."
            if found.reference
            else "Other searches are drawn as they went, under their own bounds."
        )
    return fill('<ul class="note">{}</ul>', joined(fill("<li>{}</li>", line) for line in said))


def _picks(facts: Facts) -> Html:
    """The search's best beside what simpler rules would have taken of the same candidates."""
    result = facts.result
    first = result.goals.objectives[0]
    scored = [t for t, fate in zip(result.trials, facts.fates, strict=True) if fate in ("front", "other")]
    if len(scored) < 2 or first.name in ("params", "macs"):
        return joined([])
    values = np.array([trial.values[first.name] for trial in scored])
    names = result.goals.names
    rows: list[list[Any]] = [_row(facts, f"best {first.name}", facts.winners[0])]
    sizes = np.array([trial.values.get("params", np.nan) for trial in scored])
    said = ""
    if np.isfinite(sizes).all() and np.ptp(sizes) > 0:
        rows.append(_row(facts, "most params, within the bounds", scored[int(np.argmax(sizes))]))
        if np.ptp(values) > 0 and len(scored) > 4:
            rho = float(spearmanr(sizes, values).statistic)
            said = f"Among the {len(scored)} scored, params and {first.name} have the rank correlation {rho:.2f}."
    middle = [_median([trial.values[name] for trial in scored]) for name in names]
    rows.append(["the middle one (median of each objective)", "", *middle])
    head = ["taken from the scored candidates by", "candidate", *(facts.label(name) for name in names)]
    return fill("<h3>What simpler rules would have picked</h3>{}{}", table(head, rows), note([said]))


def _median(values: list[float]) -> float:
    """The median, also of numbers whose sum overflows."""
    return 4.0 * float(np.median(np.array(values) / 4.0))


def _row(facts: Facts, rule: str, trial: Trial) -> list[Any]:
    return [rule, identity(trial.number), *(trial.values[name] for name in facts.result.goals.names)]
