"""Private names of pymoo that are used here; checked on pymoo 0.6.2.

Besides these, pymoo's operators are extended as its documentation says: by a method ``_do``.
Where a later pymoo has moved one of these, ``tests/test_compat.py`` says which.
"""

from __future__ import annotations

from pymoo.algorithms.base.genetic import GeneticAlgorithm
from pymoo.core.algorithm import Algorithm


def infills_are_places(algorithm: Algorithm) -> bool:
    """Whether the new candidates of an algorithm (its infills) are positions only.

    Those of DE also hold which individual they may replace.
    """
    return type(algorithm)._infill is GeneticAlgorithm._infill
