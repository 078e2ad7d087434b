"""Completion in shells, by argcomplete: options, registered names, and the names of recorded studies."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from searchkit import plugins
from searchkit.cli.argparse_compat import actions_of
from searchkit.costs.metrics import BUILT_IN
from searchkit.errors import SearchkitError
from searchkit.results.formats.table import FORMATS
from searchkit.storage.urls import is_url

OF_STUDIES = ("earlier", "start")  # options whose values are studies
SHELLS = ("bash", "zsh", "fish", "powershell", "tcsh")


def script(shell: str) -> str:
    """What a shell has to run so that it completes ``searchkit``: ``eval "$(searchkit completion bash)"``."""
    from argcomplete.shell_integration import shellcode

    return str(shellcode(["searchkit"], shell=shell))


def complete(parser: argparse.ArgumentParser, commands: Mapping[str, argparse.ArgumentParser]) -> None:
    """Answer a shell that asks for completions, and end the process; where none asks, nothing happens."""
    if "_ARGCOMPLETE" not in os.environ:
        return
    from argcomplete.finders import CompletionFinder

    class ValuesFirst(CompletionFinder):
        """Options are offered where there is nothing else to offer, or where their - was typed."""

        def filter_completions(self, completions: list[str]) -> list[str]:
            found: list[str] = super().filter_completions(completions)
            return [one for one in found if not one.startswith("-")] or found

    for command in commands.values():
        for action in actions_of(command):
            known = values_of(action)
            if known is not None:
                action.completer = known  # type: ignore[attr-defined]  # where argcomplete looks for it
    ValuesFirst()(parser)


def values_of(action: argparse.Action) -> Callable[..., Iterable[str]] | None:
    """What completes an option's values, where that is no file."""
    kinds = {"strategy": "strategy", "space": "space"}
    if (action.dest in ("name", "names") and not action.option_strings) or action.dest in OF_STUDIES:
        return _studies(action.dest)
    if action.dest in kinds:
        names = plugins.names(kinds[action.dest])
        return lambda **_: names
    if action.metavar == "A,B":  # objectives or proxies, but those that suggest declares
        words = [*BUILT_IN] if action.dest == "objectives" else ["auto", "default", "none"]
        return _of_a_list([*words, *plugins.names("proxy")])
    if action.dest == "format":
        return lambda **_: list(FORMATS)
    if action.dest == "data":
        return lambda prefix, **_: ["digits", "fashion-mnist", "cifar-10", *_files(prefix)]
    if action.dest == "row":
        return lambda **_: ()
    return None


def _of_a_list(names: Iterable[str]) -> Callable[..., Iterable[str]]:
    """Completes the last name of a list with commas, by names that are not in it yet."""

    def completed(prefix: str, **_: object) -> list[str]:
        before, comma, _last = prefix.rpartition(",")
        return [before + comma + name for name in dict.fromkeys(names) if name not in before.split(",")]

    return completed


def _studies(dest: str) -> Callable[..., list[str]]:
    """Completes the names of studies in a folder; others would have to be opened, which takes too long for a key.

    Those that the same option has already are left out. Candidates to start with may be in a file, too.
    """

    def completed(parsed_args: argparse.Namespace, prefix: str = "", **_: object) -> list[str]:
        storage = getattr(parsed_args, "storage", None) or "searchkit-runs"
        there = (getattr(parsed_args, dest, None) or []) if dest != "name" else []
        files = [file for file in _files(prefix) if file.endswith((".json", "/"))] if dest == "start" else []
        with contextlib.suppress(OSError, SearchkitError):
            if not is_url(storage) and Path(storage).is_dir():
                names = sorted(file.stem for file in Path(storage).glob("*.journal") if file.stem not in there)
                return [*names, *files]
        return files

    return completed


def _files(prefix: str) -> list[str]:
    with contextlib.suppress(OSError):
        folder = Path(prefix).parent if not prefix.endswith("/") else Path(prefix)
        return [f"{path}/" if path.is_dir() else str(path) for path in folder.iterdir()]
    return []
