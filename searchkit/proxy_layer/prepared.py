"""What the proxy layer computes once, or anew when a fit is due: the reference sample, its scores and ranks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from searchkit.proxy_layer.aggregation import Reference
from searchkit.proxy_layer.learning_proxies import Taught
from searchkit.proxy_layer.votes import Votes, votes_of
from searchkit.space import Space
from searchkit.types import Codes, Floats


@dataclass(frozen=True)
class Prepared:
    """Computed once: the reference sample, its scores, and the moments of its structure features."""

    sample: Codes
    scores: Floats
    mean: Floats
    std: Floats
    exact: frozenset[str]

    @classmethod
    def of(
        cls,
        sample: Codes,
        score: Callable[[Codes], Floats],
        structure: Callable[[Codes], Floats],
        known: Callable[[Codes], Mapping[str, Floats]] | None,
    ) -> Prepared:
        """What the sample says; it is scored for that."""
        features = structure(sample)
        exact = frozenset(known(sample[:1])) if known is not None else frozenset[str]()
        return cls(sample, score(sample), features.mean(axis=0), features.std(axis=0), exact)

    def groups(self, quantiles: Floats, structure: Floats) -> list[Floats]:
        """The features of a process, each group with a mean square distance near 1.

        Args:
            quantiles: ``(n, p)`` of the signals.
            structure: ``(n, q)`` as they are.
        """
        signals = np.concatenate([(quantiles - 0.5) * np.sqrt(12), norm.ppf(quantiles) / 2], axis=1)
        varied = self.std > 0
        scaled = (structure[:, varied] - self.mean[varied]) / self.std[varied]
        return [group / np.sqrt(2 * group.shape[1]) for group in (signals, scaled) if group.shape[1]]


@dataclass(frozen=True)
class Ranked:
    """Computed anew when a fit is due: the learning proxies, and the ranks of the reference sample with them."""

    taught: Taught
    reference: Reference
    quantiles: Floats
    votes: Votes

    @classmethod
    def of(cls, names: Sequence[str], space: Space, ready: Prepared, taught: Taught) -> Ranked:
        """The ranks and votes with learning proxies as they are fitted."""
        reference = Reference(taught.complete(ready.sample, ready.scores))
        quantiles = reference.quantiles(reference.scores)
        return cls(taught, reference, quantiles, votes_of(names, quantiles, space, reference.scores))
