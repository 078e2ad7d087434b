"""The section on candidates that were trained after a search without training."""

from __future__ import annotations

from searchkit.costs.metrics import sign_of
from searchkit.results.report.facts import Facts
from searchkit.results.report.markup import cell, identity, note, table
from searchkit.results.safe_html import Html, joined


def verified(facts: Facts) -> Html:
    """The scores of ``verify=``, beside the objectives of the search; empty if nothing was verified."""
    result = facts.result
    if not result.verifications:
        return joined([])
    names = result.verified_scores
    first, sign = (names[0], sign_of(names[0])) if names else ("", 1.0)
    entries = sorted(result.verifications.items(), key=lambda item: -sign * item[1].get(first, -sign * float("inf")))
    rows = [
        [
            identity(trial),
            *(cell(float(entry.get(name, float("nan")))) for name in names),
            *(facts.value(result.trials[trial], name) for name in result.goals.names),
        ]
        for trial, entry in entries
    ]
    head = ["candidate", *names, *(facts.label(name) for name in result.goals.names)]
    said = f"The {len(rows)} best candidates of this search without training: scores after training, and objectives."
    return joined([note([said]), table(head, rows, sortable=True)])
