"""The protocol of evaluations: how a candidate is evaluated, whichever executor runs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from searchkit.types import Codes

if TYPE_CHECKING:  # it imports torch; see searchkit.execution.executors
    from searchkit.problem.trial import Report
    from searchkit.training.turns import Course

Evaluate = Callable[..., Mapping[str, object]]  # (code, seed) or (code, seed, rung) -> {metric: value}


class Reported(dict[str, float]):
    """The values of a candidate, with what a training function of the user's reported.

    Attributes:
        reports: in the order of their epochs.
        stopped: why the training was stopped early; empty if it was not.
        ignored: whether the function went on after it was told to stop.
    """

    def __init__(
        self, values: Mapping[str, float], reports: Sequence[Report], stopped: str = "", ignored: bool = False
    ) -> None:
        super().__init__(values)
        self.reports, self.stopped, self.ignored = tuple(reports), stopped, ignored

    def __ror__(self, other: dict[str, float]) -> Reported:  # type: ignore[override]
        """``other | self``, which are values and a report too."""
        return Reported(dict(other) | dict(self), self.reports, self.stopped, self.ignored)


class Evaluation(Protocol):
    """Evaluates one candidate; must be picklable. :func:`as_evaluation` makes one of a plain function.

    The methods take the arguments of a :class:`~searchkit.execution.outcome.Job`: the candidate ``(d,)``, a seed, and
    the rung of a fidelity ladder, or None for the full evaluation. Only evaluations that train networks are given the
    seconds within which a training should end, and the recipe of a final training.

    Attributes:
        exclusive: only one thread of a process may evaluate at a time, because the evaluation uses something that
            exists once per process.
        takes_turns: the evaluation can be split into turns (:meth:`in_turns`), so that one device runs several at once.
    """

    exclusive: ClassVar[bool] = False
    takes_turns: ClassVar[bool] = False

    def __call__(self, code: Codes, seed: int, rung: int | None = None) -> Mapping[str, Any]:
        """Return ``{metric: value}``. If it raises an exception, the candidate is recorded as failed."""
        ...

    @property
    def device_name(self) -> str:
        """The device on which candidates are evaluated."""
        return "cpu"

    @property
    def user_function(self) -> Any:
        """The object that error messages name: the user's function if there is one."""
        return self

    def in_turns(self, code: Codes, seed: int, rung: int | None = None) -> Course[Mapping[str, Any]]:
        """The same evaluation in turns; :mod:`searchkit.execution.interleaved` runs several of these on one device."""
        yield None
        return self(code, seed, rung)

    def train_until(self, until: float) -> None:
        """End by a time (``time.perf_counter()``) what is trained before the first candidate, where there is such."""
        return

    def prepare(self, code: Codes, seed: int, rung: int | None = None) -> None:
        """Set up what all candidates share, before the first turn; its memory is not counted as the candidate's."""
        return

    def memory(self, code: Codes, seed: int, rung: int | None = None) -> int:
        """Bytes that a candidate is expected to need on the device; 0 where that is not known."""
        return 0

    def on(self, device: str) -> Evaluation:
        """The same evaluation on another device."""
        return self

    def written(self, code: Codes, final: bool = False) -> Path | None:
        """The file that the full evaluation of a candidate, or its final training, writes, or None."""
        return None


@dataclass(frozen=True)
class FunctionEvaluation(Evaluation):
    """Makes an evaluation of a plain function ``(code, seed) -> {metric: value}``; picklable if the function is."""

    function: Evaluate

    @property
    def user_function(self) -> Any:
        """The function."""
        return self.function

    def __call__(self, code: Codes, seed: int, rung: int | None = None) -> Mapping[str, Any]:
        """Call the function, with the rung only if there is one."""
        return self.function(code, seed) if rung is None else self.function(code, seed, rung)


def as_evaluation(given: Evaluate) -> Evaluation:
    """Return an evaluation unchanged; wrap a plain function in one."""
    return given if Evaluation in type(given).__mro__ else FunctionEvaluation(given)  # type: ignore[return-value]
