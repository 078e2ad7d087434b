"""searchkit's strategies as a search algorithm of Ray Tune."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage
from optuna.trial import TrialState, create_trial

from searchkit import plugins
from searchkit.errors import SearchkitError, SpaceError, UnknownNameError
from searchkit.integrations.optuna import SearchkitSampler
from searchkit.integrations.optuna.sampler import suggest
from searchkit.integrations.ray_compat import completed_of, space_of, study_of, trials_of
from searchkit.problem.numbers import number_of
from searchkit.space import Choice, Float, Int, Space
from searchkit.storage.optuna_compat import quiet
from searchkit.storage.parameters import distribution_of

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
        space: a searchkit space or the name of one, whose options are then the configuration; or what OptunaSearch
            takes, distributions of Optuna or Tune by name or a function ``(trial)`` that suggests; Tune's
            ``param_space`` where not given.
        metric, mode: one, or a list of each; "min" or "max". Tune's where not given.
        points_to_evaluate: configurations to suggest first.
        evaluated_rewards: their metric, where it is known; with several metrics, a list of their values for each.
        sampler: of Optuna, in place of a strategy.
        study_name, storage: of the Optuna study, see OptunaSearch; in memory where not given.

    Raises:
        SearchkitError: one of its kinds, where something given cannot be used.
    """

    def __init__(
        self,
        strategy: object = "auto",
        *,
        space: Space | str | Mapping[str, Any] | Callable[[optuna.Trial], Any] | None = None,
        metric: str | Sequence[str] | None = None,
        mode: str | Sequence[str] | None = None,
        seed: int | None = None,
        signals: Mapping[str, Any] | None = None,
        proxies: object = (),
        screen: int = 16,
        n_trials: int | None = None,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        evaluated_rewards: Sequence[Any] | None = None,
        sampler: BaseSampler | None = None,
        study_name: str | None = None,
        storage: BaseStorage | None = None,
    ) -> None:
        own = plugins.load_space(space) if isinstance(space, str) else space
        _check_goals(metric, mode, own is not None)
        _check_given(own, points_to_evaluate, sampler, storage, strategy)
        self._choices = {c.name: c for c in own.choices} if isinstance(own, Space) else {}
        listed: Any = {n: _domain(n, d) for n, d in own.items()} if isinstance(own, Mapping) else own
        if isinstance(own, Space):
            listed = _suggestions(own) if own.conditions else {c.name: distribution_of(c) for c in own.choices}
        strategy = strategy if sampler is None else sampler
        follows = isinstance(strategy, SearchkitSampler)
        chosen = (
            strategy
            if follows
            else SearchkitSampler(
                strategy,
                seed=seed,
                space=own if isinstance(own, Space) else None,
                signals=signals,
                proxies=proxies,
                screen=screen,
                n_trials=n_trials,
            )
        )
        with quiet():
            super().__init__(
                listed,
                metric=metric if isinstance(metric, str | None) else list(metric),
                mode=mode if isinstance(mode, str | None) else list(mode),
                sampler=chosen,
                study_name=study_name,
                storage=storage,
                points_to_evaluate=[self._labelled(point) for point in points_to_evaluate or ()] or None,
                evaluated_rewards=evaluated_rewards,
            )

    def set_search_properties(
        self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: object
    ) -> bool:
        """Take Tune's metric, mode and parameter space where the constructor had none."""
        with quiet():
            known = {name: _domain(name, value) for name, value in config.items()}
            return bool(super().set_search_properties(metric, mode, known, **spec))

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
        if not isinstance(self.metric, list) and (values := _finite([result.get(self.metric)])):
            super().on_trial_result(trial_id, result | {self.metric: values[0]})

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Learn the outcome of a trial."""
        study, trial = study_of(self), trials_of(self).get(trial_id)
        if trial is None or trial_id in completed_of(self):
            return
        names = self.metric if isinstance(self.metric, list) else [self.metric]
        values = _finite([(result or {}).get(name) for name in names])
        failed = error or values is None
        study.tell(trial, None if failed else values, state=TrialState.FAIL if failed else TrialState.COMPLETE)
        completed_of(self).add(trial_id)

    def add_evaluated_point(
        self,
        parameters: dict[str, Any],
        value: object,
        error: bool = False,
        pruned: bool = False,
        intermediate_values: list[float] | None = None,
    ) -> None:
        """Learn a configuration whose metrics are known; failed where one of them is not finite.

        Args:
            value: the metric, or with several metrics their values.
        """
        several = isinstance(self.metric, list)
        values = _finite(list(value) if several and isinstance(value, list | tuple) else [value])
        if several and (values is None or len(values) != len(self.metric)) and not error:
            raise SearchkitError(
                f"evaluated_rewards has {value!r} for {parameters}: give a list of one finite number for each of "
                f"{', '.join(self.metric)}"
            )
        if several and not error and not pruned:
            known = create_trial(values=values, params=parameters, distributions=space_of(self))
            self.study.add_trial(known)
            return
        reward = None if values is None or several else values[0]
        super().add_evaluated_point(parameters, reward, error or reward is None, pruned, intermediate_values)

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


def _domain(name: str, given: Any) -> Any:
    """Tune's domain of a parameter of searchkit's; anything else as it is."""
    from ray import tune

    if not isinstance(given, Choice | Float | Int):
        return given
    if given.when or given.prior is not None:
        raise SpaceError(f"'{name}' has a condition or a prior: give the parameters as space=searchkit.Space([...])")
    if isinstance(given, Choice):
        return tune.choice(list(given.options))
    low, high, step = given.low, given.high, given.step
    if isinstance(given, Int):
        return tune.lograndint(low, high + 1) if given.log else tune.qrandint(low, high, step)
    if step is not None:
        return tune.quniform(low, high, step)
    return tune.loguniform(low, high) if given.log else tune.uniform(low, high)


def _suggestions(space: Space) -> Callable[[optuna.Trial], None]:
    """A function that suggests the parameters of a space, of those that exist."""

    def function(trial: optuna.Trial) -> None:
        suggest(trial, space)

    return function


def _check_goals(metric: Any, mode: Any, begins: bool) -> None:
    """Refuse what does not go together.

    Args:
        begins: the space is given, so that Tune will not say what is missing.
    """
    several = [isinstance(given, list | tuple) for given in (metric, mode)]
    if metric is not None and mode is not None:
        odd = several[0] != several[1] or (several[0] and len(metric) != len(mode))
    else:
        odd = any(several) or (begins and metric is not None)
    if odd:
        raise SearchkitError(
            f"metric and mode go together, one of each or lists of equal length, not {metric!r} and {mode!r}"
        )
    for one in mode if several[1] else () if mode is None else (mode,):
        if one not in MODES:
            raise UnknownNameError.of("mode", one, MODES)


def _check_given(space: Any, points: Any, sampler: Any, storage: Any, strategy: Any) -> None:
    if space is not None and not isinstance(space, Space | Mapping) and not callable(space):
        raise SpaceError(
            "space is a searchkit.Space or the name of one, a dictionary of Tune's or Optuna's distributions, or a "
            f"function (trial) that suggests, not {space!r}"
        )
    listed = isinstance(points, Sequence) and all(isinstance(point, Mapping) for point in points)
    if points is not None and not listed:
        raise SearchkitError(f"points_to_evaluate is a list of configurations, [{{name: value}}, ...], not {points!r}")
    if sampler is not None and not isinstance(sampler, BaseSampler):
        raise SearchkitError(f"sampler is one of Optuna's, not {sampler!r}; a strategy goes first: 'tpe', 'bo', ...")
    if sampler is not None and strategy != "auto":
        raise SearchkitError(f"sampler and strategy are two words for one thing: give {strategy!r} or {sampler!r}")
    if storage is not None and not isinstance(storage, BaseStorage):
        raise SearchkitError(
            f"storage is one of Optuna's, such as optuna.storages.RDBStorage('sqlite:///study.db'), not {storage!r}"
        )


def _finite(values: Sequence[Any]) -> list[float] | None:
    """The values as numbers; None where one is no finite number."""
    try:
        numbers = [number_of(value) for value in values]
    except ValueError:
        return None
    return numbers if all(map(math.isfinite, numbers)) else None


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
