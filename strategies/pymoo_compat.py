"""What is used of pymoo that has no public name; checked on pymoo 0.6.2.

Beside it, pymoo's operators are extended as its documentation says: by a method ``_do``.
Where a later pymoo has moved one of these, ``tests/test_compat.py`` says which.
"""

from __future__ import annotations

from pymoo.algorithms.base.genetic import GeneticAlgorithm
from pymoo.core.algorithm import Algorithm


def infills_are_places(algorithm: Algorithm) -> bool:
    """Whether what an algorithm proposes are places and nothing more: those of DE know whom they challenge."""
    return type(algorithm)._infill is GeneticAlgorithm._infill
