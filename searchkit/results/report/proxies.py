"""The section on proxies: the rank correlation of each with the observed values, with its confidence interval."""

from __future__ import annotations

from typing import Any

from searchkit.problem.trial import State
from searchkit.results.report.facts import Facts
from searchkit.results.report.markup import Cell, note, number, share, table
from searchkit.results.safe_html import Html, fill, joined

_WIDTH, _HEIGHT = 220, 18  # size of the drawing of one interval, in CSS pixels


def proxies(facts: Facts) -> Html:
    """The section; empty for a search without proxies."""
    signals = facts.result.signals
    if not len(signals):
        return joined([])
    rows = [_row({str(key): value for key, value in row.items()}) for row in signals.to_dict("records")]
    scored = sum(trial.state is State.SCORED for trial in facts.result.trials)
    head = ["proxy", "−1 … 0 … +1", "rank correlation", "95 % interval", "among the best", "nDCG", "weight", "verdict"]
    said = (
        "Spearman's rank correlation with the objective that the proxies predict, as it was observed "
        f"({scored:,} candidates scored). The same proxies helped to choose these candidates; within such a selection "
        "of good candidates, a correlation is lower than in the whole space. Among the best: the same, in which the "
        "best candidates count most. nDCG: how good the tenth is that the proxy says is best, 1 as good as can be. "
        "The weight is a proxy's share in the final prediction. Rows without a weight are counts that cost "
        "nothing and were not used; a proxy is worth computing only if it predicts better than these."
    )
    return joined([table(head, rows, kind="proxies"), note([said])])


def _row(row: dict[str, Any]) -> list[Any]:
    rho, low, high, top, gain, weight = (_known(row[key]) for key in ("rho", "low", "high", "top", "ndcg", "weight"))
    interval = "–" if low is None or high is None else f"{_signed(low)} to {_signed(high)}"
    return [
        Cell(fill("<b>{}</b>", row["proxy"])),
        Cell(_drawn(rho, low, high)),
        Cell(_signed(rho), rho if rho is not None else float("-inf")),
        Cell(interval),
        Cell(_signed(top), top if top is not None else float("-inf")),
        Cell("–" if gain is None else f"{gain:.2f}", gain if gain is not None else float("-inf")),
        Cell("" if weight is None else _bar(weight), -1.0 if weight is None else weight),
        _verdict(rho, low, high),
    ]


def _known(value: Any) -> float | None:
    return None if value is None or value != value else float(value)


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.2f}".replace("-", "−")


def _verdict(rho: float | None, low: float | None, high: float | None) -> str:
    if rho is None or low is None or high is None:
        return "not known"
    if low > 0:
        return "predicts the order"
    return "predicts the reverse order" if high < 0 else "not distinguishable from chance"


def _bar(weight: float) -> Html:
    return share(max(0.0, min(1.0, weight)), f"{number(round(100 * weight))} %")


def _drawn(rho: float | None, low: float | None, high: float | None) -> Html:
    """A drawing of a correlation as a dot and of its interval as a line, on a scale from -1 to 1."""

    def x(value: float) -> float:
        return round(6 + (value + 1) / 2 * (_WIDTH - 12), 1)

    middle = _HEIGHT / 2
    line = '<line class="{0}" x1="{1}" x2="{2}" y1="{3}" y2="{4}"/>'
    marks = [fill(line, "axis", x(v), x(v), 1, _HEIGHT - 1) for v in (-1, 0, 1)]
    kind = "for" if low is not None and low > 0 else "against" if high is not None and high < 0 else "open"
    if low is not None and high is not None:
        marks.append(fill(line, f"interval {kind}", x(low), x(high), middle, middle))
    if rho is not None:
        marks.append(fill('<circle class="dot {}" cx="{}" cy="{}" r="4.5"/>', kind, x(rho), middle))
    said = "not known" if rho is None else f"{_signed(rho)}, from {_signed(low)} to {_signed(high)}"
    return fill(
        '<svg class="rho" viewBox="0 0 {0} {1}" width="{0}" height="{1}" role="img" aria-label="{2}">{3}</svg>',
        _WIDTH,
        _HEIGHT,
        said,
        joined(marks),
    )
