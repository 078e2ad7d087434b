"""Parameters and MACs of a built network, as a pass: for proxies that have one of them among their signals."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Self

from searchkit.scoring.passes.passes import Built


@dataclass(frozen=True)
class CountPass:
    """Counts; taken from the space's own formula where it has one."""

    @property
    def key(self) -> Hashable:
        return "counts"

    def joined(self, other: Self) -> Self:
        return self

    def run(self, built: Built) -> dict[str, float]:
        """``params`` and ``macs``."""
        return built.counts()
