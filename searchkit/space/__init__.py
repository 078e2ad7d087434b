"""Space: choices, and the networks that are built from them."""

from searchkit.space.choice import Choice
from searchkit.space.network_space import NetworkSpace, Node
from searchkit.space.space import Space, keys

__all__ = ["Choice", "NetworkSpace", "Node", "Space", "keys"]
