"""A search over networks: space, data, metrics and training put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from searchkit import plugins
from searchkit.costs.measure import MEASURED, check_measurable, measured_on
from searchkit.costs.metrics import SCORES, read_metrics, task_of, trained_scores
from searchkit.data.data import Data, load_data
from searchkit.data.images import is_npz
from searchkit.errors import DataError, SearchkitError, SpaceError
from searchkit.execution.outcome import Evaluate
from searchkit.problem.objectives import Bound, Goals, read_bounds, read_objectives
from searchkit.problem.problem import LISTABLE
from searchkit.problem.trial import State, Trial, front
from searchkit.results.result import Result
from searchkit.runtime.fingerprint import fingerprint
from searchkit.scoring.scorer import Scorer, registered_names
from searchkit.search.task import Task
from searchkit.search.verification import Verification
from searchkit.space import NetworkSpace, Space
from searchkit.storage.record import Record
from searchkit.training.evaluator import CostMeter, Scoring, Training, at_rung, load_weights, weights_path
from searchkit.training.fidelity import Ladder, Rung, check_cheaper, read_ladder
from searchkit.training.recipe import recipe_for
from searchkit.training.train import score
from searchkit.types import Codes, Floats

COUNTABLE = 500  # combinations that are all built to be counted, at some 20 ms each, to tell whether bounds can be met
DEFAULT_SPACE = ("nas-bench-201", {"width": [4, 6, 8, 12], "cells": 1})
TABLE_SPACE = "tabular"  # where the data are a table and no space is given


def network_task(
    space: Any,
    data: Any,
    objectives: Any,
    constraints: Any,
    where: str,
    there: str,
    seed: int,
    epochs: int | None,
    time_limit: float | None,
    verify: int = 0,
    ladder: Any = None,
) -> Task:
    """Everything about a search over networks but where it is kept; see :func:`searchkit.run`.

    Args:
        where, there: the device of this process and that of the trainings, see
            :func:`searchkit.runtime.devices.devices_of`.
    """
    space = None if space is None else read_space(space)
    if objectives is None:
        task = task_of(_names(constraints)) or (data.task if isinstance(data, Data) else "classification")
        objectives = (SCORES[task][0], "params")
    metrics, directions = read_metrics(objectives, constraints)
    check_measurable(metrics, where, there)
    named_bounds = {getattr(key, "name", key): limit for key, limit in (constraints or {}).items()}
    goals = Goals(
        read_objectives(directions), read_bounds(named_bounds, {m.name: m.direction for m in metrics.values()})
    )
    space, loaded = space_and_data(space, data, seed, task_of(metrics))
    recipe = recipe_for(loaded.kind, len(loaded.train), epochs)
    rungs = read_ladder(ladder, recipe.epochs)
    _check_rungs(rungs, recipe.epochs, loaded)
    meter = CostMeter(space, metrics, where)
    own = tuple(m for m in metrics.values() if m.stage == "trained" and m.function is not None)
    trains = any(metric.stage == "trained" for metric in metrics.values())
    scored = trained_scores(metrics, loaded.task)
    training = Training(space, loaded.without_test(), recipe, there, own, Path(), time_limit, scored=scored)
    if verify and trains:
        raise SearchkitError(
            "verify trains the best of a search without training, such as objectives=('eproxy', 'params'); "
            f"this one trains every candidate for {', '.join(n for n, m in metrics.items() if m.stage == 'trained')}"
        )
    if verify and loaded.task == "regression":
        raise SearchkitError(
            "verify trains classifiers, and these data are loaded for regression: search with objectives=('r2', ...)"
        )
    if rungs and not trains:
        raise SearchkitError(
            "ladder trains candidates cheaply before it trains them in full, but this search trains none: its "
            f"objectives and bounds are {', '.join(goals.metrics)}"
        )
    training = replace(training, rungs=tuple(at_rung(training, rung, seed) for rung in rungs))
    given = tuple(name for name, metric in metrics.items() if metric.stage == "scored")
    evaluate: Evaluate = training if trains else no_training
    if given:
        evaluate = Scoring(_scorer(given, space, loaded.without_test(), where, seed), training if trains else None)
    counted = tuple((i, b) for i, b in enumerate(goals.bounds) if metrics[b.name].stage == "counted")
    return Task(
        space=space,
        goals=goals,
        evaluate=evaluate,
        costs=meter,
        needed=(*given, *((*scored, *(metric.name for metric in own)) if trains else ())),
        identity={
            "kind": "networks",
            "data": {"name": loaded.name, "fingerprint": loaded.fingerprint},
            "epochs": recipe.epochs,
        }
        | ({"device": measured_on(where)} if any(name in metrics for name in MEASURED) else {})
        | ({"ladder": [rung.given for rung in rungs]} if rungs else {}),
        context={
            "kind": "networks",
            "function": fingerprint(space._build, space._canonical, [metric.function for metric in metrics.values()]),
            "data": {
                "name": loaded.name,
                "source": str(Path(data).absolute()) if isinstance(data, str | Path) and is_npz(data) else None,
                "classes": list(loaded.classes),
                "mean": list(loaded.mean),
                "std": list(loaded.std),
            }
            | ({} if loaded.target is None else {"target": list(loaded.target)}),
            "device": there,
            "rungs": [rung.label for rung in rungs],
            "units": {metric.name: metric.unit for metric in metrics.values() if metric.unit},
        },
        label=loaded.name,
        known=_Known(meter, counted, len(goals.bounds)) if counted else None,
        counted=meter.counted if counted else None,
        listable=LISTABLE if meter.vectorised else COUNTABLE,
        in_folder=_in_folder if trains or verify else None,
        finish=_TestScores(loaded, space, where) if trains and len(loaded.test) else None,
        ladder=Ladder(rungs, (*scored, *(metric.name for metric in own))) if rungs else None,
        verify=Verification(verify, training, loaded if len(loaded.test) else None, seed, where) if verify else None,
        images=loaded.without_test(),
    )


def _scorer(signals: Sequence[str], space: NetworkSpace, data: Data, device: str, seed: int) -> Scorer:
    """Of the proxies that give some signals."""
    registered = registered_names()
    return Scorer(space, list(dict.fromkeys(registered[name] for name in signals)), data, device=device, seed=seed)


def no_training(code: Codes, seed: int) -> dict[str, float]:
    """The evaluation of a search whose objectives and bounds are all costs: there is nothing left to find out."""
    return {}


def _in_folder(task: Task, folder: Path) -> Task:
    """The task with its trained networks kept in a folder, those of the front only."""
    if task.verify is not None:
        training = replace(task.verify.training, folder=folder)
        return replace(task, verify=replace(task.verify, training=training), folder=folder)
    evaluate: Evaluate
    if isinstance(task.evaluate, Scoring):
        assert task.evaluate.then is not None
        evaluate = replace(task.evaluate, then=replace(task.evaluate.then, folder=folder))
    else:
        assert isinstance(task.evaluate, Training)
        evaluate = replace(task.evaluate, folder=folder)
    keep = _KeepFront(task.goals, folder)
    return replace(task, evaluate=evaluate, folder=folder, callbacks=(keep,))


@dataclass(frozen=True)
class _Known:
    """``(n, d) -> (n, c)`` violations of the bounds on counted costs; the other columns are 0."""

    meter: CostMeter
    bounds: tuple[tuple[int, Bound], ...]
    n_bounds: int

    def __call__(self, codes: Codes) -> Floats:
        columns = self.meter.counted(codes)
        violations = np.zeros((len(codes), self.n_bounds))
        for i, bound in self.bounds:
            violations[:, i] = bound.violation(columns[bound.name])
        return violations


@dataclass
class _KeepFront:
    """Deletes the weights of trials that left the front, or never were on it."""

    goals: Goals
    folder: Path

    def __call__(self, trial: Trial, trials: Sequence[Trial]) -> None:
        if trial.state is not State.SCORED:
            return
        kept = {weights_path(self.folder, winner.code) for winner in front(trials, self.goals)}
        for path in self.folder.glob("*.safetensors"):
            if path not in kept and path in {weights_path(self.folder, t.code) for t in trials if t.finished}:
                path.unlink()


@dataclass(frozen=True)
class _TestScores:
    """Scores the front's networks on the test part, each once in the life of a study."""

    data: Data
    space: NetworkSpace
    device: str

    def __call__(self, result: Result, record: Record) -> None:
        scores: dict[str, float] = dict(record.notes("test_accuracy") or {})
        for trial in front(record.trials, result.goals):
            path = weights_path(result.folder or Path(), trial.code)
            if str(trial.number) in scores or not path.exists():
                continue
            network = self.space.build(trial.code)
            load_weights(network, path)
            scores[str(trial.number)] = score(network, self.data.test, self.data, self.device)
        record.note("test_accuracy", scores)
        result.test_accuracy = {int(number): accuracy for number, accuracy in scores.items()}


