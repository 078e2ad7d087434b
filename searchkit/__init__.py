"""searchkit: networks on a trade-off of accuracy and cost, while training almost none of them."""

from __future__ import annotations

from searchkit.space import Choice, NetworkSpace, Node, Space

__all__ = ["Choice", "NetworkSpace", "Node", "Space"]
__version__ = "0.1.0"
