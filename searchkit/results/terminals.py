"""What is drawn on a terminal: whether there is one, in which styles, and tables."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal, TextIO

if TYPE_CHECKING:
    from rich.table import Table


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a person reads a stream on a terminal."""
    try:
        return stream is not None and stream.isatty()
    except (OSError, ValueError):
        return False


def styles() -> Literal["auto"] | None:
    """The ``color_system`` of rich's consoles: None, by which bold is left out as well, where NO_COLOR is set."""
    return None if os.environ.get("NO_COLOR") else "auto"


def table_of(labels: list[str], columns: list[tuple[str, list[str]]], numeric: list[bool]) -> Table:
    """A table of rich's; the first row, the best, stands out.

    Args:
        labels: in front of the rows; may be empty.
        columns: a name and the cells of each.
        numeric: which columns stand on the right.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    if labels:
        table.add_column("", style="dim", justify="right", no_wrap=True)
    for (name, _), right in zip(columns, numeric, strict=True):
        table.add_column(Text(name), justify="right" if right else "left", overflow="fold")
    rows = zip(*(cells for _, cells in columns), strict=True)
    for i, row in enumerate(rows):
        label = [Text(labels[i])] if labels else []
        table.add_row(*label, *map(Text, row), style="bold green" if i == 0 else None)
    return table
