"""The parameters of an Optuna study as choices, with the options that its trials could have or had."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial

from searchkit.errors import SpaceError
from searchkit.integrations.optuna.axes import LISTED
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


def place(choice: Choice, value: Any, by_repr: bool = False) -> int | None:
    """Index of a value's option: for an ordered choice of numbers the nearest within its range; None if there is none.

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
    log = min(options) > 0 and max(options) / min(options) >= 100  # on a logarithmic scale: the nearest ratio
    distances = [abs(math.log(o / value)) if log else abs(o - value) for o in options]
    return distances.index(min(distances))


def goes_by_repr(choices: Sequence[Any]) -> bool:
    """Whether categories need ``repr`` as labels, since ``str`` gives several the same, such as 1 and "1"."""
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
    """All values of a number with few of them; empty for others."""
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    low, high, step = distribution.low, distribution.high, distribution.step
    if step is None or (high - low) / step >= LISTED:
        return []
    values = [low + i * step for i in range(round((high - low) / step) + 1)]
    return values if isinstance(distribution, IntDistribution) else [round(value, 12) for value in values]
