"""The package's modules as trees, which are read and parsed once in each process of the tests."""

from __future__ import annotations

import ast
import functools
import gc
from pathlib import Path
from typing import TypeVar

from helpers.repository import ROOT

Node = TypeVar("Node", bound=ast.AST)

PACKAGES = ("searchkit", "searchkit.strategies", "searchkit.proxies")


class Source:
    """A module: its text, its tree, and the nodes of the tree by their kind. Nobody changes them."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tree = ast.parse(text)
        self._by_kind: dict[type[ast.AST], list[ast.AST]] = {}
        for node in ast.walk(self.tree):
            self._by_kind.setdefault(type(node), []).append(node)

    def nodes(self, *kinds: type[Node]) -> list[Node]:
        """All nodes of these kinds."""
        return [node for kind in kinds for node in self._by_kind.get(kind, ()) if isinstance(node, kind)]


@functools.cache
def modules() -> dict[str, Path]:
    """The file of every module of the package by its dotted name."""
    found = {}
    for package in PACKAGES:
        folder = ROOT / package.rpartition(".")[2]
        for path in sorted(folder.rglob("*.py")):
            inside = path.relative_to(folder).with_suffix("").parts
            if package != "searchkit" or inside[0] not in ("strategies", "proxies"):
                found[".".join((package, *inside)).removesuffix(".__init__")] = path
    return found


@functools.cache
def source(path: Path) -> Source:
    """A file of the package."""
    return Source(path.read_text(encoding="utf-8"))


@functools.cache
def sources() -> dict[str, Source]:
    """Every module of the package by its dotted name."""
    collects = gc.isenabled()
    gc.disable()  # which would look through all trees again and again while they grow
    try:
        return {module: source(path) for module, path in modules().items()}
    finally:
        if collects:
            gc.enable()
