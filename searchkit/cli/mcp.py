"""The command that serves searchkit's tools to an assistant; :mod:`searchkit.integrations.mcp` has the server."""

from __future__ import annotations

import argparse

from searchkit.cli.printing import OK
from searchkit.integrations.mcp.settings import add_arguments, check_installed, settings_of


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command, but for --storage."""
    add_arguments(parser)


def serve(given: argparse.Namespace) -> int:
    """Serve until standard input ends; returns the exit code."""
    settings = settings_of(given)
    check_installed()
    from searchkit.integrations.mcp.server import serve as serve_one

    serve_one(settings)
    return OK
