"""Number of parameters: the free baseline that every other proxy has to beat."""

from __future__ import annotations

import numpy as np

from searchkit.costs.counts import space_counts
from searchkit.errors import SearchkitError
from searchkit.space import NetworkSpace, Space
from searchkit.types import Codes, Floats


class Params:
    """Parameters of each candidate, exactly as built."""

    name = "params"
    needs_networks = True
    cached = False  # counting is faster than reading counts from a study's record

    def __init__(self, space: Space) -> None:
        self.space = network_space(space, self.name)

    def score(self, codes: Codes) -> Floats:
        """``(n,)`` numbers of parameters."""
        return np.asarray(space_counts(self.space, codes)["params"], dtype=np.float64)


def network_space(space: Space, name: str) -> NetworkSpace:
    """The space, if its candidates are networks.

    Raises:
        SearchkitError: they are not, so that there is nothing to count.
    """
    if not isinstance(space, NetworkSpace):
        raise SearchkitError(
            f"proxy '{name}' needs networks and space '{space.name}' has none: "
            "give a NetworkSpace, or use the proxy 'structure'"
        )
    return space