def _names(constraints: Any) -> list[str]:
    return [str(getattr(key, "name", key)) for key in constraints or {}]


def _check_rungs(rungs: Sequence[Rung], epochs: int, data: Data) -> None:
    if data.kind == "images":
        check_cheaper(rungs, epochs, min(data.input_shape[1:]))
        return
    if any(rung.resolution is not None for rung in rungs):
        raise SearchkitError(
            f"a rung of the ladder sets resolution, but data '{data.name}' are a table and no images; a rung sets "
            "epochs, width or data there"
        )
    check_cheaper(rungs, epochs, 1)


def space_and_data(space: Any, data: Any, seed: int, task: str | None = None) -> tuple[NetworkSpace, Data]:
    """The space that a user means, made for the data that go with it.

    Args:
        space: as for :func:`read_space`; where not given, one for the kind of examples that the data hold.
        data: see :func:`searchkit.load_data`; read as a table where the space is one for tables.
        task: "regression" or "classification" of data that are not loaded yet, where it is known.

    Raises:
        SearchkitError: either cannot be used, or they do not go together.
    """
    chosen = None if space is None else read_space(space)
    for_tables = chosen is not None and len(chosen.input_shape) == 1
    if isinstance(data, Data):
        loaded = data
    else:
        loaded = load_data(data, seed=seed, kind="table" if for_tables else None, task=task)  # type: ignore[arg-type]
    if chosen is None:
        chosen = read_space(TABLE_SPACE if loaded.kind == "table" else None)
    elif for_tables != (loaded.kind == "table"):
        shape = loaded.input_shape
        raise DataError(
            f"space '{chosen.name}' takes {'rows of features' if for_tables else 'images'}, and an example of data "
            f"'{loaded.name}' has shape {shape}: "
            + (
                "load them with load_data(..., kind='table')"
                if for_tables
                else f"take space='{TABLE_SPACE}', or say NetworkSpace(..., input_shape={shape}) of a space of your own"
            )
        )
    return chosen.for_data(loaded.input_shape, loaded.n_classes), loaded


def read_space(space: Any) -> NetworkSpace:
    """The network space that a user means: None (the default one), a name, or itself.

    Raises:
        SpaceError: it builds no networks, or is no space.
    """
    if space is None:
        name, options = DEFAULT_SPACE
        return plugins.load_space(name, **options)
    if isinstance(space, str):
        return plugins.load_space(space)
    if isinstance(space, NetworkSpace):
        return space
    if isinstance(space, Space):
        raise SpaceError(
            f"space '{space.name}' builds no networks: give a NetworkSpace, or evaluate= to search it as a black box"
        )
    raise SpaceError(f"space is a name ({', '.join(plugins.names('space'))}) or a NetworkSpace, not {space!r}")
