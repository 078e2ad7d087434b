"""Space: choices, and the networks that are built from them."""

from searchkit.space.choice import Choice
from searchkit.space.inputs import TokenShape
from searchkit.space.network_space import NetworkSpace, Node
from searchkit.space.space import Space, distinct_rows, keys, network_seed

__all__ = ["Choice", "NetworkSpace", "Node", "Space", "TokenShape", "distinct_rows", "keys", "network_seed"]
