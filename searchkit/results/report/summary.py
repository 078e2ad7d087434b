"""The head of the page: what was searched, by whom, how it ended, and the few numbers that matter most."""

from __future__ import annotations

from searchkit.results.report.candidates import told
from searchkit.results.report.facts import Facts
from searchkit.results.report.front_table import measured
from searchkit.results.report.markup import duration, number, plural, text


def summary(facts: Facts) -> str:
    """Title, two sentences and a row of numbers."""
    result, context = facts.result, facts.context
    data = (context.get("data") or {}).get("name")
    on = f" on {text(data)}" if data else ""
    wanted = " and ".join(f"{'the most' if d == 'max' else 'the least'} {text(n)}" for n, d in facts.directions.items())
    bounds = f", with {text(facts.bounds)}" if result.goals.bounds else ""
    what = "Networks of the space" if context.get("kind") == "networks" else "Candidates of the space"
    name, _, why = result.strategy.partition(": ")
    chosen = "chosen automatically: " if context.get("strategy") == "auto" else ""
    reason = f" <span>({chosen}{text(why)})</span>" if why else ""
    counted = f" {told(facts)}." if result.trials else " It has no candidate yet."
    return (
        f'<header><p class="kicker">searchkit study</p><h1>{text(result.name)}</h1>'
        f"<p class='lead'>{what} <b>{text(result.space.name)}</b>{on}, for {wanted}{bounds}. "
        f"Proposed by <b>{text(name)}</b>{reason}.</p>"
        f"<p>How it ended: {text(facts.ended)}.{counted}</p>{_numbers(facts)}</header>"
    )


def _numbers(facts: Facts) -> str:
    shown: list[tuple[str, str]] = []
    for name in facts.result.goals.names[:3] if facts.winners else ():
        sign = max if facts.directions[name] == "max" else min
        best = sign(facts.winners, key=lambda trial: trial.values[name])
        shown.append((measured(facts, best, name).html, f"best {text(facts.label(name))}"))
    shown.append((number(len(facts.winners)), "on the front"))
    shown.append((number(len(facts.finished)), plural(len(facts.finished), "evaluation").split(" ", 1)[1]))
    if facts.counts["failed"]:
        shown.append((number(facts.counts["failed"]), "failed"))
    shown.append((duration(facts.seconds), "search time"))
    return '<ul class="numbers">' + "".join(f"<li><b>{value}</b> {label}</li>" for value, label in shown) + "</ul>"
