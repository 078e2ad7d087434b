"""Proxy layer: several proxies to one calibrated prediction."""

from typing import TYPE_CHECKING

from searchkit.lazy import lazily

if TYPE_CHECKING:
    from searchkit.proxy_layer.screening import Screen
    from searchkit.proxy_layer.signals import Signals

__all__ = ["Screen", "Signals"]

__getattr__, __dir__ = lazily(
    __name__,
    {
        "Screen": "screening",
        "Signals": "signals",
    },
)
