"""The parameters of a space as Optuna's samplers see them: named by their columns.

Choices that always exist are whole numbers or categories, as they ever were. Numbers are Optuna's own distributions,
with their range, scale and steps. A parameter that does not exist in a candidate is not in its trial.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from searchkit.space import Choice, Parameter, Space
from searchkit.space.dictionaries import asked
from searchkit.storage.parameters import distribution_of
from searchkit.types import Codes


class OptunaParameters:
    """Between codes and the parameters of Optuna's trials.

    Attributes:
        distributions: of the parameters, by name.

    Args:
        space: of the candidates.
    """

    def __init__(self, space: Space) -> None:
        self._space = space
        self.distributions: dict[str, BaseDistribution] = {
            str(j): _distribution(choice) for j, choice in enumerate(space.choices)
        }

    def of(self, code: Codes) -> dict[str, Any]:
        """The parameters of a candidate ``(d,)``, of those that exist."""
        if self._space.is_finite:
            return {str(j): i for j, i in enumerate(code.tolist())}
        exists = self._space.active(code[None])[0]
        return {
            str(j): i if isinstance(choice, Choice) else choice.option(i)
            for j, (choice, i) in enumerate(zip(self._space.choices, code.tolist(), strict=True))
            if exists[j]
        }

    def read(self, suggest: Callable[[str, BaseDistribution], Any]) -> Codes:
        """``(d,)`` a candidate whose parameters are suggested one after another, of those that exist.

        Args:
            suggest: (name, distribution) -> a value.
        """

        def code_of(j: int) -> int:
            choice, name = self._space.choices[j], str(j)
            value = suggest(name, self.distributions[name])
            return int(value) if isinstance(choice, Choice) else choice.nearest(value)

        return asked(self._space, code_of)


def single_value(distribution: BaseDistribution) -> Any:
    """The value of a distribution that has one."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[0]
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    return distribution.low


def _distribution(choice: Parameter) -> BaseDistribution:
    if not isinstance(choice, Choice):
        return distribution_of(choice)
    n = len(choice.options)
    return IntDistribution(0, n - 1) if choice.ordered else CategoricalDistribution(range(n))
