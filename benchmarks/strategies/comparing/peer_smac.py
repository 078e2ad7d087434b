"""SMAC3 by ask and tell: categorical hyperparameters, ParEGO for several objectives; a failure is a crashed trial.

SMAC's default cost of a crash is infinite, with which its models raise; it is a loss that is worse than almost all
here. SMAC 2.4 needs scikit-learn 1.7; beside a newer one it raises.
"""

from __future__ import annotations

import tempfile
from typing import Any

import numpy as np
from ConfigSpace import Categorical, ConfigurationSpace, OrdinalHyperparameter
from smac import BlackBoxFacade, HyperparameterOptimizationFacade, Scenario
from smac.multi_objective.parego import ParEGO
from smac.runhistory.dataclasses import TrialValue
from smac.runhistory.enumerations import StatusType

from benchmarks.strategies.comparing.methods import Search
from benchmarks.strategies.comparing.problems import Problem
from benchmarks.strategies.comparing.recorder import Recorder


def forest() -> Search:
    """The facade for hyperparameters, which its documentation advises for categorical spaces: a random forest."""
    return _search(HyperparameterOptimizationFacade)


def blackbox() -> Search:
    """The facade for black boxes: a Gaussian process."""
    return _search(BlackBoxFacade)


def _search(facade: Any) -> Search:
    def search(problem: Problem, recorder: Recorder, seed: int) -> None:
        space, names = recorder.benchmark.space, list(recorder.benchmark.objectives)
        known = ConfigurationSpace(seed=seed)
        for choice in space.choices:
            options = [str(i) for i in range(len(choice.options))]
            known.add(
                OrdinalHyperparameter(choice.name, options) if choice.ordered else Categorical(choice.name, options)
            )
        failed = recorder.failed.tolist()
        with tempfile.TemporaryDirectory() as folder:
            scenario = Scenario(
                known, objectives=names if len(names) > 1 else "cost", deterministic=True, n_trials=recorder.budget,
                seed=seed, output_directory=folder, crash_cost=failed if len(names) > 1 else failed[0],
            )  # fmt: skip
            several = {"multi_objective_algorithm": ParEGO(scenario)} if len(names) > 1 else {}
            smac = facade(
                scenario, _never, intensifier=facade.get_intensifier(scenario, max_config_calls=1), overwrite=True,
                logging_level=False, **several,
            )  # fmt: skip
            while True:
                try:
                    asked = smac.ask()
                except StopIteration:
                    return
                losses = recorder([int(asked.config[name]) for name in space.names])
                works = bool(np.isfinite(losses).all())
                costs = (losses if works else recorder.failed).tolist()
                status = StatusType.SUCCESS if works else StatusType.CRASHED
                cost = costs if len(costs) > 1 else costs[0]
                smac.tell(asked, TrialValue(cost=cost, status=status), save=False)

    return search


def _never(config: Any, seed: int = 0) -> float:
    raise AssertionError("candidates are evaluated outside")
