"""What is searched and how a candidate is evaluated; and the simplest such task, a function of the user's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from searchkit import plugins
from searchkit.errors import ObjectiveError, SearchkitError, SpaceError
from searchkit.execution.outcome import Evaluate
from searchkit.problem.objectives import Goals, read_bounds, read_objectives
from searchkit.problem.problem import LISTABLE
from searchkit.results.result import Result
from searchkit.runtime.fingerprint import fingerprint
from searchkit.search.accounting import Callback, Costs
from searchkit.space import Space
from searchkit.storage.record import Record
from searchkit.training.fidelity import Ladder
from searchkit.types import Codes, Floats


@dataclass(frozen=True)
class Task:
    """What is searched and how a candidate is evaluated: networks, or a function of the user's.

    Attributes:
        identity: JSON values; a recorded study with other ones is another search.
        context: JSON values that a record keeps so that results can be shown and built without the call.
        known: violations known before evaluation, ``(n, d) -> (n, c)``, or None.
        counted: the costs that those are of, ``(n, d) -> {name: (n,)}``.
        listable: see :class:`~searchkit.problem.problem.Problem`.
        finish: called with the result once, at the end (scores the winners on the test part).
        ladder: cheap evaluations before the full one; ``evaluate`` takes the number of a rung as a third argument then.
        verify: trains the best of a search without training.
        images: what proxies look at, where the task has data.
        in_folder: ``(task, folder) -> task``, for a task that keeps files beside the record, such as trained networks.
        folder: where it keeps them.
    """

    space: Space
    goals: Goals
    evaluate: Evaluate
    costs: Costs | None
    needed: tuple[str, ...]
    identity: dict[str, Any]
    context: dict[str, Any]
    label: str
    known: Callable[[Codes], Floats] | None = None
    counted: Callable[[Codes], dict[str, Floats]] | None = None
    listable: int = LISTABLE
    callbacks: tuple[Callback, ...] = ()
    finish: Callable[[Result, Record], None] | None = None
    in_folder: Callable[[Task, Path], Task] | None = None
    folder: Path | None = None
    ladder: Ladder | None = None
    verify: Any = None  # a Verification; torch is loaded by who makes one
    images: Any = None  # Data


def function_task(
    evaluate: Any, space: Any, objectives: Any, constraints: Any, data: Any = None, seed: int = 0
) -> Task:
    """A search over ``evaluate(choices) -> {objective: value}``; see :func:`searchkit.run`.

    Args:
        data: images that proxies look at, where there are proxies; the function does without.
    """
    if not callable(evaluate):
        raise SearchkitError(f"evaluate is a function (choices) -> {{objective: value}}, not {evaluate!r}")
    if isinstance(space, str):
        space = plugins.load_space(space)
    if not isinstance(space, Space):
        raise SpaceError(f"with evaluate=, give the space to search: space=searchkit.Space([...]), not {space!r}")
    if not isinstance(objectives, dict):
        raise ObjectiveError(
            "with evaluate=, objectives is a mapping name -> 'min' or 'max', such as {'loss': 'min'}; "
            f"got {objectives!r}"
        )
    wanted = read_objectives(objectives)
    goals = Goals(wanted, read_bounds(constraints, {o.name: o.direction for o in wanted}))
    label = getattr(evaluate, "__name__", type(evaluate).__name__).strip("<>")
    return Task(
        space=space,
        goals=goals,
        evaluate=_Function(evaluate, space),
        costs=None,
        needed=goals.metrics,
        identity={"kind": "function"},
        context={"kind": "function", "function": fingerprint(evaluate)},
        label=label,
        images=None if data is None else _images(data, seed),
    )


def _images(data: Any, seed: int) -> Any:
    from searchkit.data.data import load_data

    return load_data(data, seed=seed).without_test()


@dataclass(frozen=True)
class _Function:
    """The user's function as an evaluation; picklable where the function is."""

    function: Callable[[dict[str, Any]], Any]
    space: Space

    def __call__(self, code: Codes, seed: int) -> Any:
        return self.function(self.space.decode(code)[0])
