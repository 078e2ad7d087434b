"""The protocol of tasks (the space, and how a candidate is evaluated), and the task that calls a user's function."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from searchkit import plugins
from searchkit.costs.metrics import BUILT_IN
from searchkit.errors import ObjectiveError, SearchkitError, SpaceError
from searchkit.execution.executors import Pool
from searchkit.problem.calls import check_call
from searchkit.problem.objectives import Goals, read_bounds, read_objectives
from searchkit.problem.problem import LISTABLE
from searchkit.results.result import Result
from searchkit.runtime.fingerprint import fingerprint
from searchkit.search.accounting import Callback, Costs
from searchkit.space import Space
from searchkit.storage.record import Record
from searchkit.training.evaluation import Evaluate, Evaluation
from searchkit.training.fidelity import Ladder
from searchkit.types import Codes, Floats

if TYPE_CHECKING:
    from searchkit.data.data import Data
    from searchkit.search.early_stopping import Reporting
    from searchkit.search.estimate import Estimate
    from searchkit.search.plan import Plan
    from searchkit.training.recipe import Recipe

OpenPool = Callable[[Evaluate, tuple[str, ...]], Pool]  # with the names of the values that an evaluation has to return


class Task(Protocol):
    """A space, and how a candidate of it is evaluated: as a network, or by a user's function.

    Attributes:
        evaluate: the evaluation of one candidate; runs on the executor.
        needed: names of the values that an evaluation has to return.
        identity: JSON values that a recorded study must share, to be continued by this task.
        context: JSON values stored with a study, so that its results can be shown and built later.
        label: the task's part of an automatic study name.
        costs: measures the costs of a candidate, before its evaluation; may be None.
        listable: see :class:`~searchkit.problem.problem.Problem`.
        ladder: cheaper evaluations before the full one; ``evaluate`` then takes a rung's number as third argument.
            May be None.
        images: data that proxies use; may be None.
        folder: holds the task's files, such as trained weights; may be None.
        keeps_files: whether the task writes files.
        planned: whether the time of the search decides how candidates are trained; plannable: whether it could.
    """

    space: Space
    goals: Goals
    evaluate: Evaluate
    needed: tuple[str, ...]
    identity: dict[str, Any]
    context: dict[str, Any]
    label: str
    images: Data | None
    costs: Costs | None
    ladder: Ladder | None
    folder: Path | None
    listable: int
    planned: bool
    plannable: bool

    @property
    def known(self) -> Callable[[Codes], Floats] | None:
        """Violations of bounds known before evaluation, ``(n, d) -> (n, c)``; None if there are no such bounds."""
        return None

    @property
    def counted(self) -> Callable[[Codes], dict[str, Floats]] | None:
        """Costs that are known exactly before evaluation, ``(n, d) -> {name: (n,)}``; None if the search needs none."""
        return None

    @property
    def untrained(self) -> tuple[str, ...]:
        """Objectives that are costs, which proxies do not predict.

        For a function, these are objectives with the name of a built-in cost, such as params, unless all are.
        """
        costs = [name for name in self.goals.names if name in BUILT_IN and BUILT_IN[name].stage != "trained"]
        return tuple(costs) if len(costs) < len(self.goals.names) else ()

    @property
    def judged(self) -> str | None:
        """The objective that proxies are compared with: the first that is not a cost; None if there is none."""
        return next((name for name in self.goals.names if name not in self.untrained), None)

    @property
    def callbacks(self) -> tuple[Callback, ...]:
        """Callbacks of the task itself, called with each finished candidate."""
        return ()

    @property
    def reporting(self) -> Reporting | None:
        """What training functions report in a run of the search; None where they report nothing."""
        return None

    @property
    def keeps_files(self) -> bool:
        """See the class."""
        return False

    def in_folder(self, folder: Path) -> Task:
        """The same task, with its files in a folder."""
        return self

    def begin(self) -> None:
        """Write what a study keeps beside its networks; called when its record is open."""
        return

    def plan(self, seconds: float, workers: int, most: int | None, spent: float = 0.0) -> Plan:
        """Plan the time of a search over networks; see :func:`searchkit.search.planning.make_plan`."""
        raise SearchkitError("only a search over networks plans its time")

    def designs(self, plan: Plan | None, n: int = 0) -> Codes:
        """``(s, d)`` candidates of the space's own to begin a search with, n where nothing is planned; may be empty."""
        return np.empty((0, self.space.n_choices), dtype=np.int64)

    def estimate(self, candidates: int | None, workers: int, seconds: float | None = None) -> Estimate:
        """What a search for so many evaluations, or until so many seconds, is expected to take."""
        from searchkit.search.estimate import Estimate

        return Estimate(candidates, workers, None, math.nan, limit=seconds)

    def with_time(self) -> Task:
        """The same task, planned by a time."""
        return self

    def with_recipe(self, recipe: Recipe) -> Task:
        """The same task, with another recipe for the training of its candidates."""
        return self

    def train_finals(self, record: Record, pool: Pool, plan: Plan, elapsed: float, seed: int) -> None:
        """Train the winners longer in what is left of a planned time."""
        return

    def verify(self, result: Result, record: Record, open_pool: OpenPool) -> None:
        """Train the best candidates of a search without training, if ``verify=`` was given."""
        return

    def compare(self, result: Result, record: Record, seconds: float) -> None:
        """Fit simple models beside the front; called once, after :meth:`finish`.

        Args:
            seconds: that this may take; 0: it is not done, and the result has what is on record.
        """
        return

    def finish(self, result: Result, record: Record) -> None:
        """Score the front on the test part; called once, at the end of a search that has candidates."""
        return


