"""``python -m searchkit.integrations.mcp``: the server, on standard input and output."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from searchkit.errors import SearchkitError
from searchkit.integrations.mcp.settings import add_arguments, check_installed, settings_of

BAD_INPUT = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until standard input ends; returns the exit code."""
    parser = argparse.ArgumentParser("searchkit-mcp", description="Serve searchkit's tools to an assistant.")
    parser.add_argument(
        "--storage", metavar="WHERE", help="folder, .journal file or database URL of the records (searchkit-runs/)"
    )
    add_arguments(parser)
    given = parser.parse_args(arguments)
    try:
        check_installed()
        from searchkit.integrations.mcp.server import serve

        serve(settings_of(given))
    except SearchkitError as error:
        print(f"searchkit: {error}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
