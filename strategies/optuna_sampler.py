"""Any sampler of Optuna as a strategy: ``searchkit.run(strategy=optuna.samplers.GPSampler())``.

Akiba, Sano, Yanase, Ohta, Koyama: Optuna: A next-generation hyperparameter optimization framework. KDD 2019. Optuna
owns the models. To follow the rules of a strategy, ask works on a copy of the sampler that is seeded by ``rng``, in a
study whose changes are undone; tell seeds the sampler by the number of the trial, where it draws at all.
"""

from __future__ import annotations

import contextlib
import copy
import warnings
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from searchkit.problem.observations import Observations
from searchkit.problem.operators import mutate
from searchkit.problem.problem import Problem, Strategy
from searchkit.space import keys
from searchkit.storage.optuna_compat import quiet
from searchkit.strategies.optuna_parameters import OptunaParameters, single_value
from searchkit.strategies.optuna_seeds import check_sampler, seed_sampler
from searchkit.strategies.optuna_storage import Shelf
from searchkit.strategies.tpe_stand_in import StandIn, quick
from searchkit.surrogates.feasibility import Failures, fill
from searchkit.types import Codes

READ_TRIALS = (GPSampler, RandomSampler, TPESampler)  # their only state is the study's trials
ATTEMPTS = 4  # suggestions per candidate, where some are likely to fail


def adapt(sampler: object) -> Callable[[Problem], Strategy] | None:
    """A strategy factory for an Optuna sampler; None for anything else."""
    if not isinstance(sampler, BaseSampler):
        return None
    sampler = copy.deepcopy(sampler)
    seed_sampler(sampler, np.random.default_rng(0))  # equal samplers make equal strategies
    return partial(OptunaSampler, sampler=sampler)


