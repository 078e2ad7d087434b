"""When a model of growing observations is fitted anew, and to which of them: bounds that strategies and proxies share.

A step of a fit takes n^3. So hyperparameters are fitted to at most :data:`MOST` observations, and, beyond :data:`ALL`,
anew only when the number of observations has grown by 5 %; in between, new observations are added with the old
hyperparameters. All this is a function of what was told, so that a continued search has the same models.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence

import numpy as np

from searchkit.surrogates.gaussian_process import Gaussian, Hyperparameters, fit
from searchkit.surrogates.grouped import Grouped, Lines, fit_groups, within
from searchkit.surrogates.kernels import NEAR
from searchkit.types import Bools, Codes, Floats

ALL = 60
GROWTH = 1.05
MOST = 250
FITTED, KEPT = 150, 300  # observations that a process of the proxy layer is fitted to, and predicts from

Examples = tuple[Sequence[Floats], Floats, Floats]  # features, one matrix a kernel; known means; what was observed
GroupedExamples = tuple[Sequence[Floats], Floats, Floats, Codes]  # the same, and the group of each


def fitted_at(n: int, first: int = ALL, growth: float = GROWTH) -> int:
    """The largest number up to n at which a fit is due: all up to ``first``, then growing by ``growth``."""
    if n <= first:
        return n
    steps = math.floor(math.log(n / first) / math.log(growth) + 1e-9)
    return min(n, math.floor(first * growth**steps + 1e-9))


def informative(losses: Floats, n: int) -> Codes:
    """At most n rows: half of them the best losses, the others evenly spaced among the rest."""
    if len(losses) <= n:
        return np.arange(len(losses))
    order = np.argsort(losses, kind="stable")
    rest = order[n // 2 :]
    evenly = rest[np.linspace(0, len(rest) - 1, n - n // 2).astype(np.int64)]
    return np.sort(np.concatenate([order[: n // 2], evenly]))


def of_both(good: Bools, n: int) -> Codes:
    """At most n rows, of either kind as many where there are; evenly spaced, the newest among them."""
    if len(good) <= n:
        return np.arange(len(good))
    kinds = [np.flatnonzero(good), np.flatnonzero(~good)]
    fewer = min(map(len, kinds))
    rows = []
    for kind in kinds:
        most = min(len(kind), max(n // 2, n - fewer))
        rows.append(kind[np.linspace(len(kind) - 1, 0, most).round().astype(np.int64)])
    return np.sort(np.concatenate(rows))


class Refits:
    """Processes by name, each with the hyperparameters that were last due."""

    def __init__(self) -> None:
        self._last: dict[Hashable, tuple[int, Hyperparameters]] = {}
        self._lines: dict[Hashable, tuple[int, tuple[Hyperparameters, Lines]]] = {}

    def process(self, name: Hashable, due: int, early: Callable[[], Examples], examples: Examples) -> Gaussian:
        """The process of examples, with the hyperparameters of the first ones.

        Args:
            name: under which hyperparameters are kept.
            due: for how many observations they are; fitted to ``early()`` where another number was due before.
        """
        known = self._last.get(name)
        if known is None or known[0] != due:
            known = self._last[name] = (due, fit(*early()).setting)
        groups, mean, y = examples
        return Gaussian.of(groups, [NEAR] * len(groups), known[1], mean, y)

    def grouped(
        self, name: Hashable, due: int, early: Callable[[], GroupedExamples], examples: GroupedExamples
    ) -> Grouped:
        """The same of labels that are comparable within groups only, of which group 0 is predicted."""
        known = self._lines.get(name)
        if known is None or known[0] != due:
            features, mean, values, groups = early()
            fitted = fit_groups(features, mean, values, groups, target=0)
            known = self._lines[name] = (due, (fitted.setting, fitted.lines))
        features, mean, values, groups = examples
        return Grouped.of(features, [NEAR] * len(features), known[1], mean, within(values, groups), groups, 0)
