"""A sampler for any study of Optuna, which searches with searchkit's strategies."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial, TrialState

from searchkit import plugins
from searchkit.errors import ConstraintError, SearchkitError, SpaceError
from searchkit.integrations.optuna.following import Following, SamplerOptions
from searchkit.integrations.optuna.parameters import ASKED
from searchkit.integrations.optuna.screening import Signal, read_screeners
from searchkit.integrations.optuna.tpe_options import check_further
from searchkit.option_values import whole
from searchkit.problem.numbers import number_of, seed_of
from searchkit.problem.ranks import TRUST
from searchkit.space import Choice, Float, Parameter, Space
from searchkit.space.dictionaries import asked
from searchkit.space.prior import check_confidence
from searchkit.storage.optuna_compat import CONSTRAINTS, note, storage_of, study_id, whole_study

if TYPE_CHECKING:
    import pandas as pd

    from searchkit.types import Codes

ROUNDS = 8  # attempts to find a candidate that no other process has just started


class SearchkitSampler(BaseSampler):
    """searchkit's strategies for any Optuna objective::

        from searchkit.integrations.optuna import SearchkitSampler

        study = optuna.create_study(directions=["maximize", "minimize"], sampler=SearchkitSampler("bo", seed=0))
        study.optimize(objective, n_trials=100)

    Whatever takes an Optuna sampler takes it: ``trainer.hyperparameter_search(backend="optuna", sampler=...)`` of
    Hugging Face, ``OptunaSearchCV(study=optuna.create_study(sampler=...))`` over skorch or scikit-learn, Ray's
    ``OptunaSearch(sampler=...)``.

    The objective needs no change. Its parameters become known from the first trials, which are random. All parameters
    of finished trials are searched together, conditional ones too where an earlier parameter
    decides them (:mod:`searchkit.integrations.optuna.parameters`); the rest are drawn at random. Numbers are searched
    as they are, with their ranges, scales and steps. The strategy learns failed trials as failed, pruned ones by a
    prediction from their last reported value, and ``trial.set_constraint`` as a bound.

    The study holds all state: a suggestion is a function of the seed, the trial's number, and the finished and running
    trials. With one worker, a study that is continued with the same seed (in a storage, by
    another process) goes on as if it had not been stopped. Workers suggest no candidate that another one runs; trials
    that a killed worker left running count as such until they are failed (``optuna.storages.fail_stale_trials``).

    Args:
        strategy: a name (``searchkit.plugins.names("strategy")``), "auto", a callable that makes a strategy from a
            :class:`~searchkit.problem.problem.Problem`, or an algorithm of pymoo.
        seed: of everything random; drawn where None. Workers may share one.
        space: choices that are known before the first trial, such as a :class:`~searchkit.NetworkSpace`; the objective
            asks for them by ``suggest(trial, space)``, and for other parameters besides as it likes.
        signals: name -> function of a trial's parameters that estimates cheaply how good they are, such as
            ``{"size": lambda params: ...}``; higher is better. How well each predicts, and its sign, is learned from
            the trials (:attr:`signals`).
        proxies: searchkit's proxies, by name or as objects; most need ``space``.
        screen: candidates scored by signals and proxies for each one that is suggested.
        constraints_func: as of Optuna's own samplers; ``trial.set_constraint`` needs none.
        n_trials: number of trials, where that is known; "auto" and some strategies use it.
        n_startup_trials: so many trials that end complete or pruned are random before the strategy begins. A strategy
            begins with a design of its own, so that it needs none; a first trial is random in any case.
        prior: name of a parameter -> a value that may be good, or ``(value, confidence)`` with a confidence between 0
            and 1: it leads some of the candidates (:mod:`searchkit.problem.priors`). One that is no value of its
            parameter raises SpaceError when the parameter is known. Parameters of ``space`` have theirs in the space.
        further: arguments of Optuna's TPESampler are taken where they say what this sampler does anyway
            (``multivariate``, ``group``, ``constant_liar``, ``warn_independent_sampling=False``); for others the error
            says what to use.

    Raises:
        SearchkitError: one of its kinds, before any trial, where something given cannot be used.
    """

    def __init__(
        self,
        strategy: object = "auto",
        *,
        seed: int | None = None,
        space: Space | str | None = None,
        signals: Mapping[str, Signal] | None = None,
        proxies: object = (),
        screen: int = 16,
        constraints_func: Callable[[FrozenTrial], Sequence[float]] | None = None,
        n_trials: int | None = None,
        n_startup_trials: int = 0,
        prior: Mapping[str, object] | None = None,
        **further: object,
    ) -> None:
        check_further(further, list(inspect.signature(SearchkitSampler).parameters)[:-1])
        least = {"n_trials": (n_trials, 1), "screen": (screen, 1)}
        for name, (value, lowest) in (least | {"n_startup_trials": (n_startup_trials, 0)}).items():
            whole(name, value, lowest)
        if constraints_func is not None and not callable(constraints_func):
            raise SearchkitError(f"constraints_func is a function (trial) -> numbers, not {constraints_func!r}")
        own = plugins.load_space(space) if isinstance(space, str) else space
        if own is not None and not isinstance(own, Space):
            raise SpaceError(f"space is a searchkit.Space or the name of one, not {space!r}")
        seed = int(np.random.default_rng().integers(2**32)) if seed is None else seed_of("seed", seed)
        factory, label = plugins.strategy_factory(strategy), _label(strategy)
        screeners = read_screeners(signals, proxies, own, screen, seed)
        self._options = SamplerOptions(factory, label, seed, own, n_trials, screeners, _guesses(prior, own))
        self._constraints_func = constraints_func
        self._n_startup = n_startup_trials
        self._following: tuple[Any, int, Following] | None = None
        self._lock = threading.RLock()

    @property
    def signals(self) -> pd.DataFrame:
        """How well each signal and proxy predicts in the study last sampled; see :attr:`searchkit.Result.signals`."""
        import pandas as pd

        made = self._following[2].made if self._following else None
        if made is None or made.screen is None:
            return pd.DataFrame(columns=list(TRUST))
        return made.screen.signals.trust

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """The parameters that are searched together; learns what has finished."""
        with self._lock:
            following = self._follow(study)
            following.read_for = trial.number
            return following.parameters.distributions

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """A candidate that is neither told nor running, as parameters.

        It is written to the trial before the objective asks for it, and given up where another process has meanwhile
        written the same. When every candidate was tried, what follows is random.
        """
        if not search_space:
            return {}
        suggested: dict[str, Any] = {}
        with self._lock:
            for i in range(ROUNDS):
                following = self._follow(study, trial.number)
                if following.n_ended < self._n_startup:
                    return {}
                code = following.suggest(trial.number) if following.made else np.empty((0, 0), dtype=np.int64)
                if not len(code):
                    break
                suggested = following.parameters.values(code[0])
                if not suggested.keys() <= search_space.keys():  # a sampler around this one, which fixes the others
                    suggested = {name: value for name, value in suggested.items() if name in search_space}
                    break
                _announce(study, trial, suggested, following)
                if i == ROUNDS - 1 or not _taken(trial, code[0], following):
                    break
        if not suggested:
            return {name: self.sample_independent(study, trial, name, d) for name, d in search_space.items()}
        return suggested

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """A random value; a function of the seed, the trial and the parameter's name."""
        drawn = np.random.default_rng([self._options.seed, trial.number, 2, *param_name.encode()])
        sampler = RandomSampler(seed=int(drawn.integers(2**32)))
        return sampler.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """Keep what ``constraints_func`` says with the trial, in Optuna's way."""
        if self._constraints_func is None or state not in (TrialState.COMPLETE, TrialState.PRUNED):
            return
        returned = self._constraints_func(trial)
        if isinstance(returned, str | bytes) or not isinstance(returned, Iterable) or _is_scalar(returned):
            raise ConstraintError(
                f"constraints_func returned {returned!r} for trial {trial.number}: it returns a sequence of "
                "numbers, each at most 0 where the trial is feasible, such as (trial.user_attrs['size'] - 100,)"
            )
        try:
            constraints = tuple(number_of(value) for value in returned)
        except ValueError as error:
            raise ConstraintError(f"a value of constraints_func for trial {trial.number} is {error}") from None
        if np.isnan(constraints).any():
            raise ConstraintError(f"constraints_func returned {constraints} for trial {trial.number}: NaN says nothing")
        note(study, trial, CONSTRAINTS, constraints)

    def reseed_rng(self) -> None:
        """Nothing: every trial's number is its seed, so that workers never draw the same."""

    def _follow(self, study: optuna.Study, number: int | None = None) -> Following:
        """Everything that is known of a study, up to now; remembered for the last one only.

        Args:
            number: of a trial. Optuna asks for its search space and then at once for its parameters: the study is not
                read a second time then.
        """
        known = self._following
        if known is None or known[0] is not storage_of(study) or known[1] != study_id(study):
            following = Following(whole_study(study), self._options)
            known = self._following = (storage_of(study), study_id(study), following)
        following = known[2]
        if number is None or following.read_for != number:
            following.update()
        following.read_for = None
        return following

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"_following": None, "_lock": None}  # another process learns from the study

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state | {"_lock": threading.RLock()})


