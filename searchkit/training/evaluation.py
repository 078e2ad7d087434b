"""What is done with a candidate, wherever it is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

from searchkit.training.turns import Course
from searchkit.types import Codes

Evaluate = Callable[..., Mapping[str, Any]]  # of a candidate and a seed, and of a rung where there is one


class Evaluation(Protocol):
    """Evaluates one candidate; picklable. A plain function becomes one by :func:`as_evaluation`.

    The arguments of every method are those of a :class:`~searchkit.execution.outcome.Job`: the candidate ``(d,)``, a
    seed, and the rung of a fidelity ladder where it is not evaluated in full.

    Attributes:
        exclusive: threads of a process take turns, since the evaluation uses something of which a process has one.
        takes_turns: it can be done in turns (:meth:`in_turns`), beside others on one device.
    """

    exclusive: ClassVar[bool] = False
    takes_turns: ClassVar[bool] = False

    def __call__(self, code: Codes, seed: int, rung: int | None = None) -> Mapping[str, Any]:
        """``{metric: value}``; raises what makes the candidate a failed one."""
        ...

    @property
    def device_name(self) -> str:
        """The device that it works on."""
        return "cpu"

    @property
    def user_function(self) -> Any:
        """What errors name: a function of the user's, where there is one."""
        return self

    def in_turns(self, code: Codes, seed: int, rung: int | None = None) -> Course[Mapping[str, Any]]:
        """The same in turns, for several on one device (:mod:`searchkit.execution.interleaved`)."""
        yield None
        return self(code, seed, rung)

    def prepare(self, code: Codes, seed: int, rung: int | None = None) -> None:
        """Do, before the first turn, what serves others as well; the memory that it takes counts for no candidate."""
        return

    def memory(self, code: Codes, seed: int, rung: int | None = None) -> int:
        """Bytes that a candidate is expected to take of the device; 0 where that is not known."""
        return 0

    def on(self, device: str) -> Evaluation:
        """The same on another device."""
        return self

    def written(self, code: Codes) -> Path | None:
        """The file that a full evaluation leaves."""
        return None


@dataclass(frozen=True)
class FunctionEvaluation(Evaluation):
    """A plain function ``(code, seed) -> {metric: value}`` as an evaluation; picklable where the function is."""

    function: Evaluate

    @property
    def user_function(self) -> Any:
        """As of :class:`Evaluation`."""
        return self.function

    def __call__(self, code: Codes, seed: int, rung: int | None = None) -> Mapping[str, Any]:
        """As of :class:`Evaluation`."""
        return self.function(code, seed) if rung is None else self.function(code, seed, rung)


def as_evaluation(given: Evaluate) -> Evaluation:
    """An evaluation as it is, a plain function as one."""
    return given if Evaluation in type(given).__mro__ else FunctionEvaluation(given)  # type: ignore[return-value]
