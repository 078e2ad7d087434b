"""The truncated normal distribution of Optuna's TPE, to the last bit and in less time.

Optuna evaluates logarithms of the normal distribution function one number at a time through two caches; here whole
arrays go through the functions of :mod:`math`. Sums and their order are Optuna's, since a rounding error may decide
between two candidates that are equally good. Optuna takes another error function for 2,000 numbers and more, which is
a rounding error apart: ``large`` says which.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from searchkit.strategies.tpe_compat import (
    ERF_AT_ONE,
    ERF_POLYNOMIALS,
    ERF_SLOPE,
    LOG_ROOT_2PI,
    log_ndtr_tail,
)
from searchkit.types import Bools, Floats

LARGE = 2000  # numbers from which Optuna takes polynomials for the error function
ROOT2 = 2**0.5
BEND = 1 / ROOT2  # where the distribution function goes from erf to erfc
ERF_PARTS = (2**-28, 0.84375, 1.25, 1 / 0.35, 6.0)  # where the next formula of the error function begins
SLOPE = math.sqrt(3) / math.pi  # of the logistic distribution that is near the normal one
TURNS, EXACT = 100, 1e-8  # of Newton's method for quantiles: steps at most, and the relative step that is the last


def erf(x: Floats, large: bool) -> Floats:
    """``(n,)`` the error function."""
    if not large:
        return np.array(list(map(math.erf, x.tolist())), dtype=np.float64)
    sizes = np.abs(x)
    values = np.where(np.isnan(sizes), np.nan, 1.0)
    part = np.searchsorted(ERF_PARTS, sizes, side="right")  # of values from 6 on, and of NaN, it is the last
    for i in np.flatnonzero(np.bincount(part, minlength=6)[:5]).tolist():
        there = np.flatnonzero(part == i)
        values[there] = _erf_part(i, sizes[there])
    return np.sign(x) * values


def _erf_part(part: int, x: Floats) -> Floats:
    """The error function of positive numbers in one of the five parts that have a formula of their own."""
    if part == 0:
        return (1 + ERF_SLOPE) * x
    above, below = ERF_POLYNOMIALS[part - 1]
    z = x - 1 if part == 2 else x * x
    if part > 2:
        far: Floats = 1 - np.exp(-z - 0.5625 + _polynomial(above, w := 1 / z) / _polynomial(below, w)) / x
        return far
    ratio = _polynomial(above, z) / _polynomial(below, z)
    return ERF_AT_ONE + ratio if part == 2 else x * (1 + ratio)


def _polynomial(coefficients: Sequence[float], x: Floats) -> Floats:
    """Its values by Horner's rule; the coefficient of the highest power comes first."""
    total = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        total *= x
        total += coefficient
    return total


def ndtr(x: Floats, large: bool) -> Floats:
    """``(n,)`` the normal distribution function."""
    return 0.5 + 0.5 * erf(x / ROOT2, large)


def log_ndtr(x: Floats) -> Floats:
    """``(n,)`` the logarithm of the normal distribution function, in its tails too."""
    if not len(x):
        return x
    if x.min() > -20 and x.max() <= 6:  # of most arrays; not of one with a NaN
        return _log_ndtr_middle(x)
    values = np.empty_like(x)
    high, middle = x > 6, (x > -20) & (x <= 6)
    low = ~(high | middle)
    values[high] = [-0.5 * math.erfc(v) for v in (x[high] / ROOT2).tolist()]
    values[middle] = _log_ndtr_middle(x[middle])
    values[low] = [log_ndtr_tail(v) for v in x[low].tolist()]
    return values


def _log_ndtr_middle(x: Floats) -> Floats:
    erf, erfc, log = math.erf, math.erfc, math.log
    parts = [
        0.5 * erfc(-v) if v < -BEND else 0.5 + 0.5 * erf(v) if v < BEND else 1.0 - 0.5 * erfc(v)
        for v in (x / ROOT2).tolist()
    ]
    return np.array(list(map(log, parts)), dtype=np.float64)


def central(a: Floats, b: Floats) -> Bools:
    """Where an interval has its ends on both sides of zero: there the error function is used."""
    return ~((b <= 0) | (a > 0))


def log_mass(a: Floats, b: Floats, large: bool | None = None) -> Floats:
    """The logarithm of the normal probability between a and b, arrays of one shape.

    Args:
        large: which error function; by default that of Optuna for so many central intervals.
    """
    if a.ndim > 1:
        return log_mass(a.ravel(), b.ravel(), large).reshape(a.shape)
    left, right = b <= 0, a > 0
    middle = ~(left | right)
    n_middle = int(np.count_nonzero(middle))
    large = n_middle >= LARGE if large is None else large
    if n_middle == len(a):
        return _log_middle(a, b, large)
    values = np.full(a.shape, np.nan)
    values[left] = _difference(log_ndtr(b[left]), log_ndtr(a[left]))
    values[right] = _difference(log_ndtr(-a[right]), log_ndtr(-b[right]))
    values[middle] = _log_middle(a[middle], b[middle], large)
    return values


def _log_middle(a: Floats, b: Floats, large: bool) -> Floats:
    left, right = np.split(ndtr(np.concatenate([a, -b]), large), 2)
    outside: Floats = -left - right
    return np.log1p(outside)


def _difference(log_p: Floats, log_q: Floats) -> Floats:
    """log(p - q)."""
    return log_p + np.log1p(-np.exp(log_q - log_p))


def quantiles(q: Floats, a: Floats, b: Floats) -> Floats:
    """Quantiles q of the standard normal distribution between a and b, arrays of one shape."""
    if q.ndim > 1:
        return quantiles(q.ravel(), a.ravel(), b.ravel()).reshape(q.shape)
    masses = log_mass(a, b)
    values = np.empty_like(q)
    left = a < 0
    for side, sign in ((left, 1.0), (~left, -1.0)):  # from that tail in which logarithms are accurate
        if not side.any():
            continue
        low, share = (a[side], np.log(q[side])) if sign > 0 else (-b[side], np.log1p(-q[side]))
        values[side] = sign * _log_quantiles(np.logaddexp(log_ndtr(low), share + masses[side]))
    values[q == 0], values[q == 1] = a[q == 0], b[q == 1]
    values[a == b] = np.nan
    return values


def _log_quantiles(log_p: Floats) -> Floats:
    """``(n,)`` x where :func:`log_ndtr` is ``log_p``, by Newton's method from approximations of both tails."""
    near_one = log_p > -1e-2
    goal = log_p.copy()
    goal[near_one] = np.log(-np.expm1(log_p[near_one]))
    far = goal < -5
    x = np.empty_like(goal)
    x[far] = -np.sqrt(-2.0 * (goal[far] + LOG_ROOT_2PI))
    x[~far] = -SLOPE * np.log(np.expm1(-goal[~far]))
    for _ in range(TURNS):
        known = log_ndtr(x)
        step = (known - goal) * np.exp(known - (-0.5 * x**2 - LOG_ROOT_2PI))
        x -= step
        if np.all(np.abs(step) < EXACT * np.abs(x)):
            break
    x[near_one] *= -1
    return x
