"""The commands, from parsed arguments to an exit code."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import sys
from collections.abc import Sequence

from searchkit.cli import mcp, recorded, searching, serving, told
from searchkit.cli.argparse_compat import commands_of
from searchkit.cli.arguments import parser
from searchkit.cli.completion import complete
from searchkit.cli.printing import BAD_INPUT, FAILED, OK, interrupted
from searchkit.cli.streams import ToStandardError, any_text, output_of_ours
from searchkit.cli.tables import complain
from searchkit.cli.typing_errors import parsed
from searchkit.errors import ExportError, SearchFailedError, SearchkitError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    made = parser()
    complete(made, commands_of(made))
    try:
        given = parsed(sys.argv[1:] if arguments is None else list(arguments), made)
    except SearchkitError as error:
        complain(str(error))
        return BAD_INPUT
    logging.basicConfig(format="%(message)s", handlers=[ToStandardError()])
    # that a front is empty, or no better than simple models, is said with the result
    quietly = given.command in ("suggest", "tell")  # whose calls are many and short
    levels = {
        "searchkit": logging.WARNING if quietly else logging.INFO,
        "searchkit.front": logging.ERROR,
        "searchkit.baselines": logging.ERROR,
    }
    before = {name: logging.getLogger(name).level for name in levels}
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    try:
        with output_of_ours(), any_text():
            return _run_command(given)
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


def _run_command(given: argparse.Namespace) -> int:
    """Run one command, with its errors as sentences; returns the exit code."""
    try:
        _check_storage(getattr(given, "storage", None))
        code = COMMANDS[given.command](given)
        sys.stdout.flush()
    except (SearchFailedError, ExportError) as error:
        complain(str(error))
        return FAILED
    except SearchkitError as error:
        complain(str(error))
        return BAD_INPUT
    except KeyboardInterrupt:
        return interrupted(given)
    except BrokenPipeError:  # a reader such as `head` has closed the pipe
        _to_nowhere()
        return OK
    except OSError as error:
        if error.filename is not None:
            raise
        _to_nowhere()
        complain(f"the output cannot be written: {error.strerror}; what was recorded is on record")
        return FAILED
    return code


def _to_nowhere() -> None:
    """Let nothing that is still to be written be an error at the end of the process."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _check_storage(storage: str | None) -> None:
    if storage == "memory":
        raise SearchkitError(
            "a search in memory ends with the command, and nothing of it could be shown or exported; "
            "leave --storage out, or give a folder, a .journal file or a database URL"
        )


COMMANDS = {
    "run": searching.run,
    "compress": searching.compress,
    "resume": searching.resume,
    "score": searching.score,
    "suggest": told.suggest,
    "tell": told.tell,
    "show": recorded.show,
    "compare": recorded.compare,
    "export": recorded.export,
    "list": recorded.list_all,
    "serve": serving.serve_studies,
    "rm": recorded.rm,
    "repair": recorded.repair,
    "mcp": mcp.serve,
    "completion": recorded.completion,
}
