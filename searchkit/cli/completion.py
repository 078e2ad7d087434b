"""Completion in shells, by argcomplete: options, registered names, and the names of recorded studies."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from searchkit import plugins
from searchkit.cli.argparse_compat import actions_of
from searchkit.errors import SearchkitError
from searchkit.storage.urls import is_url

SHELLS = ("bash", "zsh", "fish", "powershell", "tcsh")


def script(shell: str) -> str:
    """What a shell has to run so that it completes ``searchkit``: ``eval "$(searchkit completion bash)"``."""
    from argcomplete.shell_integration import shellcode

    return str(shellcode(["searchkit"], shell=shell))


def complete(parser: argparse.ArgumentParser, commands: Mapping[str, argparse.ArgumentParser]) -> None:
    """Answer a shell that asks for completions, and end the process; where none asks, nothing happens."""
    if "_ARGCOMPLETE" not in os.environ:
        return
    import argcomplete

    for command in commands.values():
        for action in actions_of(command):
            known = _values(action)
            if known is not None:
                action.completer = known  # type: ignore[attr-defined]  # where argcomplete looks for it
    argcomplete.autocomplete(parser)


def _values(action: argparse.Action) -> Callable[..., Iterable[str]] | None:
    """What completes an option's values, where that is no file."""
    kinds = {"strategy": "strategy", "space": "space", "proxies": "proxy"}
    if (action.dest in ("name", "names") and not action.option_strings) or action.dest == "earlier":
        return _studies
    if action.dest in kinds:
        names = plugins.names(kinds[action.dest])
        return lambda **_: names
    if action.dest == "data":
        return lambda prefix, **_: ["digits", "fashion-mnist", "cifar-10", *_files(prefix)]
    return None


def _studies(parsed_args: argparse.Namespace, **_: object) -> list[str]:
    """Names of the studies in a folder; other storages would have to be opened, which takes too long for a key."""
    storage = getattr(parsed_args, "storage", None) or "searchkit-runs"
    with contextlib.suppress(OSError, SearchkitError):
        if not is_url(storage) and Path(storage).is_dir():
            return sorted(file.stem for file in Path(storage).glob("*.journal"))
    return []


def _files(prefix: str) -> list[str]:
    with contextlib.suppress(OSError):
        folder = Path(prefix).parent if not prefix.endswith("/") else Path(prefix)
        return [f"{path}/" if path.is_dir() else str(path) for path in folder.iterdir()]
    return []
