"""Escaped text, numbers that read well, and tables: what every part of the page is written with."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Attributes:
        html: what it shows, escaped already.
        value: by which its column is sorted; None: by the text.
    """

    html: str
    value: float | None = None


def text(given: object) -> str:
    """Anything as text that is safe inside an element and inside an attribute."""
    return html.escape(str(given), quote=True)


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


def table(head: Sequence[str], rows: Iterable[Sequence[Any]], *, sortable: bool = False, kind: str = "") -> str:
    """A table that scrolls sideways where it is wider than the page.

    Args:
        head: column names, not escaped.
        rows: a value, or a :class:`Cell`, per column.
        sortable: the column names sort it when they are clicked.
        kind: its class.
    """
    body = [[cell(value) for value in row] for row in rows]
    right = [any(row[j].value is not None for row in body) for j in range(len(head))]
    heads = "".join(
        f'<th scope="col"{_class(on)}>{_sorter(name) if sortable else text(name)}</th>'
        for name, on in zip(head, right, strict=True)
    )
    lines = (f"<tr>{''.join(_td(c, on) for c, on in zip(row, right, strict=True))}</tr>" for row in body)
    classes = " ".join(filter(None, [kind, "sortable" if sortable else ""]))
    return (
        f'<div class="wide" tabindex="0"><table class="{classes}"><thead><tr>{heads}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def pairs(rows: Iterable[tuple[str, str]]) -> str:
    """A list of terms and what they are; the second of each pair is HTML already."""
    return f"<dl>{''.join(f'<dt>{text(name)}</dt><dd>{value}</dd>' for name, value in rows)}</dl>"


def folded(summary: str, body: str, kind: str = "") -> str:
    """Something that opens on a click; both are HTML already."""
    return f'<details class="{kind}"><summary>{summary}</summary>{body}</details>'


def _sorter(name: str) -> str:
    return f'<button type="button">{text(name)}</button>'


def _class(right: bool) -> str:
    return ' class="number"' if right else ""


def _td(c: Cell, right: bool) -> str:
    value = "" if c.value is None else f' data-value="{c.value!r}"'
    return f"<td{_class(right)}{value}>{c.html}</td>"
