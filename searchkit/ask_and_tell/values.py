"""What is told of a candidate, checked before anything of it is recorded."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from searchkit.errors import ObjectiveError, SearchkitError, check_name, nearest
from searchkit.problem.numbers import number_of, shown
from searchkit.problem.trial import Trial

LONGEST = 1e9  # seconds of an evaluation: thirty years


def open_trial(trials: Sequence[Trial], number: int, name: str) -> Trial:
    """The trial of a number, if it waits for its values.

    Args:
        name: of the study, for the message.

    Raises:
        SearchkitError: it was never asked for, or is told already.
    """
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < len(trials):
        there = f"it has candidates 0 to {len(trials) - 1}" if trials else "none was asked for yet"
        raise SearchkitError(f"candidate {number!r} of study '{name}' was never asked for: {there}")
    trial = trials[number]
    if trial.finished:
        values = ", ".join(f"{key} {value:.6g}" for key, value in trial.values.items())
        raise SearchkitError(
            f"candidate {number} of study '{name}' was told already: it is {trial.state}"
            f"{f', {values}' if values else ''}{f' ({trial.reason})' if trial.reason else ''}"
        )
    return trial


def checked_values(values: Mapping[str, float], needed: Sequence[str]) -> dict[str, float]:
    """The values as numbers, with all that are needed among them.

    Raises:
        ObjectiveError: one that is needed is missing or no finite number, another is no number, or has no name.
    """
    if not isinstance(values, Mapping):
        raise ObjectiveError(f'values are given by name, {{"{needed[0]}": 0.5}}, not {values!r}')
    for name in needed:
        if name not in values:
            near = nearest(name, [str(one) for one in values])
            hint = f"; '{near}' is none of them" if near else ""
            raise ObjectiveError(f"the value of '{name}' is missing; needed: {', '.join(needed)}{hint}")
    for name in values:
        check_name("a value", name, ObjectiveError)
    return {name: _number(name, value, name in needed) for name, value in values.items()}


def _number(name: str, value: object, finite: bool) -> float:
    try:
        number = number_of(value)
    except ValueError as error:
        raise ObjectiveError(f"the value of '{name}' is {error}") from None
    if finite and not math.isfinite(number):
        raise ObjectiveError(f"the value of '{name}' is {number}: say that the candidate failed, and why")
    return number


def checked_seconds(given: float) -> float:
    """The duration of an evaluation.

    Raises:
        SearchkitError: it is no number of seconds.
    """
    try:
        seconds = math.nan if isinstance(given, bool | str) else float(given)
    except (TypeError, ValueError, OverflowError):
        seconds = math.nan
    if not 0 <= seconds <= LONGEST:
        raise SearchkitError(f"the seconds of an evaluation are a number from 0 to {LONGEST:.0e}, not {shown(given)}")
    return seconds
