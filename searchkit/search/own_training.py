"""The user's own training of a search over networks: what is read of ``training=`` and ``early_stopping=``."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from searchkit import plugins
from searchkit.costs.metrics import BUILT_IN, Metric
from searchkit.costs.task_scores import AT
from searchkit.errors import ObjectiveError, SearchkitError, nearest
from searchkit.execution.executors import INTERLEAVED
from searchkit.problem.calls import check_call
from searchkit.problem.objectives import DIRECTIONS
from searchkit.runtime.fingerprint import fingerprint
from searchkit.training.fidelity import read_ladder
from searchkit.training.stopping_rules import Halving, Median, read_rule

if TYPE_CHECKING:
    from searchkit.search.early_stopping import Reporting
    from searchkit.search.network_task import NetworkTask
    from searchkit.training.evaluator import Training
    from searchkit.training.own_training import TrainingFunction


@dataclass(frozen=True)
class Own:
    """A training function, and the rule that stops its trainings early, which may be None."""

    function: TrainingFunction
    rule: Halving | Median | None = None

    @property
    def name(self) -> str:
        """What messages and reports call the function."""
        inner = getattr(self.function, "func", self.function)  # functools.partial
        return str(getattr(inner, "__qualname__", type(inner).__name__))

    @property
    def identity(self) -> dict[str, object]:
        """What a recorded study must share, as JSON values; the function itself may change, with a warning."""
        return {"training": "a function", "early_stopping": None if self.rule is None else self.rule.described}


def read_own(
    function: Callable[..., object] | None,
    early_stopping: object,
    ladder: object,
    executor: object,
    refused: Mapping[str, object],
) -> Own | None:
    """The user's training function with its rule; None where searchkit trains.

    Args:
        function: what was given as ``training=``, if that is callable.
        ladder: epochs at which candidates are halved by their reports.
        refused: arguments that say how searchkit trains, by name; None where they were not given.

    Raises:
        SearchkitError: something does not fit a training function, or needs one.
    """
    rule = read_rule(early_stopping)
    if function is None:
        if rule is not None:
            raise SearchkitError(
                "early_stopping decides by what a training function of yours reports: give training=function, or "
                "ladder= for trainings by searchkit"
            )
        return None
    given = [name for name, value in refused.items() if value is not None]
    if given:
        raise SearchkitError(
            f"{' and '.join(given)} set how searchkit trains, but training= is a function of yours, which does that: "
            "set it there, such as with functools.partial(function, epochs=10), and leave it out here"
        )
    if executor == INTERLEAVED:
        raise SearchkitError(
            f"executor='{INTERLEAVED}' trains several networks in turns, which a training function of yours cannot do: "
            "write executor=4 for four processes, or leave executor out"
        )
    check_call("training", function, ("network", "data", "report"))
    _check_returns(function)
    return Own(function, _with_ladder(rule, ladder))  # type: ignore[arg-type]


def _check_returns(function: Callable[..., object]) -> None:
    """Refuse a function whose call runs nothing of it."""
    while isinstance(function, functools.partial):
        function = function.func
    called = function if inspect.isroutine(function) else type(function).__call__
    kinds = {"a generator": inspect.isgeneratorfunction, "asynchronous": inspect.iscoroutinefunction}
    kinds["an asynchronous generator"] = inspect.isasyncgenfunction
    for kind, is_one in kinds.items():
        if is_one(called):
            raise SearchkitError(
                f"training={Own(function).name} is {kind}, whose call returns before anything is trained: "  # type: ignore[arg-type]
                "write a function that trains and returns {score: value}"
            )


def _with_ladder(rule: Halving | Median | None, ladder: object) -> Halving | Median | None:
    """The rule, with the epochs of a ladder as its rungs."""
    if ladder is None:
        return rule
    if isinstance(ladder, str):
        raise SearchkitError(
            f"ladder={ladder!r} is a share of searchkit's own epochs, and a training function of yours has its own: "
            "write them, ladder=({'epochs': 3}, {'epochs': 10})"
        )
    rungs = read_ladder(ladder, 1)
    for rung in rungs:
        if rung.again:
            raise SearchkitError(
                "a rung of the ladder says again=True, but your training function is stopped in the middle of one "
                "training, with which nothing can go on: leave again out"
            )
        if rung.epochs is None or len(rung.given) > 1:
            raise SearchkitError(
                f"a rung of the ladder is ({rung.label}), but with a training function of yours rungs set epochs only, "
                "at which its reports are compared: ladder=({'epochs': 3}, {'epochs': 10})"
            )
    if rule is not None and (not isinstance(rule, Halving) or rule.epochs is not None):
        raise SearchkitError("ladder= halves at its epochs, and early_stopping= is another rule: leave one of them out")
    epochs = tuple(float(rung.epochs) for rung in rungs if rung.epochs is not None)
    if list(epochs) != sorted(set(epochs)):
        raise SearchkitError(f"the epochs of the ladder rise from rung to rung, but are {epochs}")
    return Halving(epochs=epochs, eta=Halving().eta if rule is None else rule.eta)


def own_scores(objectives: object, constraints: object) -> dict[str, Metric]:
    """Metrics that only the training function knows, by name: those with a direction that searchkit does not know.

    Raises:
        ObjectiveError: an unknown name without a direction; the message says how to give it.
    """
    bounds: Mapping[object, object] = constraints if isinstance(constraints, Mapping) else {}
    directions: Mapping[object, object] = objectives if isinstance(objectives, Mapping) else {}
    given: Any = [objectives] if isinstance(objectives, str | Metric) else objectives or ()
    unknown = [one for one in (*given, *bounds) if isinstance(one, str) and one not in BUILT_IN and AT not in one]
    known = {*BUILT_IN, *plugins.signals()} if unknown else set()
    found: dict[str, Metric] = {}
    for name in dict.fromkeys(one for one in unknown if one not in known):
        direction: Any = directions.get(name, "")
        if name not in given and isinstance(bounds[name], tuple | list):
            direction = "min"  # a pair of bounds has none
        if direction not in DIRECTIONS:
            example = f"objectives={{{name!r}: 'max'}}"
            if name not in given:
                example = f"constraints={{{name!r}: (0.5, None)}} for at least 0.5"
            raise ObjectiveError(_how(name, example, known))
        found[name] = Metric(name, direction=direction, stage="trained")
    return found


def by_function(task: NetworkTask, own: Own) -> NetworkTask:
    """The task with candidates that the user's function trains.

    Raises:
        SearchkitError: the search trains nothing, or no objective can be reported, which early stopping compares.
    """
    from searchkit.search.evaluations import Scoring
    from searchkit.training.own_training import OwnTraining

    if not task.trains and task.verification is None:
        raise SearchkitError(
            "training= is a function that trains candidates, but this search trains none: its objectives and bounds "
            f"are {', '.join(task.goals.metrics)}; leave it out"
        )
    asked = [name for name, metric in task.metrics.items() if metric.stage == "trained" and metric.function is None]
    scored = tuple(name for name in asked if name in BUILT_IN) if task.trains else task.training.scored
    named = tuple(name for name in asked if name not in BUILT_IN)
    if own.rule is not None and not {*scored, *named} & {*task.goals.names}:
        raise SearchkitError(
            "early_stopping compares candidates by objectives that training reports, such as accuracy, and those of "
            f"this search are {', '.join(task.goals.names)}: leave it out"
        )
    given = {one.name: getattr(task.training, one.name) for one in fields(task.training) if one.name != "scored"}
    training = OwnTraining(**given, scored=scored, function=own.function, goals=task.goals, named=named, rule=own.rule)
    evaluate = task.evaluate
    if isinstance(evaluate, Scoring):
        evaluate = replace(evaluate, then=training if task.trains else None)
    elif task.trains:
        evaluate = training
    signals = [name for name, metric in task.metrics.items() if metric.stage == "scored"]
    trained = [*scored, *named, *(metric.name for metric in training.metrics)] if task.trains else []
    return replace(
        task,
        training=training,
        evaluate=evaluate,
        needed=(*signals, *trained),
        trained_by=own,
        verification=None if task.verification is None else replace(task.verification, training=training),
        context=task.context
        | {"function": fingerprint(task.context["function"], own.function), "trained_by": own.name},
    )


def reporting_of(training: Training, metrics: Mapping[str, Metric]) -> Reporting | None:
    """What becomes of the reports of a training; None where it is searchkit's own, which reports nothing.

    Args:
        metrics: of the search, by name.
    """
    from searchkit.search.early_stopping import Reporting
    from searchkit.training.own_training import OwnTraining

    if not isinstance(training, OwnTraining):
        return None
    costs = [name for name in training.goals.names if metrics[name].stage in ("counted", "measured")]
    called = Own(training.function).name
    return Reporting(training.folder, training.goals, training.compared, costs, called, training.rule)


def _how(name: str, example: str, known: set[str]) -> str:
    near = nearest(name, known)
    hint = f". Did you mean '{near}'?" if near else ""
    return (
        f"{name!r} is no metric of searchkit's; if training= returns it, say which direction is better: {example}{hint}"
    )
