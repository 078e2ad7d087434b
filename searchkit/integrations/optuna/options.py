"""The parameters of an Optuna study as choices, with the options that its trials could have or had."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial

from searchkit.errors import SpaceError
from searchkit.integrations.optuna.axes import LISTED, texts_of
from searchkit.space import Choice

ABSENT = "absent"  # the option of a parameter that a trial lacks


def choices_of(trials: Sequence[FrozenTrial]) -> list[Choice]:
    """One choice a parameter, in the order in which they first occurred; see ``read_study``.

    Raises:
        SpaceError: no trial has any parameter.
    """
    found: dict[str, list[BaseDistribution]] = {}
    for trial in trials:
        for name, distribution in trial.distributions.items():
            known = found.setdefault(name, [])
            if distribution not in known:
                known.append(distribution)
    if not found:
        raise SpaceError("the study has no trial with parameters: there is nothing to read")
    return [_choice(name, distributions, trials) for name, distributions in found.items()]


def place(choice: Choice, value: object) -> int | None:
    """Index of a value's option, or of the nearest in the range of an ordered choice of numbers; None without one."""
    try:
        return choice.index(value)
    except SpaceError:
        pass
    options = [o for o in choice.options if isinstance(o, int | float) and not isinstance(o, bool)]
    if (
        not isinstance(value, int | float)
        or isinstance(value, bool)
        or not choice.ordered
        or len(options) < len(choice.options)
    ):
        return None
    if not min(options) <= value <= max(options):
        return None
    log = min(options) > 0 and max(options) / min(options) >= 100  # on a logarithmic scale: the nearest ratio
    distances = [abs(math.log(o / value)) if log else abs(o - value) for o in options]
    return distances.index(min(distances))


def _choice(name: str, distributions: Sequence[BaseDistribution], trials: Sequence[FrozenTrial]) -> Choice:
    last = distributions[-1]
    lacking = any(name not in trial.params for trial in trials)
    if isinstance(last, CategoricalDistribution):
        more = [ABSENT] if lacking else []
        try:
            return Choice(name, [*last.choices, *more])
        except SpaceError:  # objects without a text, or with one text, and a category "absent"
            return Choice(name, [*texts_of(last.choices), *more])
    occurred = {trial.params[name] for trial in trials if name in trial.params}
    grids = [_grid(distribution, occurred) for distribution in distributions]
    values = sorted(occurred.union(*grids) if all(grids) else occurred)
    return Choice(name, [*([ABSENT] if lacking else []), *values], ordered=True)


def _grid(distribution: BaseDistribution, occurred: set[Any]) -> list[int | float]:
    """All values of a number with few of them, as they occurred where they did; empty for others."""
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    low, high, step = distribution.low, distribution.high, distribution.step
    if step is None or (high - low) / step >= LISTED:
        return []
    n_steps = round((high - low) / step)
    if isinstance(distribution, IntDistribution):
        return [low + i * step for i in range(n_steps + 1)]
    known = {round((value - low) / step) for value in occurred}  # which may differ from the grid in the last digits
    exact = [float(Decimal(str(low)) + i * Decimal(str(step))) for i in range(n_steps + 1) if i not in known]
    return [*exact, *occurred]
