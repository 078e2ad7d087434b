"""A user's guess of a parameter: a value that may be good, and how sure the user is.

``prior=0.001`` is a guess of usual confidence, ``prior=(0.001, 0.9)`` of a high one. A guess is no bound: strategies
try its neighbourhood early and more often, and believe it less with every evaluation (Hvarfner et al., PiBO:
augmenting acquisition functions with user beliefs, ICLR 2022).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from searchkit.errors import SpaceError
from searchkit.space.labels import plain, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from searchkit.space.conditions import When
    from searchkit.space.parameters import Parameter

USUAL = 0.5  # confidence


@dataclass(frozen=True)
class Prior:
    """A guess.

    Attributes:
        code: of the value.
        confidence: above 0 (as good as no guess) and below 1 (certainty).
    """

    code: int
    confidence: float = USUAL


def described(prior: Prior | None, labels: Sequence[object]) -> dict[str, Any]:
    """The guess of a parameter as a JSON value; empty without any."""
    return {} if prior is None else {"prior": [labels[prior.code], prior.confidence]}


def repr_of(when: Sequence[When], prior: Prior | None, options: Sequence[object]) -> str:
    """The conditions and the guess of a parameter as they are written in Python; empty without any."""
    conditions = f", when={when[0] if len(when) == 1 else list(when)!r}" if when else ""
    return conditions + ("" if prior is None else f", prior=({options[prior.code]!r}, {prior.confidence})")


def check_confidence(name: str, given: object) -> float:
    """The confidence in the prior of a parameter.

    Raises:
        SpaceError: it is not between 0 and 1.
    """
    confidence = plain(given)
    if isinstance(confidence, bool) or not isinstance(confidence, int | float) or not 0 < confidence < 1:
        raise SpaceError(
            f"the confidence in the prior of '{name}' is above 0 and below 1, not {shown(given)}; give prior=value or "
            "prior=(value, confidence)"
        )
    return float(confidence)


def _is_option(parameter: Parameter, given: object) -> bool:
    try:
        parameter.index(given)
    except SpaceError:
        return False
    return True


def read_prior(parameter: Parameter, given: object) -> Prior | None:
    """The guess of a parameter; None without one.

    Raises:
        SpaceError: the value is not the parameter's, or the confidence is not between 0 and 1.
    """
    if given is None or isinstance(given, Prior):
        return given
    value, confidence = given, USUAL
    if isinstance(given, tuple) and len(given) == 2 and not _is_option(parameter, given):
        value, confidence = given
    sure = check_confidence(parameter.name, confidence)
    try:
        return Prior(parameter.index(value), sure)
    except SpaceError as error:
        raise SpaceError(f"prior of '{parameter.name}': {error}") from None
