"""A strategy that follows a study: rebuilt from the study's trials by any process, and updated in this one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from searchkit.errors import SearchkitError, nearest
from searchkit.integrations.optuna.outcomes import Outcomes, goals_of
from searchkit.integrations.optuna.parameters import Parameters
from searchkit.integrations.optuna.screening import Screeners
from searchkit.problem.making import made
from searchkit.problem.observations import Observations
from searchkit.problem.problem import Problem, Strategy
from searchkit.problem.proposals import complete, distinct
from searchkit.runtime.threads import one_blas_thread
from searchkit.space import Space, keys
from searchkit.storage.optuna_compat import unread_trials
from searchkit.storage.silence import quiet
from searchkit.types import Codes

KNOWN = 10  # finished trials after which priors of unknown parameters are spoken of
SHARE = 20  # the proxy layer is fitted anew when a twentieth of all outcomes is new

log = logging.getLogger("searchkit")


@dataclass(frozen=True)
class SamplerOptions:
    """The arguments of a sampler, checked.

    Attributes:
        factory: makes the strategy.
        label: its name in errors.
        seed: of all random numbers, together with the number of the trial.
        space: the user's, or None.
        n_trials: number of trials, where that is known.
        screeners: signals and proxies.
        prior: name -> a value that may be good, or ``(value, confidence)``.
    """

    factory: Callable[[Problem], Strategy]
    label: str
    seed: int
    space: Space | None
    n_trials: int | None
    screeners: Screeners
    prior: Mapping[str, object]


class Following:
    """The state of one sampler for one study: a function of the options and of the finished trials in their order.

    Each finished trial is told to the strategy as a batch of one. When a trial shows something new (a parameter,
    another distribution, a constraint), the strategy is made anew and told all trials again. So a process that opens
    the study later has the same state.

    Attributes:
        read_for: the trial for which the study was read last, where nothing has come of that yet.
    """

    def __init__(self, study: optuna.Study, options: SamplerOptions) -> None:
        self.read_for: int | None = None
        self._study, self._options = study, options
        self._finished: list[FrozenTrial] = []
        self._known: set[int] = set()  # numbers of the finished trials
        self._unfinished: dict[int, FrozenTrial] = {}  # by number, as last read
        self._n_read = 0  # trials with a lower number are in one of the two
        self._n_ended = 0  # complete or pruned
        self._constraints: dict[str, None] = {}
        self._made: _Made | None = None
        self._said = False  # which priors are of no parameter
        self._renew()

    @property
    def parameters(self) -> Parameters:
        """The parameters that are searched together, as the trials so far show them."""
        return self._parameters

    @property
    def made(self) -> _Made | None:
        """The strategy with its proxy layer; None before any parameter is known."""
        return self._made

    @property
    def n_ended(self) -> int:
        """Number of trials that ended complete or pruned."""
        return self._n_ended

    @property
    def running(self) -> list[FrozenTrial]:
        """Running trials, of all workers, as last read."""
        return [trial for trial in self._unfinished.values() if trial.state is TrialState.RUNNING]

    def unread(self) -> list[FrozenTrial]:
        """The trials that had not finished at the last update, and those that were not there, as they are now."""
        found = unread_trials(self._study, self._unfinished, self._n_read)
        return [trial for trial in found if trial.number not in self._known]

    def update(self) -> None:
        """Learn from the trials that finished since the last call."""
        changed, fresh = False, []
        for trial in self.unread():
            if not trial.state.is_finished():
                self._unfinished[trial.number] = trial
                continue
            self._unfinished.pop(trial.number, None)
            self._n_ended += trial.state in (TrialState.COMPLETE, TrialState.PRUNED)
            fresh.append(trial)
            self._finished.append(trial)
            self._known.add(trial.number)
            changed |= not self._parameters.fit(trial) or not trial.constraints.keys() <= self._constraints.keys()
            self._constraints |= dict.fromkeys(trial.constraints)
        while self._n_read in self._known or self._n_read in self._unfinished:
            self._n_read += 1
        if len(self._finished) >= KNOWN and not self._said:
            self._said = True
            self._warn_of_guesses()
        if changed:
            self._renew()
        elif self._made is not None:
            self._made.tell(fresh)

    def suggest(self, number: int) -> Codes:
        """``(1, d)`` a candidate for trial ``number``; empty where all are told or running."""
        assert self._made is not None
        running = [trial for trial in self.running if trial.number != number]
        rows = [code for code in map(self._parameters.code, running) if code is not None]
        return self._made.ask(np.random.default_rng([self._options.seed, number]), rows)

    def _warn_of_guesses(self) -> None:
        """Say which priors are of parameters that the study has not asked for."""
        asked = sorted({name for trial in self._finished for name in trial.params})
        for name in self._options.prior:
            if name not in asked:
                near = nearest(name, asked)
                hint = f" Did you mean '{near}'?" if near else ""
                log.warning("prior of '%s': no trial so far has such a parameter.%s", name, hint)

    def _renew(self) -> None:
        self._parameters = Parameters(self._finished, self._options.space, self._options.prior)
        if self._parameters.space is None:
            return
        self._made = _Made(self._parameters, goals_of(self._study, list(self._constraints)), self._options)
        self._made.tell(self._finished)


class _Made:
    """A strategy over one set of parameters, and its proxy layer."""

    def __init__(self, parameters: Parameters, goals: Any, options: SamplerOptions) -> None:
        assert parameters.space is not None
        self.parameters, self.goals = parameters, goals
        screened = bool(options.screeners.functions or options.screeners.proxies)
        self.problem = Problem(
            parameters.space, len(goals.objectives), len(goals.bounds), budget=options.n_trials, proxies=screened
        )
        self.strategy = _begin(options, self.problem)
        turns = bool(getattr(self.strategy, "models", False))
        self.screen = options.screeners.screen(parameters, self.problem, goals, turns)
        self._outcomes = Outcomes(goals)
        self._seen: set[bytes] = set()
        self._waiting: list[Observations] = []  # told to the strategy, and not yet to the screen
        self._n_told = 0

    def tell(self, trials: Sequence[FrozenTrial]) -> None:
        """Learn finished trials one by one; one that is no candidate of the space is ignored."""
        with one_blas_thread(), quiet():  # once, and not for each trial
            for trial in trials:
                code = self.parameters.code(trial)
                if code is not None:
                    self._learn(self._outcomes.observe(trial, code))

    def _learn(self, told: Observations) -> None:
        self._seen.update(keys(told.codes))
        self.strategy.tell(told)
        if self.screen is None:
            return
        self._n_told += 1
        self._waiting.append(told)
        if len(self._waiting) * SHARE >= self._n_told:
            self.screen.tell(Observations.join(self._waiting))
            self._waiting = []

    def ask(self, rng: np.random.Generator, running: Sequence[Codes]) -> Codes:
        """``(1, d)`` or ``(0, d)``."""
        none = np.empty((0, self.parameters.space.n_choices), dtype=np.int64)  # type: ignore[union-attr]
        pending = distinct(self.problem, np.stack(running), self._seen) if running else none
        seen = self._seen.union(keys(pending)) if len(pending) else self._seen
        with one_blas_thread():
            n_asked = self.screen.proposals(1) if self.screen else 1
            codes = self.problem.space.check(self.strategy.ask(n_asked, rng, pending))
            if self.screen is not None:
                unknown = np.concatenate([pending, *(told.codes for told in self._waiting)])
                codes = self.screen.pick(codes, 1, seen, rng, unknown)
        return complete(self.problem, codes, 1, seen, rng)


def _begin(options: SamplerOptions, problem: Problem) -> Strategy:
    try:
        strategy = made(options.factory, problem)
    except (TypeError, ValueError) as error:
        raise SearchkitError(f"strategy '{options.label}' cannot be made for this study: {error}") from error
    if not isinstance(strategy, Strategy):
        raise SearchkitError(
            f"strategy '{options.label}' made {strategy!r}, which has no ask and tell; give a callable "
            "(problem) -> strategy"
        )
    why = getattr(strategy, "why", "")
    if why:
        log.info("strategy 'auto' takes %s: %s", getattr(strategy, "choice", ""), why)
    return strategy
