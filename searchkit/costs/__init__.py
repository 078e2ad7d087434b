"""Costs: what a network costs, counted or measured, without training it."""

from typing import TYPE_CHECKING

from searchkit.lazy import lazily

if TYPE_CHECKING:
    from searchkit.costs.metrics import Metric

__all__ = ["Metric"]

__getattr__, __dir__ = lazily(
    __name__,
    {
        "Metric": "metrics",
    },
)
