"""The command ``searchkit serve``."""

from __future__ import annotations

import argparse
import logging

from searchkit.cli.printing import OK


def serve_studies(given: argparse.Namespace) -> int:
    """Show the studies of a storage until Ctrl-C, which is how it ends well."""
    from searchkit.serving.server import serve

    # What is wrong with a record stands in its page; the terminal would get it again at every look.
    logging.getLogger("searchkit").setLevel(logging.ERROR)
    serve(given.storage, port=given.port, browser=given.open, said=_say)
    return OK


def _say(line: str) -> None:
    print(line, flush=True)
