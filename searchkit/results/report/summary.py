"""The head of the page: what was searched, by which strategy, how it ended, and the most important numbers."""

from __future__ import annotations

from searchkit.errors import duration, plural
from searchkit.results.report.candidates import told
from searchkit.results.report.facts import Facts
from searchkit.results.report.front_table import measured
from searchkit.results.report.markup import number
from searchkit.results.safe_html import Html, fill, joined


def summary(facts: Facts) -> Html:
    """The title, two sentences and a row of numbers."""
    result, context = facts.result, facts.context
    data = (context.get("data") or {}).get("name")
    on = f" on {data}" if data else ""
    wanted = " and ".join(f"{'the most' if d == 'max' else 'the least'} {n}" for n, d in facts.directions.items())
    bounds = f", with {facts.bounds}" if result.goals.bounds else ""
    what = "Networks of the space" if context.get("kind") == "networks" else "Candidates of the space"
    name, _, why = result.strategy.partition(": ")
    chosen = "chosen automatically: " if context.get("strategy") == "auto" else ""
    reason = fill(" <span>({}{})</span>", chosen, why) if why else ""
    counted = f" {told(facts)}." if result.trials else " It has no candidate yet."
    lead = fill("{} <b>{}</b>{}, for {}{}. ", what, result.space.name, on, wanted, bounds)
    return fill(
        '<header><p class="kicker">searchkit study</p><h1>{}</h1><p class="lead">{}Proposed by <b>{}</b>{}.</p>'
        "<p>{}: {}.{}</p>{}</header>",
        result.name,
        lead,
        name,
        reason,
        "On record" if facts.is_loaded else "How it ended",
        facts.ended,
        counted,
        _numbers(facts),
    )


def _numbers(facts: Facts) -> Html:
    shown: list[tuple[str, str]] = []
    for name in facts.result.goals.names[:3] if facts.winners else ():
        sign = max if facts.directions[name] == "max" else min
        best = sign(facts.winners, key=lambda trial: trial.values[name])
        shown.append((measured(facts, best, name).html, f"best {facts.label(name)}"))
    shown.append((number(len(facts.winners)), "on the front"))
    shown.append((number(len(facts.finished)), plural(len(facts.finished), "evaluation").split(" ", 1)[1]))
    if facts.counts["failed"]:
        shown.append((number(facts.counts["failed"]), "failed"))
    shown.append((duration(facts.took), "search time"))
    items = joined(fill("<li><b>{}</b> {}</li>", value, label) for value, label in shown)
    return fill('<ul class="numbers">{}</ul>', items)
