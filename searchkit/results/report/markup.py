"""Formatting for all sections of the page, on top of ``safe_html``: numbers, durations and tables."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from searchkit.results.safe_html import Html, fill, joined, text


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Attributes:
        html: its content; text that is no Html is escaped when the cell is written.
        value: the number by which its column is sorted; None: the column is sorted by the text.
    """

    html: Html | str
    value: float | None = None


def number(value: float | None) -> str:
    """Whole numbers with separators of thousands, others with four significant digits; a dash for None and NaN."""
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{value:,.0f}".replace("-", "−")
    shown = f"{value:,.0f}" if 1e4 <= abs(value) < 1e15 else f"{value:.4g}"
    return shown.replace("-", "−")


def identity(n: int) -> Cell:
    """The number of a candidate, without separators of thousands."""
    return Cell(str(n), float(n))


def cell(value: object) -> Cell:
    """A number or text as a cell; columns are sorted by the exact number."""
    if isinstance(value, Cell):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Cell(number(float(value)), float(value))
    return Cell(text(value))


def table(
    head: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    sortable: bool = False,
    kind: str = "",
    keyed: int | None = None,
) -> Html:
    """A table, which scrolls sideways if it is wider than the page.

    Args:
        head: column names, not escaped.
        rows: a value or a :class:`Cell` for each column.
        sortable: a click on a column's name sorts by it.
        kind: its CSS class.
        keyed: the column whose number identifies a row, so that a page that lives knows it again.
    """
    body = [[cell(value) for value in row] for row in rows]
    right = [any(row[j].value is not None for row in body) for j in range(len(head))]
    heads = joined(
        fill('<th scope="col"{}>{}</th>', _class(on), _sorter(name) if sortable else name)
        for name, on in zip(head, right, strict=True)
    )
    lines = (
        fill("<tr{}>{}</tr>", _key(row, keyed), joined(_td(c, on) for c, on in zip(row, right, strict=True)))
        for row in body
    )
    return fill(
        '<div class="wide" tabindex="0" role="group" aria-label="{}">'
        '<table class="{}"><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>',
        f"Table of {', '.join(head[:4])}{' and more' if len(head) > 4 else ''}",
        " ".join(filter(None, [kind, "sortable" if sortable else ""])),
        heads,
        joined(lines),
    )


def pairs(rows: Iterable[tuple[object, object]]) -> Html:
    """A list of terms and their descriptions."""
    return fill("<dl>{}</dl>", joined(fill("<dt>{}</dt><dd>{}</dd>", name, value) for name, value in rows))


def folded(summary: str, body: str, kind: str = "") -> Html:
    """Content that opens on a click."""
    return fill('<details class="{}"><summary>{}</summary>{}</details>', kind, summary, body)


def drawn(label: str, picture: Html) -> Html:
    """A drawing, which scrolls sideways if it is wider than the page; the label is read out where that is reached."""
    return fill('<figure class="wide" tabindex="0" role="group" aria-label="{}">{}</figure>', label, picture)


def code(label: str, text: str) -> Html:
    """A block of code or output, which scrolls."""
    return fill('<pre tabindex="0" role="group" aria-label="{}"><code>{}</code></pre>', label, text)


def share(value: float, shown: str) -> Html:
    """A share from 0 to 1 as a bar with its text."""
    return fill('<span class="bar" style="--share:{:.3f}"></span><span class="share">{}</span>', value, shown)


def note(said: Iterable[object]) -> Html:
    """A paragraph of sentences in small type."""
    return fill('<p class="note">{}</p>', joined(said, " "))


def nothing(said: str) -> Html:
    """A paragraph with the reason why a section is empty."""
    return fill('<p class="nothing">{}</p>', said)


def _sorter(name: str) -> Html:
    return fill('<button type="button">{}</button>', name)


def _key(row: Sequence[Cell], keyed: int | None) -> Html:
    return fill("") if keyed is None else fill(' data-key="{!r}"', row[keyed].value)


def _class(right: bool) -> Html:
    return fill(' class="number"') if right else fill("")


def _td(c: Cell, right: bool) -> Html:
    value = fill("") if c.value is None else fill(' data-value="{!r}"', c.value)
    return fill("<td{}{}>{}</td>", _class(right), value, c.html)
