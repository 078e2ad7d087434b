"""scipy's distributions as parameters of a space.

``uniform``, ``loguniform`` and ``randint`` are numbers of their ranges. Of any other continuous distribution the
quantile is searched, from 0.001 to 0.999, so that likely values are tried more often, and of any other discrete one all
values between the two.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from searchkit.errors import SpaceError
from searchkit.space import Float, Int

TAIL = 0.001  # quantiles below it, and above 1 less it, are left out where a distribution has no ends
LISTED = 256  # quantiles by which a discrete distribution's values are found


class Distribution(Protocol):
    """A frozen distribution of scipy."""

    def ppf(self, q: Any) -> Any:
        """Values of quantiles."""
        ...

    def pmf(self, k: int) -> Any:
        """Chance of a value, of a discrete distribution."""
        ...


class Quantiles(Sequence[Any]):
    """Values of a distribution by codes of their quantiles."""

    def __init__(self, distribution: Distribution, quantile: Float) -> None:
        self._distribution, self._quantile = distribution, quantile

    def __len__(self) -> int:
        return self._quantile.n_values

    def __getitem__(self, code: Any) -> Any:
        return float(self._distribution.ppf(self._quantile.option(code)))


def of_distribution(name: str, called: str, given: Distribution) -> tuple[Float | Int | None, Sequence[Any]]:
    """The number that a distribution is, and its values by code; None and the values where these are few.

    Args:
        name, called: of the parameter, in errors and in the space.

    Raises:
        SpaceError: its values are not finite.
    """
    kind = getattr(getattr(given, "dist", None), "name", "")
    with np.errstate(all="ignore"):
        ends = np.asarray(given.ppf([0.0, 1.0]), dtype=np.float64)
    if ends.shape != (2,):
        raise SpaceError(f"parameter '{name}' has a distribution of several numbers; give one for each parameter")
    if hasattr(given, "pmf") or hasattr(getattr(given, "dist", None), "pmf"):
        if kind == "randint":
            with contextlib.suppress(SpaceError):
                number = Int(called, int(ends[0]) + 1, int(ends[1]))  # the quantile of 0 lies below the first value
                return number, number.options
        return None, _values(name, given)
    if kind in ("uniform", "loguniform", "reciprocal") and np.isfinite(ends).all():
        middle = float(given.ppf(0.5))  # a shifted logarithmic one is not uniform on a logarithmic scale
        if kind == "uniform" or (ends[0] > 0 and np.isclose(middle, np.sqrt(ends[0]) * np.sqrt(ends[1]))):
            with contextlib.suppress(SpaceError):  # numbers that no Float can have
                real = Float(called, float(ends[0]), float(ends[1]), log=kind != "uniform")
                return real, real.options
    quantile = Float(f"{called} (quantile)", TAIL, 1 - TAIL)
    if not np.isfinite(np.asarray(given.ppf([TAIL, 1 - TAIL]), dtype=np.float64)).all():
        raise SpaceError(f"parameter '{name}' has a distribution whose quantiles are not finite")
    return quantile, Quantiles(given, quantile)


def _values(name: str, given: Distribution) -> Sequence[float]:
    points = np.unique(np.asarray(given.ppf(np.linspace(TAIL, 1 - TAIL, LISTED)), dtype=np.float64))
    if not np.isfinite(points).all():
        raise SpaceError(f"parameter '{name}' has a distribution whose quantiles are not finite")
    if (points != np.rint(points)).any():
        return [float(point) for point in points]
    found = [int(point) for point in points]
    if found[-1] - found[0] > LISTED:
        return found
    return [value for value in range(found[0], found[-1] + 1) if given.pmf(value) > 0]
