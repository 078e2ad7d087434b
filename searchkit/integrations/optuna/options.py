"""The parameters of an Optuna study as choices, with the options that its trials could have or had."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from searchkit.errors import SpaceError
from searchkit.integrations.optuna.conditions import ABSENT as NO_VALUE
from searchkit.integrations.optuna.conditions import conditions_of
from searchkit.integrations.optuna.distributions import parameter_of, texts_of
from searchkit.space import Choice, Float, Int, Parameter
from searchkit.space.conditions import When
from searchkit.space.labels import key_of
from searchkit.space.parameters import changed

ABSENT = "absent"  # the option of a parameter that a trial lacks


def parameters_of(trials: Sequence[FrozenTrial]) -> list[Parameter]:
    """The parameters of trials, in the order in which they first occurred; see ``read_study``.

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
    whole = [_number(name, ds, trials) or _choice(name, ds, trials, lacking=False) for name, ds in found.items()]
    conditions = _conditions(whole, [trial for trial in trials if trial.state is TrialState.COMPLETE])
    parameters: list[Parameter] = []
    for j, (name, parameter) in enumerate(zip(found, whole, strict=True)):
        lacking = any(name not in trial.params for trial in trials)
        when = conditions.get(j)
        if lacking and when is None:  # no other parameter explains it
            parameters.append(_choice(name, found[name], trials, lacking=True))
        else:
            parameters.append(parameter if when is None else changed(parameter, when=(when,)))
    return parameters


def _conditions(parameters: Sequence[Parameter], complete: Sequence[FrozenTrial]) -> dict[int, When | None]:
    """What decides whether trials have a parameter, by its column; see :func:`conditions_of`."""
    codes = np.full((len(complete), len(parameters)), NO_VALUE, dtype=np.int64)
    for i, trial in enumerate(complete):
        for j, parameter in enumerate(parameters):
            if parameter.name in trial.params:
                codes[i, j] = code_of(parameter, trial)
    return conditions_of(codes, parameters) if len(complete) else {}


def code_of(parameter: Parameter, trial: FrozenTrial) -> int:
    """The code of the value that a trial has of a parameter; the parameter is one of :func:`parameters_of`."""
    value, distribution = trial.params[parameter.name], trial.distributions[parameter.name]
    if (
        isinstance(parameter, Choice)
        and isinstance(distribution, CategoricalDistribution)
        and key_of(parameter.options[0]) != key_of(distribution.choices[0])  # its options are the categories' texts
    ):
        return int(distribution.to_internal_repr(value))
    return parameter.index(value)


def place(choice: Parameter, value: object) -> int | None:
    """Index of a value's option, or of the nearest in the range of an ordered choice of numbers; None without one."""
    try:
        return choice.index(value)
    except SpaceError:
        pass
    if not isinstance(choice, Choice):
        return None
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


def _number(name: str, distributions: Sequence[BaseDistribution], trials: Sequence[FrozenTrial]) -> Float | Int | None:
    """A number whose range holds those of all distributions of a parameter; None of categories."""
    occurred = [trial.params[name] for trial in trials if name in trial.params]
    numbers = [one for one in distributions if isinstance(one, FloatDistribution | IntDistribution)]
    if len(numbers) < len(distributions):
        return None
    last, low, high = numbers[-1], min(one.low for one in numbers), max(one.high for one in numbers)
    same = len({(one.step, one.low, one.high, type(one)) for one in numbers}) == 1
    log = all(one.log for one in numbers)
    try:
        same = same and (last.step is None or _on_steps(last, occurred))
        if all(isinstance(one, IntDistribution) for one in numbers):
            return Int(name, int(low), int(high), log=log, step=int(last.step or 1) if same else 1)
        return Float(name, low, high, log=log, step=last.step if same else None)
    except SpaceError:  # numbers beyond what a Float takes
        return None


def _on_steps(distribution: FloatDistribution | IntDistribution, values: Sequence[float]) -> bool:
    """Whether all values are on the steps, but for the last digits: Optuna computes them in floats."""
    number = parameter_of("x", distribution)
    try:
        return all(number.index(value) >= 0 for value in values)
    except SpaceError:
        return False


def _choice(
    name: str, distributions: Sequence[BaseDistribution], trials: Sequence[FrozenTrial], lacking: bool
) -> Choice:
    """A choice of the categories, or of the numbers that occurred.

    Args:
        lacking: with one option more, for trials that lack the parameter.
    """
    last = distributions[-1]
    if isinstance(last, CategoricalDistribution):
        more = [ABSENT] if lacking else []
        try:
            return Choice(name, [*last.choices, *more])
        except SpaceError:  # objects without a text, or with one text, and a category "absent"
            return Choice(name, [*texts_of(last.choices), *more])
    values = sorted({trial.params[name] for trial in trials if name in trial.params})
    return Choice(name, [*([ABSENT] if lacking else []), *values], ordered=True)
