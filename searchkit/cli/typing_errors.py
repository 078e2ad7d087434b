"""What was typed, parsed; of an unknown command or option the nearest one is said, with the command's own usage."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

from searchkit.cli.argparse_compat import actions_of, commands_of
from searchkit.cli.arguments import parser
from searchkit.cli.config import with_config
from searchkit.errors import nearest
from searchkit.results.cells import visible


def parsed(arguments: Sequence[str], made: argparse.ArgumentParser) -> argparse.Namespace:
    """The arguments of a command, with those of its configuration file.

    Args:
        made: a parser, which may be used up.

    Raises:
        SearchkitError: the configuration file cannot be used.
        SystemExit: with code 2, after the usage and a sentence, where the arguments are no command's.
    """
    commands = commands_of(made)
    if arguments and not arguments[0].startswith("-") and arguments[0] not in commands:
        near = difflib.get_close_matches(arguments[0].lower(), commands, n=2, cutoff=0.5)
        hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
        _refuse(made, f"unknown command {arguments[0]!r}: choose from {', '.join(commands)}.{hint}")
    fresh = parser()
    given, unknown = fresh.parse_known_args(with_config(arguments, commands))
    if unknown:
        command = commands_of(fresh)[given.command]
        _refuse(command, f"unrecognized arguments: {' '.join(unknown)}{_hint(unknown, command)}")
    return given


def _hint(unknown: Sequence[str], command: argparse.ArgumentParser) -> str:
    """The option that was meant by the first that is unknown; empty where none is near."""
    options: Mapping[str, None] = dict.fromkeys(name for one in actions_of(command) for name in one.option_strings)
    first = next((text.partition("=")[0] for text in unknown if text.startswith("-")), None)
    near = None if first is None else nearest(first, options)
    return "" if near is None else f". Did you mean '{near}'?"


def _refuse(command: argparse.ArgumentParser, said: str) -> NoReturn:
    command.print_usage(sys.stderr)
    command.exit(2, f"{command.prog}: error: {visible(said)}\n")
