"""searchkit's strategies as a search algorithm of Ray Tune."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from searchkit import plugins
from searchkit.errors import SearchkitError, UnknownNameError
from searchkit.integrations.optuna import SearchkitSampler
from searchkit.integrations.ray_compat import completed_of, space_of, study_of, trials_of
from searchkit.space import Space
from searchkit.storage.optuna_compat import quiet

try:
    from ray.tune.search import Searcher
    from ray.tune.search.optuna import OptunaSearch
except ImportError as missing:
    raise SearchkitError('Ray Tune is not installed: pip install "searchkit-nas[ray]"') from missing

MODES = {"min": "minimize", "max": "maximize"}


class SearchkitSearcher(OptunaSearch):
    """searchkit's strategies for Ray Tune::

        from searchkit.integrations.ray import SearchkitSearcher

        searcher = SearchkitSearcher("bo", metric=["loss", "seconds"], mode=["min", "min"])
        config = tune.TuneConfig(search_alg=searcher, num_samples=40)
        tune.Tuner(trainable, param_space={"lr": tune.loguniform(1e-4, 1e-1)}, tune_config=config).fit()

    Ray's own bridge to Optuna carries suggestions and results; the strategy is a
    :class:`~searchkit.integrations.optuna.SearchkitSampler`, which says how numbers and conditions are searched. A
    trial that ends in an error, or whose metrics are missing or not finite, is told as failed. Where every
    combination of a finite space has been suggested, the search is finished. Tune saves and restores the searcher.

    Args:
        strategy: see :class:`~searchkit.integrations.optuna.SearchkitSampler`, as are ``seed``, ``signals``,
            ``proxies``, ``screen`` and ``n_trials``.
        space: a searchkit space or the name of one, whose options are then the configuration; Tune's ``param_space``
            where not given.
        metric, mode: one, or a list of each; "min" or "max".
        points_to_evaluate: configurations to suggest first.
        evaluated_rewards: their metric, where it is known.

    Raises:
        SearchkitError: one of its kinds, where something given cannot be used.
    """

    def __init__(
        self,
        strategy: Any = "auto",
        *,
        space: Space | str | Mapping[str, Any] | None = None,
        metric: str | Sequence[str] | None = None,
        mode: str | Sequence[str] | None = None,
        seed: int | None = None,
        signals: Mapping[str, Any] | None = None,
        proxies: Any = (),
        screen: int = 16,
        n_trials: int | None = None,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        evaluated_rewards: Sequence[float] | None = None,
    ) -> None:
        _check_goals(metric, mode)
        own = plugins.load_space(space) if isinstance(space, str) else space
        self._choices = {c.name: c for c in own.choices} if isinstance(own, Space) else {}
        listed: dict[str, Any] | None = dict(own) if isinstance(own, Mapping) else None
        if isinstance(own, Space):
            listed = {c.name: CategoricalDistribution(c.labels) for c in own.choices}
        sampler = SearchkitSampler(
            strategy,
            seed=seed,
            space=own if isinstance(own, Space) else None,
            signals=signals,
            proxies=proxies,
            screen=screen,
            n_trials=n_trials,
        )
        with quiet():
            super().__init__(
                listed,
                metric=metric if isinstance(metric, str | None) else list(metric),
                mode=mode if isinstance(mode, str | None) else list(mode),
                sampler=sampler,
                points_to_evaluate=[self._labelled(point) for point in points_to_evaluate or ()] or None,
                evaluated_rewards=evaluated_rewards,
            )

    def set_search_properties(self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any) -> bool:
        """Take Tune's metric, mode and parameter space where the constructor had none."""
        with quiet():
            return bool(super().set_search_properties(metric, mode, config, **spec))

    def suggest(self, trial_id: str) -> Any:
        """The next configuration, or ``Searcher.FINISHED``."""
        study = study_of(self)
        if study is not None and trial_id not in trials_of(self):
            trials = study.get_trials(deepcopy=False)
            if len({_places(trial) for trial in trials if trial.params}) >= _size(space_of(self)):
                return Searcher.FINISHED
        config = super().suggest(trial_id)
        return {name: self._option(name, value) for name, value in config.items()}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Record an intermediate report, if there is a single metric."""
        if not isinstance(self.metric, list) and _finite([result.get(self.metric)]):
            super().on_trial_result(trial_id, result)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Learn the outcome of a trial."""
        study, trial = study_of(self), trials_of(self).get(trial_id)
        if trial is None or trial_id in completed_of(self):
            return
        names = self.metric if isinstance(self.metric, list) else [self.metric]
        values = [(result or {}).get(name) for name in names]
        failed = error or not _finite(values)
        study.tell(trial, None if failed else values, state=TrialState.FAIL if failed else TrialState.COMPLETE)
        completed_of(self).add(trial_id)

    @property
    def study(self) -> optuna.Study:
        """All suggestions and outcomes as an Optuna study; ``read_study`` reads it as a Result."""
        study: optuna.Study = study_of(self)
        return study

    def _labelled(self, point: Mapping[str, Any]) -> dict[str, Any]:
        choices = self._choices
        return {n: choices[n].labels[choices[n].index(v)] if n in choices else v for n, v in point.items()}

    def _option(self, name: str, value: Any) -> Any:
        choice = self._choices.get(name)
        return value if choice is None else choice.option(choice.index(value))


def _check_goals(metric: Any, mode: Any) -> None:
    if metric is None and mode is None:
        return
    several = [isinstance(given, list | tuple) for given in (metric, mode)]
    if metric is None or mode is None or several[0] != several[1] or (several[0] and len(metric) != len(mode)):
        raise SearchkitError(
            f"metric and mode go together, one of each or lists of equal length, not {metric!r} and {mode!r}"
        )
    for one in mode if several[1] else (mode,):
        if one not in MODES:
            raise UnknownNameError.of("mode", one, MODES)


def _finite(values: Sequence[Any]) -> bool:
    return all(isinstance(value, int | float) and math.isfinite(value) for value in map(_number, values))


def _number(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value  # numpy's and torch's


def _places(trial: optuna.trial.FrozenTrial) -> tuple[tuple[str, float], ...]:
    """A configuration by the places of its values: they may have no hash, and 1, 1.0 and True have one."""
    found = trial.distributions.items()
    return tuple((name, distribution.to_internal_repr(trial.params[name])) for name, distribution in found)


def _size(distributions: Any) -> float:
    """How many configurations there are; inf where numbers are real, or the space is a function."""
    if not isinstance(distributions, Mapping):
        return math.inf
    return math.prod(map(_options, distributions.values()))


def _options(distribution: BaseDistribution) -> float:
    if isinstance(distribution, CategoricalDistribution):
        return len(distribution.choices)
    if isinstance(distribution, IntDistribution):
        return (distribution.high - distribution.low) // distribution.step + 1
    assert isinstance(distribution, FloatDistribution)
    return (
        math.inf if distribution.step is None else round((distribution.high - distribution.low) / distribution.step) + 1
    )
