"""What shows the progress of a search: a bar, a live table of the front on a terminal, or a page in a notebook."""

from __future__ import annotations

import importlib
import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Protocol

from searchkit.errors import duration, plural
from searchkit.problem.budget import Budget
from searchkit.problem.objectives import Goals
from searchkit.problem.trial import Trial, pareto_front
from searchkit.results.cells import cell_text, visible
from searchkit.results.safe_html import Html, fill, joined
from searchkit.results.terminals import is_terminal, styles, table_of

CLOSED = (OSError, ValueError)  # raised by closed streams, and by those whose terminal or pipe is closed
BOUNDED = "{l_bar}{bar}| {n_fmt}/{total_fmt} evaluated [{elapsed}<{remaining}{postfix}]"
ROWS = 8  # of the front that are shown
DUMB = ("dumb", "unknown")  # terminals that cannot draw anything anew


class View(Protocol):
    """Shows how far a search is; its methods raise one of :data:`CLOSED` where nobody can see it any more."""

    def count(self) -> None:
        """One candidate more has ended."""
        ...

    def draw(self, text: str, trials: Sequence[Trial]) -> None:
        """Show the state of the search; ``text`` says it in a few words."""
        ...

    def close(self, text: str, trials: Sequence[Trial]) -> None:
        """Show the last state, which stays."""
        ...


class Bar:
    """A progress bar by tqdm, on standard error."""

    def __init__(self, budget: Budget, n_done: int) -> None:
        from tqdm import tqdm

        self._bar: Any = tqdm(
            total=budget.evaluations,
            initial=n_done,
            dynamic_ncols=True,
            bar_format=BOUNDED if budget.evaluations is not None else "{n_fmt} evaluated [{elapsed}{postfix}]",
        )

    def count(self) -> None:
        """Move the bar; tqdm draws it a few times a second."""
        try:
            self._bar.update()
        except CLOSED:
            self._bar.disable = True  # or it would write once more when it is deleted
            raise

    def draw(self, text: str, trials: Sequence[Trial]) -> None:
        """Show the text behind the bar."""
        try:
            self._bar.set_postfix_str(text)
        except CLOSED:
            self._bar.disable = True
            raise

    def close(self, text: str, trials: Sequence[Trial]) -> None:
        """Leave the bar as it is at the end."""
        if trials:
            self._bar.set_postfix_str(text, refresh=False)
        self._bar.close()


class LiveTable:
    """The best of the front as a table on a terminal, drawn anew as candidates end; what is logged stands above it."""

    def __init__(self, goals: Goals, budget: Budget) -> None:
        from rich.console import Console
        from rich.live import Live

        self._goals, self._budget, self._began = goals, budget, time.monotonic()
        self._live = Live(
            console=Console(file=sys.stderr, color_system=styles()), auto_refresh=False, vertical_overflow="crop"
        )
        self._live.start()

    def count(self) -> None:
        """Nothing to do: the table shows the trials."""

    def draw(self, text: str, trials: Sequence[Trial]) -> None:
        """Draw the table anew."""
        self._live.update(self._drawn(text, trials), refresh=True)

    def close(self, text: str, trials: Sequence[Trial]) -> None:
        """Leave the last line of the progress; the result's own table follows."""
        from rich.text import Text

        self._live.update(Text(self._line(text, trials)), refresh=True)
        self._live.stop()

    def _line(self, text: str, trials: Sequence[Trial]) -> str:
        n_done, most = sum(trial.finished for trial in trials), self._budget.evaluations
        of = "" if most is None else f" of {most}"
        return f"{n_done}{of} evaluated in {_took(self._began)}; {text}"

    def _drawn(self, text: str, trials: Sequence[Trial]) -> Any:
        from rich.console import Group
        from rich.text import Text

        front = pareto_front(trials, self._goals)
        names, rows = _rows(front, self._goals)
        columns = (
            [(visible(name), list(cells)) for name, cells in zip(names, zip(*rows, strict=True), strict=True)]
            if rows
            else []
        )
        more = [Text(f"and {len(front) - ROWS} more", style="dim")] if len(front) > ROWS else []
        table = [table_of([], columns, [True] * len(columns))] if rows else []
        return Group(*table, *more, Text(self._line(text, trials), style="bold"))