@dataclass(frozen=True)
class FunctionTask(Task):
    """A search over a function ``evaluate(choices) -> {objective: value}``."""

    space: Space
    goals: Goals
    evaluate: Evaluate
    context: dict[str, Any]
    label: str
    images: Data | None = None
    identity: dict[str, Any] = field(default_factory=lambda: {"kind": "function"})
    costs: Costs | None = None
    ladder: Ladder | None = None
    folder: Path | None = None
    listable: int = LISTABLE
    planned: bool = False
    plannable: bool = False

    @property
    def needed(self) -> tuple[str, ...]:  # type: ignore[override]
        """The metrics that are objectives or have a bound."""
        return self.goals.metrics


def function_task(
    evaluate: object,
    space: object,
    objectives: object,
    constraints: Mapping[str, object] | None,
    data: object = None,
    split_seed: int = 0,
) -> FunctionTask:
    """A search over ``evaluate(choices) -> {objective: value}``; see :func:`searchkit.run`.

    Args:
        data: images for the proxies; the function does not receive them.
    """
    if not callable(evaluate):
        raise SearchkitError(f"evaluate is a function (choices) -> {{objective: value}}, not {evaluate!r}")
    check_call("evaluate", evaluate, ("choices",))
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
    return FunctionTask(
        space=space,
        goals=goals,
        evaluate=_Function(evaluate, space),
        context={"kind": "function", "function": fingerprint(evaluate)},
        label=label,
        images=None if data is None else _images(data, split_seed, space),
    )


def _images(data: Any, split_seed: int, space: Space) -> Data:
    from searchkit.data.data import Data
    from searchkit.data.loading import load_data
    from searchkit.search.kinds import read_as
    from searchkit.search.space_setup import check_split_seed
    from searchkit.space import NetworkSpace

    check_split_seed(split_seed, data)
    kind = read_as(space.kinds) if isinstance(space, NetworkSpace) and not isinstance(data, Data) else None
    return load_data(data, seed=split_seed, kind=kind).without_test()


@dataclass(frozen=True)
class _Function(Evaluation):
    """The user's function as an evaluation; picklable where the function is."""

    function: Callable[[dict[str, Any]], Any]
    space: Space

    @property
    def user_function(self) -> Any:
        """See :class:`~searchkit.training.evaluation.Evaluation`."""
        return self.function

    def __call__(self, code: Codes, seed: int, rung: int | None = None) -> Any:
        return self.function(self.space.decode(code)[0])
