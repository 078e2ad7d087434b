"""The section on what each proxy was worth: its rank correlation with what was observed, and the interval of that."""

from __future__ import annotations

from typing import Any

from searchkit.problem.trial import State
from searchkit.results.report.facts import Facts
from searchkit.results.report.markup import Cell, note, number, table
from searchkit.results.safe_html import Html, fill, joined

_WIDTH, _HEIGHT = 220, 18  # of the drawing of one interval, in CSS pixels


def proxies(facts: Facts) -> Html:
    """The section; empty for a search without proxies."""
    signals = facts.result.signals
    if not len(signals):
        return joined([])
    rows = [_row({str(key): value for key, value in row.items()}) for row in signals.to_dict("records")]
    scored = sum(trial.state is State.SCORED for trial in facts.result.trials)
    head = ["proxy", "−1 … 0 … +1", "rank correlation", "95 % interval", "weight", "it"]
    said = (
        "The correlation is Spearman's, with what training brought of the objective that had to be "
        f"learned ({scored:,} candidates scored). These candidates were picked by the same proxies, among others: "
        "within a choice of good ones a correlation is lower than in the space as a whole. The weight is a proxy's "
        "share in the judgement at the end. Rows without one are free counts that did not judge: a proxy is worth its "
        "cost by what it tells beyond them."
    )
    return joined([table(head, rows, kind="proxies"), note([said])])


def _row(row: dict[str, Any]) -> list[Any]:
    rho, low, high, weight = (_known(row[key]) for key in ("rho", "low", "high", "weight"))
    interval = "–" if low is None or high is None else f"{_signed(low)} to {_signed(high)}"
    return [
        Cell(fill("<b>{}</b>", row["proxy"])),
        Cell(_drawn(rho, low, high)),
        Cell(_signed(rho), rho if rho is not None else float("-inf")),
        Cell(interval),
        Cell("" if weight is None else _bar(weight), -1.0 if weight is None else weight),
        _verdict(rho, low, high),
    ]


def _known(value: Any) -> float | None:
    return None if value is None or value != value else float(value)


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.2f}".replace("-", "−")


def _verdict(rho: float | None, low: float | None, high: float | None) -> str:
    if rho is None or low is None or high is None:
        return "could not be judged"
    if low > 0:
        return "tells better from worse"
    return "points the wrong way" if high < 0 else "cannot be told from chance"


def _bar(weight: float) -> Html:
    share = max(0.0, min(1.0, weight))
    return fill('<span class="bar" style="--share:{:.3f}"></span>{} %', share, number(round(100 * weight)))


def _drawn(rho: float | None, low: float | None, high: float | None) -> Html:
    """A dot on its interval, over the range of a correlation."""

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