class NotebookPage:
    """The state of the search as HTML in a notebook's output.

    It is part of the notebook's file, and no widget whose state is lost when the page is loaded again; each change
    replaces the whole of it.
    """

    def __init__(self, goals: Goals, budget: Budget) -> None:
        display: Any = importlib.import_module("IPython.display")  # which is there, since a kernel runs
        self._goals, self._budget, self._began = goals, budget, time.monotonic()
        self._html = display.HTML
        self._shown: Any = display.display(self._html(""), display_id=True)

    def count(self) -> None:
        """Nothing to do: the page shows the trials."""

    def draw(self, text: str, trials: Sequence[Trial]) -> None:
        """Replace the page."""
        if self._shown is not None:
            self._shown.update(self._html(self._page(text, trials, running=True)))

    def close(self, text: str, trials: Sequence[Trial]) -> None:
        """Replace the page by its last state."""
        if self._shown is not None:
            self._shown.update(self._html(self._page(text, trials, running=False)))

    def _page(self, text: str, trials: Sequence[Trial], running: bool) -> Html:
        n_done, most = sum(trial.finished for trial in trials), self._budget.evaluations
        said = f"{plural(n_done, 'candidate')}{'' if most is None else f' of {most}'} in {_took(self._began)}; {text}"
        bar = fill('<progress value="{}" max="{}" aria-label="candidates evaluated"></progress> ', n_done, most or 1)
        shown = bar if running and most is not None else fill("{}", "searching: " if running else "")
        return fill("<p>{}{}</p>{}", shown, said, _front_table(pareto_front(trials, self._goals), self._goals))


def _rows(front: Sequence[Trial], goals: Goals) -> tuple[list[str], list[list[str]]]:
    """Names of the columns and the cells of the best rows of a front."""
    metrics = goals.metrics
    rows = [[str(trial.number), *(cell_text(trial.values.get(name)) for name in metrics)] for trial in front[:ROWS]]
    return ["candidate", *metrics], rows


def _front_table(front: Sequence[Trial], goals: Goals) -> Html:
    """The best rows of the front; empty where there is none."""
    if not front:
        return joined([])
    names, cells = _rows(front, goals)
    head = joined(fill('<th scope="col">{}</th>', name) for name in names)
    rows = [joined(fill("<td>{}</td>", one) for one in row) for row in cells]
    body = joined(fill("<tr>{}</tr>", row) for row in rows)
    more = fill("<p>and {} more</p>", len(front) - ROWS) if len(front) > ROWS else joined([])
    return fill("<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>{}", head, body, more)


def _took(began: float) -> str:
    """The time since then, in whole seconds."""
    return duration(seconds) if (seconds := round(time.monotonic() - began)) else "0 s"


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    shell: Any = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None


def chosen_view(shown: bool | str | None, goals: Goals, budget: Budget, trials: Sequence[Trial]) -> View | None:
    """The view that a call asks for; None: a line for each candidate, or nothing.

    Args:
        shown: True: a bar. "table": a live table where there is a terminal. None: whatever suits the place.
        trials: on record.
    """
    if shown is False or sys.stderr is None:  # None: a program without a console
        return None
    with suppress(*CLOSED):
        if in_notebook():
            return NotebookPage(goals, budget)
        if shown == "table":
            return LiveTable(goals, budget) if is_terminal(sys.stderr) and os.environ.get("TERM") not in DUMB else None
        if shown or is_terminal(sys.stderr):
            return Bar(budget, sum(trial.finished for trial in trials))
    return None
