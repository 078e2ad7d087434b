"""What is used of Ray Tune's bridge to Optuna that has no public name; checked on ray 2.60.0.

Where a later Ray has moved a name, ``tests/test_compat.py`` says which.
"""

from __future__ import annotations

from collections.abc import MutableSet
from typing import Any

import optuna


def study_of(searcher: Any) -> Any:
    """The Optuna study that a searcher keeps; None before it knows what is searched."""
    return searcher._ot_study


def trials_of(searcher: Any) -> dict[str, optuna.Trial]:
    """Optuna's trials by Tune's names of them."""
    trials: dict[str, optuna.Trial] = searcher._ot_trials
    return trials


def completed_of(searcher: Any) -> MutableSet[str]:
    """Tune's names of the trials that have been told."""
    completed: MutableSet[str] = searcher._completed_trials
    return completed


def space_of(searcher: Any) -> Any:
    """Optuna's distributions by name, or a function that asks for them."""
    return searcher._space
