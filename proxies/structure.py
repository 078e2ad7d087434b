"""Structure: features of a candidate's choices for a model. No network is built, so it works on any space.

After Kadlecova et al., Surprisingly Strong Performance Prediction with Neural Graph Features, ICML 2024 (arXiv
2404.16551).
"""

from __future__ import annotations

import numpy as np

from searchkit.space import Space
from searchkit.surrogates.features import structure
from searchkit.types import Codes, Floats


class Structure:
    """The choices, how often each option is taken, and the graph's features where the space gives them.

    The columns are features for a model: none of them has a direction.
    """

    name = "structure"
    features_only = True
    cached = False  # counting is faster than reading features from a study's record

    def __init__(self, space: Space) -> None:
        self.space = space
        example = space.sample(1, np.random.default_rng(0))
        self.names = tuple(f"structure_{i}" for i in range(structure(space, example).shape[1]))

    def score(self, codes: Codes) -> Floats:
        """``(n, p)`` features; see :func:`searchkit.surrogates.features.structure`."""
        return structure(self.space, codes)
