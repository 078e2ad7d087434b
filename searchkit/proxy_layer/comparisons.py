"""What a user knows without numbers, "this one is better than that one", as a proxy.

A Gaussian process over candidates whose difference decides each comparison: the chance that a is said to be better than
b is ``1 / (1 + exp(-s (f(a) - f(b))))`` (Bradley and Terry, Biometrika 39, 1952, with a process in the place of one
number for each candidate, as in Chu and Ghahramani, Preference learning with Gaussian processes, ICML 2005). The
posterior is Laplace's approximation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

import numpy as np
from scipy.special import expit

from searchkit.errors import SearchkitError, SpaceError
from searchkit.runtime.fingerprint import fingerprint
from searchkit.space import Space, keys
from searchkit.surrogates.features import Features
from searchkit.surrogates.gaussian_process import covariances, prior_of, setting_of
from searchkit.types import Codes, Floats

STEEPNESS = 3.0  # of the chance, for a process of unit variance; a difference of one deviation is told with 95 %
STEPS = 50  # of Newton's method at most; it needs some ten

Pair = tuple[Mapping[str, object], Mapping[str, object]]


@dataclass(frozen=True, init=False)
class Comparisons:
    """Candidates of which one is better than another, for ``earlier=`` of :func:`searchkit.run`.

    Args:
        pairs: (better, worse), each a dictionary of choices: ``Comparisons([({"width": 32}, {"width": 16})])``.

    Raises:
        SearchkitError: no pairs, or something that is no pair of dictionaries.
    """

    pairs: tuple[Pair, ...]

    def __init__(self, pairs: Iterable[Pair]) -> None:
        listed: Any = pairs
        read = [] if isinstance(listed, Mapping | str) or not hasattr(listed, "__iter__") else list(listed)
        if not read:
            raise SearchkitError(f"comparisons are pairs (better, worse), one or more, not {pairs!r:.80}")
        for i, pair in enumerate(read):
            two = isinstance(pair, list | tuple) and len(pair) == 2
            if not two or not all(isinstance(one, Mapping) for one in pair):
                raise SearchkitError(
                    f"comparison {i} is a pair (better, worse) of dictionaries of choices, not {pair!r:.80}"
                )
        object.__setattr__(self, "pairs", tuple((dict(better), dict(worse)) for better, worse in read))


class Compared:
    """A proxy that learned from comparisons; higher is better.

    Args:
        given: the pairs.
        space: of the search; they are candidates of it.

    Attributes:
        learned_from: a digest of the pairs.

    Raises:
        SearchkitError: a candidate that is none of the space's, or comparisons that contradict each other.
    """

    name = "comparisons"

    def __init__(self, given: Comparisons, space: Space) -> None:
        better, worse = (_encoded(given, space, side) for side in (0, 1))
        _check_order(given, better, worse)
        self.learned_from = fingerprint(better, worse)
        both = np.concatenate([better, worse])
        codes, row = np.unique(both, axis=0, return_inverse=True)
        n, row = len(better), row.ravel()
        signs = np.zeros((n, len(codes)))
        signs[np.arange(n), row[:n]] += 1.0
        signs[np.arange(n), row[n:]] -= 1.0
        self._inputs = Features(space)
        self._setting = setting_of(prior_of(self._inputs.kernels)[:, 0], self._inputs.kernels)
        self._seen = self._inputs(codes)
        among = covariances(self._seen, self._seen, self._inputs.kernels, self._setting)
        self._alpha = signs.T @ _mode(signs @ among @ signs.T)

    def score(self, codes: Codes) -> Floats:
        """``(n,)`` the most probable value, in deviations of the process; higher is better."""
        across = covariances(self._inputs(codes), self._seen, self._inputs.kernels, self._setting)
        scores: Floats = across @ self._alpha
        return scores


def _mode(covariance: Floats) -> Floats:
    """``(n,)`` the inverse covariance times the most probable differences, all of which were told to be positive.

    Rasmussen and Williams, Gaussian Processes for Machine Learning (2006), algorithm 3.1.
    """
    n = len(covariance)
    difference, alpha = np.zeros(n), np.zeros(n)
    for _ in range(STEPS):
        chance = expit(STEEPNESS * difference)
        weights = STEEPNESS**2 * chance * (1 - chance)
        root = np.sqrt(weights)
        target = weights * difference + STEEPNESS * (1 - chance)
        inner = np.eye(n) + root[:, None] * covariance * root
        alpha = target - root * np.linalg.solve(inner, root * (covariance @ target))
        before, difference = difference, covariance @ alpha
        if np.abs(difference - before).max() < 1e-8:
            break
    return alpha


def _encoded(given: Comparisons, space: Space, side: int) -> Codes:
    rows = []
    for i, pair in enumerate(given.pairs):
        try:
            rows.append(space.encode(pair[side])[0])
        except SpaceError as error:
            raise SearchkitError(f"comparison {i} names no candidate of space '{space.name}': {error}") from error
    return np.stack(rows)


def _check_order(given: Comparisons, better: Codes, worse: Codes) -> None:
    """Raise SearchkitError where a candidate would be better than itself, directly or through others."""
    above, below = keys(better), keys(worse)
    order: dict[bytes, set[bytes]] = {}
    first: dict[bytes, Mapping[str, object]] = {}
    for (one, other), good, bad in zip(given.pairs, above, below, strict=True):
        first.setdefault(good, one)
        first.setdefault(bad, other)
        if good == bad:
            raise SearchkitError(f"comparisons call {dict(one)} better than {dict(other)}, which is the same candidate")
        order.setdefault(good, set()).add(bad)
    try:
        TopologicalSorter(order).prepare()
    except CycleError as error:
        circle = error.args[1]
        raise SearchkitError(
            f"comparisons contradict each other: by {len(circle) - 1} of them {dict(first[circle[0]])} is better than "
            "itself; leave one of them out"
        ) from None
