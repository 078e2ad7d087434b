"""Scales of losses on which a Gaussian process describes them well: as they are, or with their bad end compressed.

Losses of real objectives have heavy tails towards the bad end (a training that diverges, Rosenbrock's function): a
process of one smoothness then spends itself on differences among bad candidates. A logarithm of the distance to a
point below the best undoes that. Which one is right is decided by the likelihood of the losses under the whole model
(Snelson, Rasmussen and Ghahramani, Warped Gaussian processes, NIPS 2003): that of the process times the slopes of the
scale.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from searchkit.problem.numbers import halved
from searchkit.types import Codes, Floats


@dataclass(frozen=True)
class Scale:
    """A scale of losses: log(loss - least + softness * spread), or the loss itself where softness is infinite.

    Attributes:
        softness: in deviations of the losses below the median from the best; smaller compresses more.
    """

    softness: float = math.inf

    def __call__(self, losses: Floats, typical: Codes | slice = slice(None)) -> tuple[Floats, float]:
        """``(n,)`` standardised losses, lower is better, and the log of the product of the slopes of the scale.

        Args:
            typical: rows that are standardised to zero mean and unit variance, and whose slopes are multiplied.
        """
        losses = halved(losses)
        best, middle = float(losses.min()), float(np.median(losses[typical]))
        spread = middle - best if middle > best else float(losses.max()) - best
        if spread <= 0:
            return np.zeros(len(losses)), 0.0
        warped = (losses - best) / spread
        slopes = 0.0
        if math.isfinite(self.softness):
            warped = np.log(warped + self.softness)
            slopes = -float(warped[typical].sum())
        among = warped[typical]
        deviation = float(among.std())
        if deviation <= 0:
            return np.zeros(len(losses)), 0.0
        return (warped - among.mean()) / deviation, slopes - len(among) * math.log(deviation)


@dataclass(frozen=True)
class Excess:
    """The scale of violations of a bound: above 0 where it is broken, and -1 where it is kept.

    The middle one of those that break it is at 1; by how much others keep it is not known.
    """

    def __call__(self, losses: Floats, typical: Codes | slice = slice(None)) -> tuple[Floats, float]:
        """``(n,)`` violations, which are 0 where the bound is kept, on this scale; and 0."""
        broken = losses > 0
        middle = float(np.median(losses[broken])) if broken.any() else 1.0
        return np.where(broken, np.log1p(losses / middle) / math.log(2.0), -1.0), 0.0


SCALES = (Scale(), Scale(1.0), Scale(0.1), Scale(0.01))
