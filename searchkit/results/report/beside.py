"""The section that has the front beside simple models on the same data."""

from __future__ import annotations

from searchkit.errors import duration
from searchkit.results.baselines import best_network, score_of, shortfall
from searchkit.results.report.facts import Facts
from searchkit.results.report.markup import cell, note, table
from searchkit.results.safe_html import Html, joined


def beside(facts: Facts) -> Html:
    """The best of the front and each simple model, with their scores; empty where no simple model is on record."""
    result = facts.result
    if not result.simple:
        return joined([])
    score, tested = score_of(result), result.tested
    network, missing = best_network(result), float("nan")
    rows = [
        [
            row["model"],
            cell(float(row["validation"].get(score, missing))),
            cell(float(row["test"].get(tested.removeprefix("test_"), missing))),
            duration(row["seconds"]),
            row["rows"],
            row["reason"],
        ]
        for row in result.simple
    ]
    if network is not None:
        test = missing if network.test is None else network.test
        rows.insert(0, ["the best of the front", cell(network.validation), cell(test), "", "", ""])
    said = shortfall(result)
    if said:
        said = f"{said[0].upper()}{said[1:]}."
    elif network is not None:
        without = [row["model"] for row in result.simple if not row["validation"] and not row["test"]]
        said = "The best of the front is above the best of them on every part that has scores of both."
        if without:
            said = (
                f"The best of the front is above those that have scores. That says little: {', '.join(without)} "
                f"{'has' if len(without) == 1 else 'have'} none."
            )
    notes = ["Models of scikit-learn, fitted on the same train part and scored on the same parts as the networks."]
    head = ["model", f"{score} (validation part)", f"{tested} (test part)", "fitted in", "rows", "note"]
    return joined([note([*notes, said] if said else notes), table(head, rows)])