class OptunaSampler:
    """An Optuna sampler over codes; see :mod:`searchkit.strategies.optuna_parameters` for what it is shown.

    Args:
        problem: what is searched.
        sampler: copied, with its random generators seeded by the search. Bounds and failures are told as
            Optuna's constraints (``Trial.set_constraint``); a ``constraints_func`` of its own is not called.

    Raises:
        ValueError: the sampler cannot search this: several objectives, unordered choices, a missing package.
    """

    batch = 1

    def __init__(self, problem: Problem, *, sampler: BaseSampler) -> None:
        self.problem = problem
        self._seen: set[bytes] = set()
        self._failures = Failures(problem)
        self._parameters = OptunaParameters(problem.space)
        self._distributions = self._parameters.distributions
        self._shelf = Shelf(problem.n_objectives)
        check_sampler(problem, sampler)
        self._sampler = quick(copy.deepcopy(sampler))
        with quiet():
            try:  # report now, not at the first suggestion, what it cannot do
                with self._shelf.running():
                    self._suggest(self._copy(np.random.default_rng(0)))
            except Exception as error:
                raise ValueError(f"{type(sampler).__name__} cannot search this: {error}") from error

    def ask(self, n: int, rng: np.random.Generator, pending: Codes) -> Codes:
        """Up to n new candidates; see :class:`searchkit.problem.problem.Strategy`.

        Pending candidates, and those already suggested in this call, are running trials of the study (Optuna's constant
        liar), which are removed at the end.
        """
        seen = self._seen.union(keys(pending)) if len(pending) else self._seen
        model = self._failures.model
        if model.hopeless:
            return fill(model, pending[:0], n, seen, rng)
        taken: set[bytes] = set()
        proposals, others = [], []
        with quiet(), warnings.catch_warnings(), self._shelf.running():
            warnings.simplefilter("ignore", RuntimeWarning)  # of numerics, where objectives or bounds are constant
            sampler = self._copy(rng)
            for row in pending:
                self._place(self._shelf.begin(), row)
            for _ in range(ATTEMPTS * n):
                row = self._suggest(sampler)
                code = self.problem.space.canonical(row[None])
                key = keys(code)[0]
                if key in seen or key in taken or not self.problem.allowed(code)[0]:
                    others.append(code)
                    if len(others) == n:  # it would keep suggesting the same candidates
                        break
                elif model.likely(code, rng)[0]:
                    taken.add(key)
                    proposals.append(code)
                    if len(proposals) == n:
                        break
        codes = np.concatenate([np.empty((0, self.problem.space.n_choices), dtype=np.int64), *proposals])
        if len(codes) < n and others:  # neighbours of its suggestions are better than random candidates
            near = mutate(np.concatenate(others), self.problem.space, rng)
            codes = np.concatenate([codes, near[model.likely(near, rng)]])
        return fill(model, codes, n, seen, rng)

    def tell(self, told: Observations) -> None:
        """Store a batch as trials: scored ones as complete, others as pruned with the constraint they broke."""
        self._seen.update(keys(told.codes))
        self._failures.tell(told)
        with quiet():
            for i in range(len(told)):
                self._finish(told[i : i + 1])
            if isinstance(self._sampler, StandIn):
                return
            with self._shelf.running():  # the intersection of the trials' parameters is computed once
                study = optuna.Study("searchkit", self._shelf, self._sampler)
                self._sampler.infer_relative_search_space(study, self._shelf.begin())

    def _finish(self, told: Observations) -> None:
        """Store one trial; a sampler with state of its own is called as if it had suggested the candidate."""
        notes: dict[str, Any] = {}
        state = TrialState.COMPLETE if told.scored[0] else TrialState.PRUNED
        values = told.losses[0].tolist() if told.scored[0] else None
        if not isinstance(self._sampler, READ_TRIALS):
            trial = self._shelf.begin()
            seed_sampler(self._sampler, np.random.default_rng(trial.number))
            study = optuna.Study("searchkit", self._shelf, self._sampler)
            self._sampler.before_trial(study, trial)
            self._sampler.sample_relative(study, trial, self._sampler.infer_relative_search_space(study, trial))
            self._place(trial, told.codes[0])
            with contextlib.suppress(RuntimeError):  # study.stop(), by a sampler that has seen everything
                self._sampler.after_trial(study, trial, state, values)
            notes = trial.system_attrs
        broken = {"failed": 1.0} if told.failed[0] else {str(i): float(v) for i, v in enumerate(told.violations[0])}
        params = self._parameters.of(told.codes[0])
        now = datetime.now()
        ended = FrozenTrial(  # optuna.create_trial copies the distributions, which takes long where they are large
            -1, state, None, now, now, params, {name: self._distributions[name] for name in params}, {}, dict(notes),
            {}, trial_id=-1, values=values,
        )  # fmt: skip
        for name, value in broken.items():
            ended.set_constraint(name, value)
        self._shelf.finish(ended)

    def _copy(self, rng: np.random.Generator) -> BaseSampler:
        """A copy of the sampler with random generators seeded by ``rng``."""
        if isinstance(self._sampler, StandIn):
            return self._sampler.seeded(rng)
        shared = {id(distribution): distribution for distribution in self._distributions.values()}  # never changed
        sampler = copy.deepcopy(self._sampler, shared)
        seed_sampler(sampler, rng)
        return sampler

    def _suggest(self, sampler: BaseSampler) -> Codes:
        """``(d,)`` one suggestion, added to the study as a running trial."""
        trial = self._shelf.begin()
        study = optuna.Study("searchkit", self._shelf, sampler)
        sampler.before_trial(study, trial)
        given = sampler.sample_relative(study, trial, sampler.infer_relative_search_space(study, trial))

        def suggested(name: str, distribution: BaseDistribution) -> Any:
            if name in given:
                value = given[name]
            elif distribution.single():
                value = single_value(distribution)
            else:
                value = sampler.sample_independent(study, trial, name, distribution)
            value = float(value) if isinstance(distribution, FloatDistribution) else int(value)
            trial.params[name], trial.distributions[name] = value, distribution
            return value

        return self._parameters.read(suggested)

    def _place(self, trial: FrozenTrial, code: Codes) -> None:
        params = self._parameters.of(code)
        trial.params.update(params)
        trial.distributions.update({name: self._distributions[name] for name in params})
