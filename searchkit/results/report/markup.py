"""Numbers that read well, and tables: what every part of the page is written with, beside ``safe_html``."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from searchkit.results.safe_html import Html, fill, joined, text


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Attributes:
        html: what it shows; text that is no Html is escaped where the cell is written.
        value: by which its column is sorted; None: by the text.
    """

    html: Html | str
    value: float | None = None


def number(value: float | None) -> str:
    """Whole numbers with their thousands set apart, others with four significant digits, a dash for none."""
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{value:,.0f}".replace("-", "−")
    shown = f"{value:,.0f}" if 1e4 <= abs(value) < 1e15 else f"{value:.4g}"
    return shown.replace("-", "−")


def duration(seconds: float) -> str:
    """Seconds as a person says them: 40 µs, 12 ms, 1.4 s, 3 min 12 s, 2 h 5 min."""
    if seconds < 0.9995:
        return f"{1e3 * seconds:.3g} ms" if seconds >= 0.0009995 or not seconds else f"{1e6 * seconds:.3g} µs"
    if seconds < 59.5:
        return f"{seconds:.2g} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes} min" if minutes else f"{hours:,} h"


def plural(n: int, one: str, many: str | None = None) -> str:
    """ "1 candidate", "12 candidates"."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def identity(n: int) -> Cell:
    """The number of a candidate: a name, not an amount."""
    return Cell(str(n), float(n))


def cell(value: Any) -> Cell:
    """A number or text as it stands in a table; the exact number is what the column is sorted by."""
    if isinstance(value, Cell):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Cell(number(float(value)), float(value))
    return Cell(text(value))


def table(head: Sequence[str], rows: Iterable[Sequence[Any]], *, sortable: bool = False, kind: str = "") -> Html:
    """A table that scrolls sideways where it is wider than the page.

    Args:
        head: column names, not escaped.
        rows: a value, or a :class:`Cell`, per column.
        sortable: the column names sort it when they are clicked.
        kind: its class.
    """
    body = [[cell(value) for value in row] for row in rows]
    right = [any(row[j].value is not None for row in body) for j in range(len(head))]
    heads = joined(
        fill('<th scope="col"{}>{}</th>', _class(on), _sorter(name) if sortable else name)
        for name, on in zip(head, right, strict=True)
    )
    lines = (fill("<tr>{}</tr>", joined(_td(c, on) for c, on in zip(row, right, strict=True))) for row in body)
    return fill(
        '<div class="wide" tabindex="0"><table class="{}"><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>',
        " ".join(filter(None, [kind, "sortable" if sortable else ""])),
        heads,
        joined(lines),
    )


def pairs(rows: Iterable[tuple[object, object]]) -> Html:
    """A list of terms and what they are."""
    return fill("<dl>{}</dl>", joined(fill("<dt>{}</dt><dd>{}</dd>", name, value) for name, value in rows))


def folded(summary: str, body: str, kind: str = "") -> Html:
    """Something that opens on a click."""
    return fill('<details class="{}"><summary>{}</summary>{}</details>', kind, summary, body)


def note(said: Iterable[object]) -> Html:
    """A paragraph of sentences in small print."""
    return fill('<p class="note">{}</p>', joined(said, " "))


def nothing(said: str) -> Html:
    """A paragraph that says why a section is empty."""
    return fill('<p class="nothing">{}</p>', said)


def _sorter(name: str) -> Html:
    return fill('<button type="button">{}</button>', name)


def _class(right: bool) -> Html:
    return fill(' class="number"') if right else fill("")


def _td(c: Cell, right: bool) -> Html:
    value = fill("") if c.value is None else fill(' data-value="{!r}"', c.value)
    return fill("<td{}{}>{}</td>", _class(right), value, c.html)
