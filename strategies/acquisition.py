"""Acquisition: expected improvement of one objective or of the hypervolume, times the chance to be feasible."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import torch
from botorch.acquisition.analytic import LogExpectedImprovement

from searchkit.problem.observations import Observations
from searchkit.problem.pareto import beaten_by, non_dominated, scalarised
from searchkit.runtime.threads import one_thread
from searchkit.strategies.gaussian_process import BoTorchProcess, Column
from searchkit.strategies.surrogate import FORMS, Surrogate
from searchkit.surrogates.feasibility import Feasibility
from searchkit.surrogates.hypervolume_improvement import expected_improvement
from searchkit.types import Bools, Codes, Floats

MOST_EXACT = 3  # objectives up to which hypervolume is used; beyond, its exact improvement takes too long
NOISY = 0.02  # share of noise in the variance above which fronts are drawn from the posterior
DRAWS = 6  # number of these fronts
LUCK = 4.0  # deviations, noise included, by which nearly no candidate turns out better than is expected
REACH = 0.1  # distance of the reference point beyond the worst known gains, relative to their range
NEAREST = 100  # candidates, those closest to the front, whose gains are drawn


class Acquisition:
    """Log of the expected improvement of candidates times their chance to be feasible."""

    def __init__(
        self, surrogate: Surrogate, told: Observations, feasibility: Feasibility, rng: np.random.Generator
    ) -> None:
        told = told[told.scored | told.hinted]
        known = told.believed()
        self._feasible = told.feasible
        columns = [
            surrogate.column(f"objective {j}", known.codes, column, FORMS) for j, column in enumerate(known.losses.T)
        ]
        if len(columns) > MOST_EXACT:
            mixed = scalarised(-np.column_stack([column.gaussian.y for column in columns]), rng)
            once = Surrogate(surrogate.inputs, surrogate.n_iterations)
            columns = [once.column("scalarised", known.codes, mixed, FORMS[:1])]
        self._model = BoTorchProcess(surrogate.inputs, columns)
        self._columns = columns
        self._noise = np.array([column.gaussian.noise for column in columns])
        self._fronts = _fronts(columns, told.feasible, rng)
        self._feasibility = feasibility

    def __call__(self, codes: Codes) -> Floats:
        """``(n,)`` log acquisition, higher is better."""
        value = np.zeros(len(codes)) if not len(self._fronts[0]) else self._improvement(codes)
        return value + self._feasibility.log_chance(codes)

    @property
    def gains(self) -> Floats:
        """``(n, k)`` what the models were fitted to, higher is better; of the scored and the hinted ones."""
        return np.column_stack([column.gaussian.y for column in self._columns])

    def best(self, rng: np.random.Generator) -> int | None:
        """The row of the best feasible candidate, or of one of the front by chance; None where none is feasible."""
        front = np.flatnonzero(non_dominated(np.where(self._feasible[:, None], -self.gains, np.nan)))
        return int(rng.choice(front)) if len(front) else None

    def surprises(self, groups: Sequence[Codes]) -> Floats:
        """``(g,)`` how far the first row of each group is above its prediction from all rows but the group's.

        In deviations, noise included; of the objective in which that is most.
        """
        found: Floats = np.max([column.gaussian.surprises(groups) for column in self._columns], axis=0)
        return found

    def may_improve(self, codes: Codes, luck: float = LUCK) -> Bools:
        """``(n,)`` whether candidates would improve the best, or the front, with luck in every objective.

        Args:
            luck: by how many deviations, noise included, a candidate may turn out better than is expected.
        """
        mean, std = self._model.predict(codes)
        lucky = mean + luck * np.sqrt(std**2 + self._noise)
        beaten = [(front[None] >= lucky[:, None]).all(axis=2).any(axis=1) for front in self._fronts]
        found: Bools = ~np.logical_and.reduce(beaten)
        return found

    def believe(self, code: Codes) -> None:
        """Take a candidate to have the losses that the model predicts."""
        values = self._model.believe(code)
        self._fronts = [np.concatenate([front, values[None]]) for front in self._fronts]

    def _improvement(self, codes: Codes) -> Floats:
        if self._model.num_outputs == 1:
            best = float(np.mean([front.max() for front in self._fronts]))
            with one_thread(), torch.no_grad(), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # BoTorch expects inputs in the unit cube; these are codes
                value = LogExpectedImprovement(self._model, best_f=best)(torch.from_numpy(codes)[:, None].double())
            found: Floats = value.numpy()
            return found
        mean, std = self._model.predict(codes)
        gain = np.zeros(len(codes))
        for front in self._fronts:
            low, high = front.min(axis=0), front.max(axis=0)
            reference = low - REACH * (high - low) - 1e-6
            gain += expected_improvement(-mean, std, -front, -reference)
        return np.log(np.maximum(gain / len(self._fronts), 1e-300))


def _fronts(columns: list[Column], feasible: Bools, rng: np.random.Generator) -> list[Floats]:
    """Fronts of the observed feasible gains, or, where these are noisy, of draws of the noise-free gains."""
    rows = np.flatnonzero(feasible)
    gains = np.column_stack([column.gaussian.y for column in columns])
    if not len(rows) or max(column.gaussian.noise for column in columns) < NOISY:
        return [gains[rows]]
    means = np.column_stack([column.gaussian.joint(rows)[0] for column in columns])
    rows = rows[np.argsort(beaten_by(-means), kind="stable")[:NEAREST]]
    draws = np.empty((DRAWS, len(rows), len(columns)))
    for j, column in enumerate(columns):
        mean, covariance = column.gaussian.joint(rows)
        values, vectors = np.linalg.eigh(covariance)
        half = vectors * np.sqrt(np.maximum(values, 0.0))
        draws[:, :, j] = mean + rng.normal(size=(DRAWS, len(rows))) @ half.T
    return list(draws)
