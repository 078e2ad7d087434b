"""Latencies of the same candidates on devices that were measured before, as features and as experience.

A Gaussian process predicts the latency on another device from those on the known ones and from features of the
candidates. How much to believe each of them is learned beforehand: every known device is predicted from the others,
and the hyperparameters that fit there are the prior for the new device.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from searchkit.errors import DataError, UnknownNameError
from searchkit.problem.numbers import numbers_of, shown
from searchkit.surrogates.gaussian_process import Hyperparameters, fit, learned_prior
from searchkit.surrogates.kernels import NEAR, SUM, Kernel
from searchkit.types import Bools, Codes, Floats

EXAMPLES = 100  # candidates by which a known device is predicted from the others
LEAST_KNOWN = 10  # values that a table with gaps needs
RIDGE = 1e-3  # of the regression that fills gaps, for inputs of unit variance


@dataclass(frozen=True)
class Inputs:
    """What the process sees of N candidates.

    Attributes:
        groups: one ``(N, p)`` matrix a kernel.
        kernels: two for the devices, if there are any, and two for the features: linear, and a distance.
        mean: ``(N,)`` of the known devices, of mean 0 and variance 1; zeros without any.
    """

    groups: tuple[Floats, ...]
    kernels: tuple[Kernel, ...]
    mean: Floats

    @classmethod
    def of(cls, devices: Floats, features: Floats) -> Inputs:
        """Of standardised columns ``(N, k)`` and ``(N, f)``; either may have none."""
        kept = [columns / np.sqrt(columns.shape[1]) for columns in (devices, features) if columns.shape[1]]
        mean = standardised(devices.mean(axis=1)) if devices.shape[1] else np.zeros(len(devices))
        groups = tuple(columns for columns in kept for _ in range(2))
        return cls(groups, (SUM, NEAR) * len(kept), mean)

    def __getitem__(self, rows: Codes | Bools | slice) -> Inputs:
        """Those of some candidates."""
        return Inputs(tuple(group[rows] for group in self.groups), self.kernels, self.mean[rows])


def standardised(columns: Floats) -> Floats:
    """Columns, or one, with mean 0 and variance 1; zeros where one is constant."""
    deviation = columns.std(axis=0)
    found: Floats = (columns - columns.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)
    return found


def read_tables(known: Mapping[str, npt.ArrayLike], features: npt.ArrayLike | None) -> tuple[dict[str, Floats], Floats]:
    """Latencies ``(N,)`` by device, NaN where there is none, and features ``(N, f)``, f may be 0.

    Raises:
        DataError: there is nothing; the lengths differ; a latency is not a positive number, or a table has fewer than
            ten of them; features are not finite numbers in rows.
    """
    if not isinstance(known, Mapping):
        raise DataError(f"known devices are a mapping of a name to latencies, not {shown(known)}")
    tables = {str(name): _numbers(f"the latencies on '{name}'", values, 1) for name, values in known.items()}
    others = None if features is None else _numbers("features", features, 2)
    if not tables and others is None:
        raise DataError("there is nothing to predict from: give latencies on known devices, features, or both")
    n = len(next(iter(tables.values()))) if tables else len(others) if others is not None else 0
    first = next(iter(tables), "")
    for name, values in tables.items():
        if len(values) != n:
            raise DataError(
                f"'{first}' has latencies of {n} candidates and '{name}' of {len(values)}: tables are of the same "
                "candidates in the same order, with NaN where there is no value"
            )
        there = ~np.isnan(values)
        if not (np.isfinite(values[there]) & (values[there] > 0)).all():
            wrong = int(np.flatnonzero(there & ~(np.isfinite(values) & (values > 0)))[0])
            raise DataError(f"the latency on '{name}' of row {wrong} is {values[wrong]}: latencies are above 0, or NaN")
        if there.sum() < min(LEAST_KNOWN, n):
            raise DataError(
                f"'{name}' has {there.sum()} latencies, which is too few to learn from: at least {LEAST_KNOWN}"
            )
        if np.ptp(values[there]) == 0:
            raise DataError(f"'{name}' has the same latency of all candidates, which says nothing of their order")
    if others is None:
        others = np.empty((n, 0))
    if len(others) != n:
        raise DataError(f"'{first}' has latencies of {n} candidates, but there are features of {len(others)}")
    if not np.isfinite(others).all():
        raise DataError(f"features are finite numbers: row {int(np.argwhere(~np.isfinite(others))[0, 0])} is not")
    if not tables and (others.size == 0 or not np.ptp(others, axis=0).any()):
        raise DataError("all candidates have the same features, and there is no known device: nothing tells them apart")
    return tables, others


def _numbers(what: str, values: npt.ArrayLike, dimensions: int) -> Floats:
    try:
        found = numbers_of(values)
    except ValueError as error:
        raise DataError(f"{what} are {error}") from None
    if found.ndim != dimensions:
        raise DataError(f"{what} have shape {found.shape}: {('(N,)', '(N, f)')[dimensions - 1]} is allowed")
    return found


def read_families(families: Mapping[str, object] | None, names: Sequence[str]) -> dict[str, str]:
    """Device -> family, which is the device's own name where none is given.

    Raises:
        UnknownNameError: a device that is not among the names.
    """
    for name in families or {}:
        if name not in names:
            raise UnknownNameError.of("device", name, names)
    return {name: str((families or {}).get(name, name)) for name in names}


def filled(tables: Mapping[str, Floats], features: Floats) -> Floats:
    """``(N, k)`` standardised latencies; gaps hold what a linear regression on the other columns says."""
    n = len(features)
    columns = np.zeros((n, len(tables)))
    for j, values in enumerate(tables.values()):
        there = ~np.isnan(values)
        columns[there, j] = standardised(values[there])
    if all(np.isfinite(values).all() for values in tables.values()):
        return columns
    beside = standardised(features)
    result = columns.copy()
    for j, values in enumerate(tables.values()):
        gap = np.isnan(values)
        if gap.any():
            x = np.concatenate([np.delete(columns, j, axis=1), beside, np.ones((n, 1))], axis=1)
            known = x[~gap]
            squares = known.T @ known / len(known) + RIDGE * np.eye(x.shape[1])
            result[gap, j] = x[gap] @ np.linalg.solve(squares, known.T @ columns[~gap, j] / len(known))
    return standardised(result)


def experience(devices: Floats, features: Floats, families: Sequence[str], there: Sequence[Bools]) -> Floats:
    """``(q, 2)`` the prior of the process's hyperparameters, as :func:`fit` takes it, learned from the known devices.

    Args:
        devices: ``(N, k)`` standardised latencies.
        features: ``(N, f)`` standardised.
        families: of each device; it is predicted from devices of other families.
        there: of each device, which of its latencies ``(N,)`` were measured.
    """
    kernels = Inputs.of(devices, features).kernels
    settings: list[Hyperparameters] = []
    order = np.random.default_rng(0).permutation(len(devices))
    for j, family in enumerate(families):
        others = [i for i, other in enumerate(families) if other != family]
        inputs = Inputs.of(devices[:, others], features)
        if inputs.kernels == kernels and kernels:
            rows = order[there[j][order]][:EXAMPLES]
            seen = inputs[rows]
            y = standardised(devices[rows, j])
            settings.append(fit(seen.groups, seen.mean, y, kernels=kernels).setting)
    return learned_prior(settings, kernels)
