"""Number of layers with weights: a free count that ranks some spaces better than params or MACs."""

from __future__ import annotations

from searchkit.costs.counts import space_layers
from searchkit.proxies.params import network_space
from searchkit.space import Space
from searchkit.types import Codes, Floats


class Layers:
    """Weight tensors of each candidate, such as those of its convolutions and linear layers.

    Biases, batch norms and other parameters of one dimension are not counted. Each candidate is built once, without
    memory for its weights.
    """

    name = "layers"
    needs_networks = True
    cached = False  # as params

    def __init__(self, space: Space) -> None:
        self.space = network_space(space, self.name)

    def score(self, codes: Codes) -> Floats:
        """``(n,)`` numbers of layers."""
        return space_layers(self.space, codes)
