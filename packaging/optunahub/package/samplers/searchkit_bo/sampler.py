"""searchkit's Bayesian optimisation as a sampler of Optuna."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from optuna.trial import FrozenTrial
from searchkit.integrations.optuna import SearchkitSampler


class SearchkitBOSampler(SearchkitSampler):
    """A Gaussian process over numbers, categories and conditions, for one objective or several.

    Args:
        seed: of everything random; drawn where None.
        signals: name -> function of a trial's parameters that estimates cheaply how good they are,
            higher is better. How well each predicts, and its sign, is learned from the trials.
        prior: name of a parameter -> a value that may be good, or ``(value, confidence)`` with a
            confidence from 0 to 1.
        constraints_func: as of Optuna's own samplers; ``trial.set_constraint`` needs none.
        n_startup_trials: so many trials are random before the model begins.
    """

    def __init__(
        self,
        *,
        seed: int | None = None,
        signals: Mapping[str, Callable[[dict[str, Any]], float]] | None = None,
        prior: Mapping[str, object] | None = None,
        constraints_func: Callable[[FrozenTrial], Sequence[float]] | None = None,
        n_startup_trials: int = 0,
    ) -> None:
        super().__init__(
            "bo",
            seed=seed,
            signals=signals,
            prior=prior,
            constraints_func=constraints_func,
            n_startup_trials=n_startup_trials,
        )
