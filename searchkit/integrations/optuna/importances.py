"""searchkit's importances in Optuna's own functions and plots."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import optuna
from optuna.importance import BaseImportanceEvaluator
from optuna.trial import FrozenTrial, TrialState

from searchkit.errors import SearchkitError, UnknownNameError
from searchkit.integrations.optuna.studies import read_study
from searchkit.problem.trial import State
from searchkit.results.importances import FEWEST, shares


class Importances(BaseImportanceEvaluator):
    """Importances as :meth:`searchkit.Result.importances` has them, for any study of Optuna::

        optuna.visualization.plot_param_importances(study, evaluator=Importances())

    Parameters that exist under conditions are among them.
    """

    def evaluate(
        self,
        study: optuna.Study,
        params: list[str] | None = None,
        *,
        target: Callable[[FrozenTrial], float] | None = None,
    ) -> dict[str, float]:
        """Shares of the parameters, the most important first; see Optuna.

        Raises:
            SearchkitError: a study of several objectives without ``target``, or fewer than eight finite values.
            UnknownNameError: the study has no such parameter.
        """
        if target is None and len(study.directions) > 1:
            raise SearchkitError("the study has several objectives: give target=, as lambda trial: trial.values[0]")
        result = read_study(study)
        complete = [trial for trial in study.get_trials(deepcopy=False) if trial.state is TrialState.COMPLETE]
        codes = [trial.code for trial in result.trials if trial.state is State.SCORED]
        value = target or (lambda trial: trial.values[0])
        values = [float(value(trial)) for trial in complete if all(map(math.isfinite, trial.values))]
        known = np.isfinite(values)
        if known.sum() < FEWEST:
            raise SearchkitError(
                f"importances are learned from at least {FEWEST} finite values, and the study has {int(known.sum())}"
            )
        found = shares(result.space, np.stack(codes)[known], np.array(values)[known])
        all_of_them = dict(zip(result.space.names, found.tolist(), strict=True))
        for name in params or ():
            if name not in all_of_them:
                raise UnknownNameError.of("parameter", name, result.space.names)
        wanted = {name: share for name, share in all_of_them.items() if params is None or name in params}
        return dict(sorted(wanted.items(), key=lambda pair: -pair[1]))
