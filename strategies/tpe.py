"""Tree-structured Parzen estimator on Optuna's TPESampler.

Bergstra, Bardenet, Bengio, Kegl: Algorithms for hyper-parameter optimization. NeurIPS 2011; multi-objective form by
Ozaki et al., GECCO 2020. Optuna owns the density models; here it is told what happened and asked for more.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import optuna
from optuna.trial import TrialState

from searchkit._optuna import quiet
from searchkit.observations import Observations
from searchkit.operators import mutate
from searchkit.problem import Problem, complete
from searchkit.space import Codes, keys


class TPE:
    """Optuna's TPE over codes.

    Args:
        problem: what is searched.
        sampler_options: passed to ``optuna.samplers.TPESampler``, e.g. ``n_startup_trials=20``.
    """

    batch = 1

    def __init__(self, problem: Problem, **sampler_options: Any) -> None:
        self.problem = problem
        self.options = {"constant_liar": True} | sampler_options
        self._seen: set[bytes] = set()
        self._distributions: dict[str, optuna.distributions.BaseDistribution] = {
            str(j): optuna.distributions.IntDistribution(0, len(choice.options) - 1)
            if choice.ordered
            else optuna.distributions.CategoricalDistribution(range(len(choice.options)))
            for j, choice in enumerate(problem.space.choices)
        }
        with quiet():
            self._sampler(0)  # wrong options are said now, not at the first suggestion
            self._study = optuna.create_study(directions=["minimize"] * problem.n_objectives)

    def ask(self, n: int, rng: np.random.Generator, pending: Codes) -> Codes:
        """Up to n new candidates; see :class:`searchkit.problem.Strategy`.

        What is pending, and what this call has already proposed, stands in the study as running trials (Optuna's
        constant liar). Optuna cannot take a trial back, so they end as failed trials without constraints, which
        TPE never reads.
        """
        seen = self._seen.union(keys(pending)) if len(pending) else self._seen.copy()
        running: list[optuna.Trial] = []
        proposals: list[list[int]] = []
        repeats: list[list[int]] = []
        with quiet():
            self._study.sampler = self._sampler(int(rng.integers(2**31)))
            for row in pending.tolist():
                self._study.enqueue_trial({str(j): i for j, i in enumerate(row)})
                running.append(self._study.ask(self._distributions))
            for _ in range(3 * n):
                trial = self._study.ask(self._distributions)
                running.append(trial)
                row = [int(trial.params[str(j)]) for j in range(self.problem.space.n_choices)]
                code = self.problem.space.canonical(np.array([row]))
                key = keys(code)[0]
                if key in seen or not self.problem.allowed(code)[0]:
                    repeats.append(row)
                    continue
                seen.add(key)
                proposals.append(row)
                if len(proposals) == n:
                    break
            for trial in running:
                self._study.tell(trial, state=TrialState.FAIL)
        seen.difference_update(keys(self.problem.space.canonical(_rows(proposals, self.problem))))
        candidates = _rows(proposals, self.problem)
        if len(proposals) < n:  # near where TPE points is better than anywhere
            candidates = np.concatenate([candidates, mutate(_rows(repeats, self.problem), self.problem.space, rng)])
        return complete(self.problem, candidates, n, seen, rng)

    def tell(self, told: Observations) -> None:
        """Add a batch to the study: scored as complete, the others as pruned with the constraint they broke."""
        self._seen.update(keys(told.codes))
        trials = []
        for code, losses, violations, scored, failed in zip(
            told.codes.tolist(), told.losses, told.violations, told.scored, told.failed, strict=True
        ):
            constraints = {str(i): 0.0 if failed else float(v) for i, v in enumerate(violations)}
            trials.append(
                optuna.create_trial(
                    state=TrialState.COMPLETE if scored else TrialState.PRUNED,
                    values=losses.tolist() if scored else None,
                    params={str(j): i for j, i in enumerate(code)},
                    distributions=self._distributions,
                    constraints=constraints | {"failed": float(failed)},
                )
            )
        with quiet():
            self._study.add_trials(trials)

    def _sampler(self, seed: int) -> optuna.samplers.BaseSampler:
        return optuna.samplers.TPESampler(seed=seed, **self.options)


def _rows(rows: list[list[int]], problem: Problem) -> Codes:
    return np.array(rows, dtype=np.int64).reshape(-1, problem.space.n_choices)
