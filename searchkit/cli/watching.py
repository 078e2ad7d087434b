"""``searchkit show NAME --watch``: the front of a study that is being searched, until the search ends."""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from searchkit.cli.printing import OK, print_json
from searchkit.cli.tables import drawn
from searchkit.errors import SearchkitError, StorageError, UnknownNameError, plural
from searchkit.results.cells import cell_text
from searchkit.results.studies import load
from searchkit.results.terminals import is_terminal, styles
from searchkit.storage.writers import Locks

if TYPE_CHECKING:
    from searchkit.results.result import Result

EVERY = 2.0  # seconds between two looks at the record; longer where reading it takes long
SHARE = 0.1  # of the time that reading may take
ROWS = 20


def watch(given: argparse.Namespace) -> int:
    """Show the front as it changes: a table that is drawn anew on a terminal, else a line for each change.

    It ends when no search writes the study any more, when the study is removed, and by an interrupt.

    Raises:
        SearchkitError: there is no such study at the beginning, or ``--history`` is given as well.
    """
    if given.history or given.plot or given.report:
        raise SearchkitError("--watch shows the front: leave --history, --plot and --report out")
    result = load(given.name, given.storage)
    screen = _Table() if is_terminal(sys.stdout) and not given.json else _JSONLines() if given.json else _Lines()
    try:
        with screen:
            return _until_the_end(given, result, screen)
    except KeyboardInterrupt:  # the search goes on; only the watching ends
        return OK


def _until_the_end(given: argparse.Namespace, result: Result, screen: _Screen) -> int:
    seen = -1
    while True:
        running = Locks.now().is_written(given.storage, given.name)
        began = time.monotonic()
        try:
            result = load(given.name, given.storage)
        except UnknownNameError:
            screen.say(f"study '{given.name}' was removed; this was the last of it")
            return OK
        except StorageError as error:
            if running is False:
                raise
            screen.say(f"not readable at the moment: {error}")
        n_done = sum(trial.finished for trial in result.trials)
        ended = running is False
        if n_done != seen or ended:
            screen.show(result, n_done, running)
            seen = n_done
        if ended:
            return OK
        time.sleep(max(EVERY, (time.monotonic() - began) / SHARE))


class _Screen:
    """Where changes are shown."""

    def __enter__(self) -> _Screen:
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing to leave."""

    def show(self, result: Result, n_done: int, running: bool | None) -> None:
        """Show the state of the study."""
        raise NotImplementedError

    def say(self, text: str) -> None:
        """Say what happened to the record."""
        print(text, file=sys.stderr, flush=True)


class _Lines(_Screen):
    def show(self, result: Result, n_done: int, running: bool | None) -> None:
        print(_told(result, n_done, running), flush=True)


class _JSONLines(_Screen):
    def show(self, result: Result, n_done: int, running: bool | None) -> None:
        told = {"study": result.name, "evaluated": n_done, "running": running}
        print_json(told | {"front": result.front.to_dict("records")}, indent=None)


class _Table(_Screen):
    def __enter__(self) -> _Screen:
        from rich.console import Console
        from rich.live import Live

        self._live = Live(console=Console(file=sys.stdout, highlight=False, color_system=styles()), auto_refresh=False)
        self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        with suppress(OSError, ValueError):  # the terminal may be gone
            self._live.stop()

    def show(self, result: Result, n_done: int, running: bool | None) -> None:
        from rich.console import Group
        from rich.text import Text

        tables = drawn(result.front.head(ROWS), self._live.console.width) if len(result.front) else []
        line = Text(_told(result, n_done, running), style="bold")
        self._live.update(Group(*tables, line), refresh=True)


def _told(result: Result, n_done: int, running: bool | None) -> str:
    """The state of a study in a line."""
    front, first = result.front, result.goals.names[0]
    best = f", best {first} {cell_text(front[first].iloc[0])}" if len(front) else ""
    state = {True: "searching", False: "no search is running", None: "whether a search is running is not known"}[
        running
    ]
    return f"{result.name}: {plural(n_done, 'candidate')} evaluated, {len(front)} on the front{best}; {state}"