def suggest(trial: optuna.Trial, space: Space) -> dict[str, Any]:
    """One option for every choice of a searchkit space, and a value for every number, of those that exist.

    They are what ``space.encode`` takes: ``network = space.build(space.encode(suggest(trial, space))[0])``.
    """
    return space.decode(asked(space, lambda j: _suggested(trial, space.choices[j])))[0]


def _suggested(trial: optuna.Trial, parameter: Parameter) -> int:
    name = parameter.name
    if isinstance(parameter, Choice):
        return parameter.index(trial.suggest_categorical(name, parameter.labels))
    low, high, log, step = parameter.low, parameter.high, parameter.log, parameter.step
    if isinstance(parameter, Float):
        return parameter.index(trial.suggest_float(name, low, high, log=log, step=step))
    return parameter.index(trial.suggest_int(name, int(low), int(high), log=log, step=int(step or 1)))


def _announce(study: optuna.Study, trial: FrozenTrial, suggested: Mapping[str, Any], following: Following) -> None:
    distributions = following.parameters.distributions
    inside = {name: distributions[name].to_internal_repr(value) for name, value in suggested.items()}
    note(study, trial, ASKED, inside)


def _taken(trial: FrozenTrial, code: Codes, following: Following) -> bool:
    """Whether another trial has written the same candidate, which runs or has ended since this one was asked for.

    Of trials that had ended by then, candidates were known.
    """
    for other in following.unread():
        if other.number != trial.number and other.state is not TrialState.WAITING:
            row = following.parameters.code(other)
            if row is not None and (row == code).all():
                return True
    return False


def _guesses(given: object, space: Space | None) -> Mapping[str, object]:
    """The priors, checked as far as they can be before any trial."""
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise SearchkitError(f"prior is a mapping of parameters to values, such as {{'lr': 0.01}}, not {given!r:.80}")
    for name, value in given.items():
        if space is not None and name in space.names:
            raise SearchkitError(f"'{name}' is a parameter of the space given: give its prior there, as prior=")
        if isinstance(value, tuple) and len(value) == 2:
            check_confidence(name, value[1])
    return dict(given)


def _label(strategy: Any) -> str:
    """What errors call a strategy."""
    if isinstance(strategy, str):
        return strategy
    return str(getattr(getattr(strategy, "func", strategy), "__name__", type(strategy).__name__))


def _is_scalar(value: Any) -> bool:
    """Whether it is a number of numpy's or torch's, which have iterators that do not iterate."""
    return getattr(value, "shape", None) == ()
