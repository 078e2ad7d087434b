"""Space: choices, and the networks that are built from them."""

from searchkit.space.choice import Choice
from searchkit.space.inputs import TokenShape
from searchkit.space.network_space import NetworkSpace
from searchkit.space.node import Node
from searchkit.space.numbers import Float, Int
from searchkit.space.parameters import Parameter, is_number
from searchkit.space.rows import distinct_rows, keys, network_seed
from searchkit.space.space import Space

__all__ = [
    "Choice", "Float", "Int", "NetworkSpace", "Node", "Parameter", "Space", "TokenShape", "distinct_rows", "is_number",
    "keys", "network_seed",
]  # fmt: skip
