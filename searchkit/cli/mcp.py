"""The command that serves searchkit's tools to an assistant; :mod:`searchkit.integrations.mcp` has the server."""

from __future__ import annotations

import argparse

OK = 0


def mcp_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``searchkit mcp``, but for --storage."""
    from searchkit.integrations.mcp.settings import add_arguments

    add_arguments(parser)


def _mcp(given: argparse.Namespace) -> int:
    from searchkit.integrations.mcp.settings import check_installed, settings_of

    settings = settings_of(given)
    check_installed()
    from searchkit.integrations.mcp.server import serve

    serve(settings)
    return OK
