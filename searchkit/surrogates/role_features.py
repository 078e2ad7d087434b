"""Features of networks that mean the same in every space, from the roles of their options.

Counts and sums over all operations, and the way from input to output that has most convolutions. They are scaled
within each space, so that a network with many convolutions among those of its space is alike in two spaces.
"""

from __future__ import annotations

import numpy as np

from searchkit.space import Space
from searchkit.space.roles import Role, amounts, is_kind, number, times
from searchkit.surrogates.kernels import SUM, Kernel
from searchkit.types import Codes, Floats

NAMES = ("convolutions", "kernels", "params", "longest", "skips", "pools")
SAMPLE = 256  # random candidates that features are scaled by
BOUND = 3.0  # standard deviations beyond which a network of another space is as one of so many


def role_features(space: Space, codes: Codes) -> Floats:
    """``(n, 6)``, named :data:`NAMES`.

    Number of convolutions; sum of their kernels; sum of the logarithms of weights per squared width; most convolutions
    on one way from input to output; shares of skip connections and of pooling among what is there.
    """
    convolutions, pools, skips = (amounts(space, codes, is_kind(kind)) for kind in ("conv", "pool", "skip"))
    there = np.maximum((convolutions + pools + skips).sum(axis=1), 1.0)
    return np.stack(
        [
            convolutions.sum(axis=1),
            amounts(space, codes, number("kernel", "conv")).sum(axis=1),
            amounts(space, codes, _logarithm).sum(axis=1),
            _longest(space, codes, convolutions),
            skips.sum(axis=1) / there,
            pools.sum(axis=1) / there,
        ],
        axis=1,
    )


class RoleFeatures:
    """The features of a space's candidates, each of mean 0 and deviation 1 over a fixed sample of the space.

    Attributes:
        varied: ``(6,)`` which of them differ between candidates of the space.
    """

    kernels: tuple[Kernel, ...] = (SUM,)

    def __init__(self, space: Space) -> None:
        self.space = space
        sample = role_features(space, space.sample(SAMPLE, np.random.default_rng(20_240_404)))
        self._mean, self._std = sample.mean(axis=0), sample.std(axis=0)
        self.varied = self._std > 1e-12

    def __call__(self, codes: Codes) -> list[Floats]:
        """One ``(n, 6)`` matrix, for the linear kernel."""
        scaled = (role_features(self.space, codes) - self._mean) / np.where(self.varied, self._std, 1.0)
        bounded = np.clip(np.where(self.varied, scaled, 0.0), -BOUND, BOUND)
        return [bounded / np.sqrt(len(NAMES))]


def _logarithm(role: Role) -> float:
    return float(np.log1p(number("params")(role)))


def _longest(space: Space, codes: Codes, convolutions: Floats) -> Floats:
    """``(n,)`` most convolutions on one way; all of them where the space names no ways."""
    ways = getattr(space, "ways", None)
    if not ways:
        total: Floats = convolutions.sum(axis=1)
        return total
    there = times(space, codes) > 0
    columns = [[space.names.index(name) for name in way] for way in ways]
    lengths = [np.where(there[:, way].all(axis=1), convolutions[:, way].sum(axis=1), 0.0) for way in columns]
    longest: Floats = np.max(lengths, axis=0)
    return longest
