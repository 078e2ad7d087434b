"""A row of the table of what proxies were worth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from searchkit.proxy_layer.aggregation import Trust

if TYPE_CHECKING:
    pass


def trust_row(name: str, trust: Trust, weight: float) -> dict[str, Any]:
    """What a proxy was worth, as :attr:`~searchkit.proxy_layer.signals.Signals.trust` shows it."""
    return {
        "proxy": name,
        "rho": trust.rho,
        "low": trust.low,
        "high": trust.high,
        "belief": trust.belief,
        "weight": weight,
    }
