"""The parameters of a finished Optuna study as choices: what its trials could be, or have been."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial

from searchkit.errors import SpaceError
from searchkit.integrations.optuna.axes import LISTED
from searchkit.space import Choice

ABSENT = "absent"  # of a parameter that a trial was not asked


def choices_of(trials: Sequence[FrozenTrial]) -> list[Choice]:
    """One choice a parameter, in the order in which they were first asked for; see ``read_study``.

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


def place(choice: Choice, value: Any, by_repr: bool = False) -> int | None:
    """The option that a value is; of an ordered choice of numbers the nearest, within its ends; None: it is none.

    Args:
        by_repr: the options are the ``repr`` of the values.
    """
    try:
        return choice.index(repr(value) if by_repr else value)
    except SpaceError:
        pass
    options = [o for o in choice.options if isinstance(o, int | float) and not isinstance(o, bool)]
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not choice.ordered or len(options) < len(choice.options):
        return None
    if not min(options) <= value <= max(options):
        return None
    log = min(options) > 0 and max(options) / min(options) >= 100  # a scale of magnitudes: the nearest factor
    distances = [abs(math.log(o / value)) if log else abs(o - value) for o in options]
    return distances.index(min(distances))


def goes_by_repr(choices: Sequence[Any]) -> bool:
    """Whether categories are named by ``repr``: a record could not tell them apart, such as 1 and "1"."""
    return len({str(choice) for choice in (*choices, ABSENT)}) <= len(choices)


def _choice(name: str, distributions: Sequence[BaseDistribution], trials: Sequence[FrozenTrial]) -> Choice:
    last = distributions[-1]
    lacking = any(name not in trial.params for trial in trials)
    if isinstance(last, CategoricalDistribution):
        options = [*last.choices, *([ABSENT] if lacking else [])]
        return Choice(name, [repr(option) for option in options] if goes_by_repr(last.choices) else options)
    occurred = {trial.params[name] for trial in trials if name in trial.params}
    values = sorted(occurred.union(*map(_grid, distributions)) if all(map(_grid, distributions)) else occurred)
    return Choice(name, [*([ABSENT] if lacking else []), *values], ordered=True)


def _grid(distribution: BaseDistribution) -> list[int | float]:
    """Every value of a number with few; empty of others."""
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    low, high, step = distribution.low, distribution.high, distribution.step
    if step is None or (high - low) / step >= LISTED:
        return []
    values = [low + i * step for i in range(round((high - low) / step) + 1)]
    return values if isinstance(distribution, IntDistribution) else [round(value, 12) for value in values]
