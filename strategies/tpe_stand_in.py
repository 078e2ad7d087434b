"""Optuna's TPESampler over trials that are kept as arrays: the same suggestions in a fraction of the time."""

from __future__ import annotations

from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, TPESampler
from optuna.trial import FrozenTrial

from searchkit.storage.optuna_compat import storage_of
from searchkit.strategies.optuna_storage import Shelf
from searchkit.strategies.tpe_axes import Axis, Number
from searchkit.strategies.tpe_compat import (
    default_gamma,
    default_gamma_multiobjective,
    generators,
    is_plain,
    weights_of,
)
from searchkit.strategies.tpe_density import Density, Settings
from searchkit.types import Codes, Floats


def quick(sampler: BaseSampler) -> BaseSampler:
    """A stand-in for a sampler that is Optuna's TPE; any other, and those with a density model of their own, as is."""
    if not is_plain(sampler):
        return sampler
    other: StandIn = object.__new__(StandIn)
    other.__dict__ |= sampler.__dict__
    return other


class StandIn(TPESampler):
    """A TPESampler that reads the arrays of a :class:`Shelf`; made by :func:`quick`.

    In any other storage, and for a parameter whose distribution has changed, it does what TPESampler does.
    """

    def seeded(self, rng: np.random.Generator) -> StandIn:
        """A copy with generators seeded by ``rng``, and all else shared, since suggesting changes nothing of it."""
        other: StandIn = object.__new__(StandIn)
        other.__dict__ |= self.__dict__ | generators(rng)
        return other

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """The parameters of all trials, or groups of parameters."""
        shelf = storage_of(study)
        if not isinstance(shelf, Shelf) or not self._is_multivariate(study):
            return super().infer_relative_search_space(study, trial)
        if not self._group:
            return {name: d for name, d in shelf.columns.shared.items() if not d.single()}
        self._search_space_group = shelf.columns.groups
        groups = self._search_space_group.search_spaces
        return {name: d for group in groups for name, d in sorted(group.items()) if not d.single()}

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """A value of one parameter."""
        shelf = storage_of(study)
        if not isinstance(shelf, Shelf) or self._warn_independent_sampling:
            return super().sample_independent(study, trial, param_name, param_distribution)
        if shelf.columns.n_ended < self._n_startup_trials:
            return self._random_sampler.sample_independent(study, trial, param_name, param_distribution)
        return self._sample(study, trial, {param_name: param_distribution})[param_name]

    def _sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        shelf = storage_of(study)
        if not isinstance(shelf, Shelf):
            return super()._sample_relative(study, trial, search_space)
        if not search_space or shelf.columns.n_ended < self._n_startup_trials:
            return {}
        return self._sample(study, trial, search_space)

    def _sample(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        shelf = storage_of(study)
        axes = shelf.columns.axes(search_space) if isinstance(shelf, Shelf) else None
        if not isinstance(shelf, Shelf) or axes is None:
            return super()._sample(study, trial, search_space)
        columns, several = shelf.columns, len(study.directions) > 1
        if self._gamma is None:
            self._gamma = default_gamma_multiobjective if several else default_gamma
        best, others = columns.divided(self._gamma(columns.n_ended))
        running = self._running(shelf, trial, search_space, study)
        good = self._density(axes, *columns.values(axes, best), None, even=several)
        bad = self._density(axes, *columns.values(axes, others), running)
        candidates = good.sample(self._rng.rng, self._n_ei_candidates)
        chosen = np.argmax(good.log_density(candidates) - bad.log_density(candidates))
        return {
            name: distribution.to_external_repr(values[chosen].item())
            for (name, distribution), values in zip(search_space.items(), candidates, strict=True)
        }

    def _running(
        self, shelf: Shelf, trial: FrozenTrial, search_space: dict[str, BaseDistribution], study: optuna.Study
    ) -> Floats | None:
        """``(m, d)`` internal values of the other running trials that have all of the parameters."""
        if not self._constant_liar:
            return None
        found = [self._get_params(other, study) for other in shelf.unfinished if other.number != trial.number]
        rows = [
            [distribution.to_internal_repr(params[name]) for name, distribution in search_space.items()]
            for params in found
            if search_space.keys() <= params.keys()
        ]
        return np.array(rows, dtype=np.float64) if rows else None

    def _density(
        self, axes: list[Axis], rows: Codes, values: list[Floats], running: Floats | None, even: bool = False
    ) -> Density:
        """The mixture of some trials and of the running ones.

        Args:
            axes: the parameters.
            rows: of finished trials.
            values: for each parameter, those of the finished trials.
            running: ``(m, d)`` values of running trials.
            even: whether all trials weigh the same.
        """
        if running is not None:
            scaled = [
                np.log(column) if isinstance(axis, Number) and axis.is_log else column
                for axis, column in zip(axes, running.T, strict=True)
            ]
            values = [np.append(value, column) for value, column in zip(values, scaled, strict=True)]
        given = self._parzen_estimator_parameters
        n = len(values[0])
        weights = np.ones(n) if even else weights_of(given.weights, n)
        weights = np.append(weights, [given.prior_weight]) if n else np.array([1.0])
        weights = weights / weights.sum()
        settings = Settings(given.prior_weight, given.consider_magic_clip, given.consider_endpoints)
        return Density(axes, values, rows, weights, settings)
