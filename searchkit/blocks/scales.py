"""Ordered choices as numbers: where an option stands on its scale, and the square of that.

Indicators say that options differ, and a model must see each to know it. Widths, depths and kernel sizes have mostly
smooth effects, of which two or three options tell the rest. A fit weighs both (:mod:`searchkit.blocks.fit`).
"""

from __future__ import annotations

import numpy as np

from searchkit.space import Parameter
from searchkit.types import Floats

FEWEST = 3  # options from which there is a scale: two are told apart by indicators as well
CURVED = 0.1  # prior variance of the square beside that of the place


def on_scale(choice: Parameter) -> bool:
    """Whether a choice is ordered and has enough options for that to say anything."""
    return choice.ordered and len(choice.options) >= FEWEST


def scale_features(n: int) -> Floats:
    """``(n, 2)`` place and squared place of n options: centred, orthogonal, of mean squared norm 1 together."""
    place = np.linspace(-1.0, 1.0, n)
    square = place**2 - np.mean(place**2)
    columns = np.column_stack([place / place.std(), np.sqrt(CURVED) * square / square.std()])
    made: Floats = columns / np.sqrt(1 + CURVED)
    return made
