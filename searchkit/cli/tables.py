"""Tables and colours on a terminal; plain text elsewhere, where programs read it.

Colours and all other styles are left out where ``NO_COLOR`` is set (https://no-color.org) or ``TERM`` is "dumb".
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Literal

from searchkit.results.cells import cell_text, visible
from searchkit.results.terminals import is_terminal, styles, table_of

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table


GAP = 3  # characters between columns


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
        print(_visible(frame).to_string(index=numbered, **how))
        return
    frame = frame if digits is None else frame.round(digits)
    from rich.console import Console

    console = Console(file=sys.stdout, highlight=False, color_system=styles())
    if title:
        console.print(title, markup=False)
    console.print(*drawn(frame, console.width, numbered=numbered), sep="\n")


def _visible(frame: pd.DataFrame) -> pd.DataFrame:
    """A frame in which no text steers the terminal that it ends on."""
    shown = frame.rename(columns=lambda name: visible(str(name)))
    for i, dtype in enumerate(shown.dtypes):
        if dtype.kind not in "fiub":
            texts = [visible(one) if isinstance(one, str) else one for one in shown.iloc[:, i]]
            shown.isetitem(i, texts)
    return shown


def drawn(frame: pd.DataFrame, width: int, *, numbered: bool = True) -> list[Table]:
    """A frame as tables of rich's; the first row, the best, stands out.

    Args:
        width: of the terminal; columns that do not fit beside each other are in a table below.
        numbered: whether rows have their number, or other label, in front.
    """
    labels = [str(label) for label in frame.index] if numbered else []
    columns = [(visible(str(name)), [cell_text(value) for value in frame[name]]) for name in frame.columns]
    numeric = [dtype.kind in "fiu" for dtype in frame.dtypes]
    beside, left = list[list[int]](), 0
    for i, (name, cells) in enumerate(columns):
        needed = max(map(len, [name, *cells])) + GAP
        if needed > left:
            beside.append([])
            left = width - max((len(label) + GAP for label in labels), default=0)
        beside[-1].append(i)
        left -= needed
    return [table_of(labels, [columns[i] for i in part], [numeric[i] for i in part]) for part in beside]


def complain(text: str) -> None:
    """Print an error on standard error, with the program's name in front."""
    if not is_terminal(sys.stderr):
        print(f"searchkit: {text}", file=sys.stderr)
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True, highlight=False, soft_wrap=True, color_system=styles())
    console.print(Text("searchkit: ", style="bold red") + Text(text))
