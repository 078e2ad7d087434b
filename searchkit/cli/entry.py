"""Where the command line begins: what it needs is imported, which takes a moment that Ctrl-C may end as well."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    try:
        from searchkit.cli.commands import main as run

        return run(arguments)
    except KeyboardInterrupt:  # before a command was known, which says more
        print("searchkit: interrupted", file=sys.stderr)
        return 130
