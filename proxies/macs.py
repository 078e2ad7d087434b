"""Multiply-accumulates of one forward pass: with params, the free baseline of every table."""

from __future__ import annotations

import numpy as np

from searchkit.costs.counts import space_counts
from searchkit.proxies.params import network_space
from searchkit.space import Space
from searchkit.types import Codes, Floats


class MACs:
    """Multiply-accumulates of each candidate for one image."""

    name = "macs"
    needs_networks = True
    cached = False  # as params

    def __init__(self, space: Space) -> None:
        self.space = network_space(space, self.name)

    def score(self, codes: Codes) -> Floats:
        """``(n,)`` numbers of multiply-accumulates."""
        return np.asarray(space_counts(self.space, codes)["macs"], dtype=np.float64)
