"""Names of argparse that it keeps private, checked on Python 3.11 to 3.14: what the actions of a parser are."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence


def actions_of(parser: argparse.ArgumentParser) -> Sequence[argparse.Action]:
    """The options and positional arguments of a parser, with its help."""
    return parser._actions


def commands_of(parser: argparse.ArgumentParser) -> Mapping[str, argparse.ArgumentParser]:
    """The parsers of the commands by name."""
    found: dict[str, argparse.ArgumentParser] = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found |= action.choices
    return found


def is_repeated(action: argparse.Action) -> bool:
    """Whether an option may be given several times."""
    return isinstance(action, argparse._AppendAction)


def is_switch(action: argparse.Action) -> bool:
    """Whether an option takes no value."""
    return isinstance(action, argparse.BooleanOptionalAction | argparse._StoreTrueAction)


def without_defaults(parser: argparse.ArgumentParser) -> None:
    """Change a parser so that what it parses has only what was given, and nothing is required."""
    parser._defaults.clear()
    for action in parser._actions:
        action.default, action.required = argparse.SUPPRESS, False
        if not action.option_strings:
            action.nargs = "?"
