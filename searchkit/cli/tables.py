"""Tables and colours on a terminal; plain text elsewhere, where programs read it.

Colours are left out where ``NO_COLOR`` is set (https://no-color.org) or ``TERM`` is "dumb".
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Literal, TextIO

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a person reads a stream on a terminal."""
    try:
        return stream is not None and stream.isatty()
    except (OSError, ValueError):
        return False


def shown_progress() -> Literal["table"] | None:
    """How a search shows its progress: a live table of the front on a terminal."""
    return "table" if is_terminal(sys.stderr) else None


def print_table(frame: pd.DataFrame, title: str = "", *, numbered: bool = True, digits: int | None = None) -> None:
    """Print a table on standard output: with lines and colours on a terminal, else as pandas writes it.

    Args:
        numbered: whether rows have their number, or other label, in front.
        digits: behind the point of all numbers, and "-" for what is missing; None: as pandas has them.
    """
    if not is_terminal(sys.stdout):
        if title:
            print(title)
        how: dict[str, Any] = {} if digits is None else {"float_format": f"{{:.{digits}f}}".format, "na_rep": "-"}
        print(frame.to_string(index=numbered, **how))
        return
    frame = frame if digits is None else frame.round(digits)
    from rich.console import Console

    Console(file=sys.stdout, highlight=False).print(drawn(frame, title, numbered=numbered))


def drawn(frame: pd.DataFrame, title: str = "", *, numbered: bool = True) -> Table:
    """A frame as a table of rich's; its first row, the best, stands out."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    if numbered:
        table.add_column("", style="dim", justify="right")
    for name in frame.columns:
        numeric = frame[name].dtype.kind in "fiu"
        table.add_column(Text(str(name)), justify="right" if numeric else "left", overflow="fold")
    for i, (label, row) in enumerate(zip(frame.index, frame.itertuples(index=False, name=None), strict=True)):
        cells = [Text(cell(value)) for value in row]
        table.add_row(*([Text(str(label))] if numbered else []), *cells, style="bold green" if i == 0 else None)
    return table


def cell(value: object) -> str:
    """A value in a table: numbers with a few digits, nothing for what is missing."""
    if value is None or value != value:
        return "-"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1e5 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def complain(text: str) -> None:
    """Print an error on standard error, with the program's name in front."""
    if not is_terminal(sys.stderr):
        print(f"searchkit: {text}", file=sys.stderr)
        return
    from rich.console import Console
    from rich.text import Text

    Console(stderr=True, highlight=False, soft_wrap=True).print(Text("searchkit: ", style="bold red") + Text(text))
